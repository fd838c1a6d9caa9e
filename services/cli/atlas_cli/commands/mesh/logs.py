"""`atlas logs`: what the parts of the mesh say, all of it or of one trace, in the order of time."""

from typing import Annotated

import typer

from atlas_cli.terminal import completing
from atlas_cli.terminal.help_groups import MESH, add
from atlas_cli.terminal.output import JsonFlag


def register(app: typer.Typer) -> None:
    """Add `logs`."""
    add(app, logs, "atlas logs gateway relay -n 50", "atlas logs --level warning --since 10m", group=MESH)


def logs(  # noqa: PLR0913, PLR0917 - its options
    parts: Annotated[
        list[str] | None,
        typer.Argument(help="Whose logs; all when none is named.", autocompletion=completing.parts),
    ] = None,
    trace: Annotated[str | None, typer.Option(help="Only what is of this trace: its id, or a traceparent.")] = None,
    service: Annotated[list[str] | None, typer.Option(help="Only what this service says; may be repeated.")] = None,
    level: Annotated[str | None, typer.Option(help="From this level up: debug, info, warning, error.")] = None,
    since: Annotated[str | None, typer.Option(help="From then on: 90s, 10m, 2h, 1d ago, or a time.")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what is written from now on.")] = False,
    lines: Annotated[
        int | None,
        typer.Option("-n", "--lines", min=1, help="Last lines of each; 20, or all of a trace or since a time."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Print the logs of the mesh in the order of time; with --trace, one request through all services."""
    from atlas_local.home import Home

    from atlas_cli.mesh.log_view import LINES, print_logs, wanted

    want = wanted(trace, tuple(service or ()), level, since)
    most = lines if lines is not None or trace or since else LINES
    print_logs(Home.find(), tuple(parts or ()), want, lines=most, follow=follow, as_json=as_json)

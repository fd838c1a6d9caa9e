"""atlas demo: what contexts have to show, through the whole mesh, and the proof of what it did."""

from typing import TYPE_CHECKING, Annotated

import typer

from atlas_cli.settings import CliSettings, load_settings
from atlas_cli.terminal.help_groups import MESH, add
from atlas_cli.terminal.output import CommandError, JsonFlag, print_json, print_rows, say

if TYPE_CHECKING:
    from atlas_cli.demo.chosen import Demos
    from atlas_cli.demo.report import Report


def register(app: typer.Typer) -> None:
    """Add `demo`."""
    add(app, demo, "atlas demo", "atlas demo --json", group=MESH)


def demo(
    sizes: Annotated[
        list[str] | None,
        typer.Option("--size", metavar="CONTEXT=N", help="How much of a context, like bookings=100; may be repeated."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Load what each context has to show through the running mesh, and prove that everything arrived.

    Exits 1 if anything differs. The figures are written to .atlas/demo.json too. Where no context has a demo, it says
    what to do next. ATLAS_CONTEXTS chooses contexts.
    """
    from atlas_cli.demo.chosen import chosen, say_what_to_do

    settings = load_settings()
    demos = chosen(settings, sizes or (), lambda of_context: of_context.demo_size)
    if not demos:
        say_what_to_do(settings, as_json=as_json)
        return
    report = _told(settings, demos)
    _print(report, as_json=as_json)
    if report.mismatches:
        first = next(check for check in report.checks if not check.holds)
        what = first.differences[0] if first.differences else "nothing could be compared"
        raise CommandError(f"{report.mismatches} mismatches; the first: {first.what}: {what}")


def _told(settings: CliSettings, demos: "Demos") -> "Report":
    import asyncio
    import json

    from atlas_local.home import Home

    from atlas_cli.demo.story import tell
    from atlas_cli.demo.view import live_view

    with live_view() as show:
        report = asyncio.run(tell(settings, demos, show, lambda text: say(f"{text} …", err=True)))
    home = Home.find()
    home.make()
    (home.path / "demo.json").write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    return report


def _print(report: "Report", *, as_json: bool) -> None:
    figures = report.as_json()
    if as_json:
        print_json(figures)
        return
    print_rows(
        [
            {"proof": check.what, "compared": f"{check.compared:,}", "result": "equal" if check.holds else "DIFFERS"}
            for check in report.checks
        ],
        as_json=False,
        title="What was proved",
    )
    measured = {
        "events produced": f"{report.events:,}",
        "seconds from the first request to all projected": figures["seconds_produce_to_projected"],
        "seconds from the first request to all archived": figures["seconds_produce_to_archived"],
        "what a command did is visible after (median, ms)": "" if report.visible_ms is None else report.visible_ms,
        **{f"seconds of the rebuild of {name}": made["seconds"] for name, made in report.rebuilds.items()},
        **{f"peak memory of {name} (MB)": mb for name, mb in report.peak_rss_mb.items()},
    }
    rows = [{"figure": name, "value": str(value)} for name, value in measured.items()]
    print_rows(rows, as_json=False, title="What was measured")
    for url in report.look:
        say(f"look at {url}")

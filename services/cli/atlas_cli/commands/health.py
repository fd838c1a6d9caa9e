"""`atlas health` and `atlas lag`: what the health-aggregator knows."""

from typing import Annotated, Any

import typer

from atlas_cli.output import CommandError, JsonFlag, print_json, print_rows

# The aggregator gives up on its brokers after 15 s and says so; the answer is worth waiting for.
TIMEOUT_S = 20.0
LAG_COLUMNS = ("group", "topic", "partition", "committed", "end", "lag_records", "lag_seconds", "state")


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.command("health")(health)
    parent.command("lag")(lag)


def health(as_json: JsonFlag = False) -> None:
    """Every service of the mesh: up, degraded, down or unknown, since when and why."""
    mesh = _ask("/health/mesh")
    if as_json:
        print_json(mesh)
        return
    rows = [
        {
            "service": service["service"],
            "state": service["state"],
            "since": service["since"],
            "alive": sum(instance["alive"] for instance in service["instances"]),
            "reason": service["reason"],
        }
        for service in mesh["services"]
    ]
    print_rows(rows, as_json=False, empty="no service was heard yet")
    if mesh["silence"]:
        typer.echo(f"nobody can be judged: {mesh['silence']}", err=True)


def lag(
    group: Annotated[str | None, typer.Option(help="Only this consumer group.")] = None,
    topic: Annotated[str | None, typer.Option(help="Only this topic.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """How far every consumer group is behind, in records and in seconds, worst first; dead groups too."""
    rows = [
        row
        for row in _ask("/lag")["items"]
        if (group is None or row["group"] == group) and (topic is None or row["topic"] == topic)
    ]
    if not as_json:
        rows = [{column: row[column] for column in LAG_COLUMNS} for row in rows]
    print_rows(rows, as_json=as_json, empty="no group has committed anything")


def _ask(path: str) -> Any:
    import json
    from urllib.error import HTTPError
    from urllib.request import urlopen

    from atlas_cli.settings import load_settings

    url = f"{load_settings().health_url.rstrip('/')}{path}"
    try:
        with urlopen(url, timeout=TIMEOUT_S) as response:  # the scheme is the user's own setting  # nosec B310
            return json.load(response)
    except HTTPError as error:
        raise CommandError(f"{url} answered {error.code}: {error.read(500).decode(errors='replace')}") from None
    except OSError as error:
        raise CommandError(
            f"the health-aggregator at {url} does not answer: {getattr(error, 'reason', error)}"
        ) from None

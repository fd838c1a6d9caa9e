"""`atlas health` and `atlas lag`: what the health-aggregator knows."""

from typing import Annotated, Any

import typer
from typing_extensions import TypedDict

from atlas_cli.output import JsonFlag, print_json, print_rows, say

# The aggregator gives up on its brokers after 15 s and says so; the answer is worth waiting for.
TIMEOUT_S = 20.0
PAGE_ROWS = 500
RUNBOOK = "docs/runbooks/a-consumer-is-blocked-by-a-transaction.md"
LAG_COLUMNS = ("group", "topic", "partition", "committed", "end", "lag_records", "lag_seconds", "state")


class _Instance(TypedDict):
    alive: bool


class _Service(TypedDict):
    service: str
    state: str
    since: str | None
    reason: str | None
    instances: list[_Instance]


class _Mesh(TypedDict):
    services: list[_Service]
    silence: str | None


class _Row(TypedDict):
    group: str
    topic: str
    partition: int
    committed: int | None
    end: int | None
    lag_records: int | None
    lag_seconds: float | None
    state: str


class _Blocked(TypedDict):
    topic: str
    partition: int
    records: int
    text: str


class _Lag(TypedDict):
    items: list[_Row]
    next_cursor: str | None
    blocked: list[_Blocked]


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.command("health")(health)
    parent.command("lag")(lag)


def health(as_json: JsonFlag = False) -> None:
    """Every service of the mesh: up, degraded, down or unknown, since when and why."""
    mesh = _ask("/health/mesh", _Mesh)
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
        say(f"nobody can be judged: {mesh['silence']}", err=True)


def lag(
    group: Annotated[str | None, typer.Option(help="Only this consumer group.")] = None,
    topic: Annotated[str | None, typer.Option(help="Only this topic.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """How far every consumer group is behind, in records and in seconds, worst first; dead groups too."""
    found, blocked = _every_page({"group": group, "topic": topic})
    rows: list[dict[str, Any]] = [{**row} for row in found]
    if not as_json:
        rows = [{column: row[column] for column in LAG_COLUMNS} for row in rows]
    print_rows(rows, as_json=as_json, empty="no group reads or has read anything")
    for each in blocked:
        place = f"{each['topic']}/{each['partition']}"
        say(f"{place}: {each['text']}, which holds back {each['records']} records; {RUNBOOK}", err=True)


def _every_page(wanted: dict[str, str | None]) -> tuple[list[_Row], list[_Blocked]]:
    """The rows of all pages, once each: between two of them a row may have moved."""
    query = {name: value for name, value in wanted.items() if value is not None} | {"limit": str(PAGE_ROWS)}
    rows: dict[tuple[str, str, int], _Row] = {}
    while True:
        answer: _Lag = _ask("/lag", _Lag, query)
        for row in answer["items"]:
            rows[row["group"], row["topic"], row["partition"]] = row
        if answer["next_cursor"] is None:
            return list(rows.values()), answer["blocked"]
        query["cursor"] = answer["next_cursor"]


def _ask(path: str, shape: Any, query: dict[str, str] | None = None) -> Any:
    import asyncio

    from atlas_cli.asking import Service
    from atlas_cli.settings import load_settings

    service = Service("health-aggregator", load_settings().health_url, TIMEOUT_S)
    return asyncio.run(service.ask("GET", path, shape, query=query))

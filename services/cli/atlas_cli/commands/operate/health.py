"""`atlas health` and `atlas lag`: what the health-aggregator knows."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NotRequired

import typer
from typing_extensions import TypedDict

from atlas_cli.settings import CliSettings, load_settings
from atlas_cli.terminal.completing import topics
from atlas_cli.terminal.help_groups import OPERATE, add
from atlas_cli.terminal.output import JsonFlag, print_json, print_rows, say

if TYPE_CHECKING:
    from atlas_cli.asking import Service

# The aggregator gives up on its brokers after 15 s and says so; the answer is worth waiting for.
TIMEOUT_S = 20.0
PAGE_ROWS = 500
RUNBOOK = "docs/runbooks/a-consumer-is-blocked-by-a-transaction.md"
LAG_COLUMNS = ("group", "topic", "partition", "committed", "end", "lag_records", "lag_seconds", "state", "status")
SPARE_COLUMNS = ("committed", "end", "state")
SPARE_COLUMNS_OF_SUMS = ("partitions", "state")
# Worst first.
STATUSES = ("stopped", "stalled", "blocked", "falling-behind", "catching-up", "ok")


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
    status: NotRequired[str | None]  # an older aggregator has none


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
    add(parent, health, "atlas health", group=OPERATE)
    add(parent, lag, "atlas lag", "atlas lag --topic bookings.events --partitions", group=OPERATE)


def health(as_json: JsonFlag = False) -> None:
    """Every service of the mesh: up, degraded, down or unknown, since when and why."""
    mesh = asyncio.run(_aggregator(load_settings()).ask("GET", "/health/mesh", _Mesh))
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
    topic: Annotated[str | None, typer.Option(help="Only this topic.", autocompletion=topics)] = None,
    partitions: Annotated[bool, typer.Option("--partitions", help="A row for each partition.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """How far every consumer group is behind, in records and in seconds, worst first; dead groups too.

    A row is a group and a topic: the records of all partitions; the seconds, the state and the status of the worst one.
    The state is of this moment, the status of the last minute. --json has each partition, with or without --partitions.
    """
    found, blocked = asyncio.run(read_lag(load_settings(), {"group": group, "topic": topic}))
    empty = "no group reads or has read anything"
    if as_json:
        print_rows([{**row} for row in found], as_json=True)
    elif partitions:
        rows = [{column: row.get(column) for column in LAG_COLUMNS} for row in map(dict, found)]
        print_rows(rows, as_json=False, empty=empty, spare=SPARE_COLUMNS)
    else:
        print_rows(summed(found), as_json=False, empty=empty, spare=SPARE_COLUMNS_OF_SUMS)
    for each in blocked:
        place = f"{each['topic']}/{each['partition']}"
        say(f"{place}: {each['text']}, which holds back {each['records']} records; {RUNBOOK}", err=True)


def summed(rows: list[_Row]) -> list[dict[str, Any]]:
    """A row for each group and topic, in the order of their worst partitions, which come first in `rows`."""
    of: dict[tuple[str, str], list[_Row]] = {}
    for row in rows:
        of.setdefault((row["group"], row["topic"]), []).append(row)
    return [
        {
            "group": group,
            "topic": topic,
            "partitions": len(parts),
            "records": _known([part["lag_records"] for part in parts], sum),
            "seconds": _known([part["lag_seconds"] for part in parts], max),
            "state": parts[0]["state"],
            "status": _worst([part.get("status") for part in parts]),
        }
        for (group, topic), parts in of.items()
    ]


def _worst(statuses: Sequence[str | None]) -> str | None:
    """None when none is bad and one is not known."""
    found = min((each for each in statuses if each in STATUSES), key=STATUSES.index, default=None)
    return None if found == STATUSES[-1] and None in statuses else found


def _known(values: Sequence[float | None], of: Callable[[list[float]], float]) -> float | None:
    """`of` the values that are known; None when none is."""
    known = [value for value in values if value is not None]
    return of(known) if known else None


async def read_lag(settings: CliSettings, wanted: Mapping[str, str | None]) -> tuple[list[_Row], list[_Blocked]]:
    """The rows of all pages, once each, and what blocks partitions: between two pages a row may have moved."""
    query = {name: value for name, value in wanted.items() if value is not None} | {"limit": str(PAGE_ROWS)}
    rows: dict[tuple[str, str, int], _Row] = {}
    while True:
        answer: _Lag = await _aggregator(settings).ask("GET", "/lag", _Lag, query=query)
        for row in answer["items"]:
            rows[row["group"], row["topic"], row["partition"]] = row
        if answer["next_cursor"] is None:
            return list(rows.values()), answer["blocked"]
        query["cursor"] = answer["next_cursor"]


def _aggregator(settings: CliSettings) -> "Service":
    from atlas_cli.asking import Service

    return Service("health-aggregator", settings.health_url, TIMEOUT_S)

"""`atlas health` and `atlas lag`: what the health-aggregator knows."""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NotRequired

import typer
from typing_extensions import TypedDict

from atlas_cli.settings import CliSettings, load_settings
from atlas_cli.terminal.completing import topics
from atlas_cli.terminal.help_groups import OPERATE, add
from atlas_cli.terminal.output import CommandError, JsonFlag, console, print_json, print_rows, say

if TYPE_CHECKING:
    from atlas_cli.asking import Service

# The aggregator gives up on its brokers after 15 s and says so; the answer is worth waiting for.
TIMEOUT_S = 20.0
PAGE_ROWS = 500
RUNBOOK = "docs/runbooks/a-consumer-is-blocked-by-a-transaction.md"
LAG_COLUMNS = (
    *("group", "topic", "partition", "committed", "end", "lag_records", "blocked_records", "lag_seconds"),
    *("catch_up_s", "state", "status"),
)
SPARE_COLUMNS = ("blocked_records", "catch_up_s", "committed", "end", "state")
SPARE_COLUMNS_OF_SUMS = ("blocked", "partitions", "catch_up_s", "state")
# Worst first.
STATUSES = ("stopped", "stalled", "blocked", "falling-behind", "catching-up", "ok")


class _Loop(TypedDict):
    name: str
    doing: str
    waits: bool
    since_s: float
    progress_s: float | None
    stuck: bool


class _Instance(TypedDict):
    instance: str
    alive: bool
    state: NotRequired[str]
    version: NotRequired[str]
    environment: NotRequired[str]
    loops: NotRequired[list[_Loop]]


class _Service(TypedDict):
    service: str
    state: str
    since: str | None
    reason: str | None
    flapping: NotRequired[bool]
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
    # An older aggregator has none of these.
    status: NotRequired[str | None]
    blocked_records: NotRequired[int]
    catch_up_s: NotRequired[float | None]


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
    add(parent, health, "atlas health", "atlas health --loops", group=OPERATE)
    add(parent, lag, "atlas lag", "atlas lag --watch", "atlas lag --history 1d --topic bookings.events", group=OPERATE)


def health(
    loops: Annotated[bool, typer.Option("--loops", help="What each loop of each instance is doing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Every service of the mesh: up, degraded, down or unknown, since when and why, its version and environment.

    --loops shows what each loop is doing, for how long, and how long ago something came of it. A loop that does the
    same for longer than 10 s is stuck, and its service degraded; one that waits for somebody else says so.
    """
    mesh = asyncio.run(_aggregator(load_settings()).ask("GET", "/health/mesh", _Mesh))
    if as_json:
        print_json(mesh)
        return
    if loops:
        empty = "no instance has said what it does"
        print_rows(_loop_rows(mesh), as_json=False, empty=empty, spare=("instance", "progress_s"))
    else:
        rows = [_service_row(service) for service in mesh["services"]]
        print_rows(rows, as_json=False, empty="no service was heard yet", spare=("environment", "version"))
    if mesh["silence"]:
        say(f"nobody can be judged: {mesh['silence']}", err=True)


def _service_row(service: _Service) -> dict[str, Any]:
    alive = [instance for instance in service["instances"] if instance["alive"]]
    return {
        "service": service["service"],
        "state": f"{service['state']}, flapping" if service.get("flapping") else service["state"],
        "since": service["since"],
        "alive": len(alive),
        "version": ", ".join(sorted({instance.get("version", "") for instance in alive})),
        "environment": ", ".join(sorted({instance.get("environment", "") for instance in alive})),
        "reason": service["reason"],
    }


def _loop_rows(mesh: _Mesh) -> list[dict[str, Any]]:
    """What is stuck first."""
    rows = [
        {
            "service": service["service"],
            "instance": instance["instance"],
            "loop": loop["name"],
            "state": "stuck" if loop["stuck"] else "waits" if loop["waits"] else "works",
            "doing": loop["doing"],
            "for_s": loop["since_s"],
            "progress_s": loop["progress_s"],
        }
        for service in mesh["services"]
        for instance in service["instances"]
        if instance["alive"]
        for loop in instance.get("loops", [])
    ]
    return sorted(rows, key=lambda row: row["state"] != "stuck")


def lag(
    group: Annotated[str | None, typer.Option(help="Only this consumer group.")] = None,
    topic: Annotated[str | None, typer.Option(help="Only this topic.", autocompletion=topics)] = None,
    partitions: Annotated[bool, typer.Option("--partitions", help="A row for each partition.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every 2 s, until Ctrl-C.")] = False,
    history: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN", help="How far it was behind in the last 30m, 2h, 1d: up to 7d.", show_default=False
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """How far every consumer group is behind, in records and in seconds, worst first; dead groups too.

    A row is a group and a topic: the records of all partitions, and those behind an open transaction; the seconds, the
    state and the status of the worst one; and in how many seconds nothing will wait, if that is so at the rates of now.
    The state is of this moment, the status of the last minute. --json has each partition, with or without --partitions.
    --watch shows the last minutes too, and with --json prints a document a line for each look; --history shows the most
    that each was behind, and with --json every point.
    """
    if sum((partitions, watch, history is not None)) > 1:
        raise CommandError("--partitions, --watch and --history: one of them at a time")
    wanted = {"group": group, "topic": topic}
    if watch:
        asyncio.run(_watch(load_settings(), wanted, as_json=as_json))
        return
    if history is not None:
        asyncio.run(_history(load_settings(), wanted, history, as_json=as_json))
        return
    found, blocked = asyncio.run(read_lag(load_settings(), wanted))
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
            "blocked": _known([part.get("blocked_records") for part in parts], sum),
            "seconds": _known([part["lag_seconds"] for part in parts], max),
            "catch_up_s": _longest([part.get("catch_up_s") for part in parts]),
            "state": parts[0]["state"],
            "status": _worst([part.get("status") for part in parts]),
        }
        for (group, topic), parts in of.items()
    ]


def _worst(statuses: Sequence[str | None]) -> str | None:
    """None when none is bad and one is not known."""
    found = min((each for each in statuses if each in STATUSES), key=STATUSES.index, default=None)
    return None if found == STATUSES[-1] and None in statuses else found


def _longest(seconds: Sequence[float | None]) -> float | None:
    """Until the last partition is there; None when one never is."""
    known = [each for each in seconds if each is not None]
    return max(known) if len(known) == len(seconds) else None


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


async def _watch(settings: CliSettings, wanted: Mapping[str, str | None], *, as_json: bool) -> None:
    from atlas_cli.mesh import lag_history, lag_watch
    from atlas_cli.mesh.lag_view import lag_view

    async def look() -> lag_watch.Looked:
        found, _blocked = await read_lag(settings, wanted)
        read: dict[tuple[str, str], int] = {}
        for row in found:
            if row["committed"] is not None:
                key = (row["group"], row["topic"])
                read[key] = read.get(key, 0) + row["committed"]
        return lag_watch.Looked(summed(found), read, time.monotonic())

    async def past() -> list[lag_history.Item]:
        span_s = lag_watch.BAR_S * lag_watch.BARS_KEPT
        return await lag_history.read_history(_aggregator(settings), wanted, span_s, lag_watch.BAR_S)

    stop = asyncio.Event()
    # Ctrl-C is how it ends: exit code 0.
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    with lag_view(as_json=as_json) as show:
        await lag_watch.watch(look, past, show, stop)


async def _history(settings: CliSettings, wanted: Mapping[str, str | None], span: str, *, as_json: bool) -> None:
    from atlas_cli.mesh import lag_history
    from atlas_cli.terminal.sparklines import bars_of

    span_s = lag_history.parse_span(span)
    step_s = lag_history.step_for(span_s, lag_history.POINTS_MAX if as_json else lag_history.BARS_MAX)
    items = await lag_history.read_history(_aggregator(settings), wanted, span_s, step_s)
    if as_json:
        print_json(items)
        return
    rows = lag_history.table_rows(items, span_s, bars_of(console().encoding))
    print_rows(rows, as_json=False, empty=f"no lag was seen in the last {span}", spare=("records", "seconds"))


def _aggregator(settings: CliSettings) -> "Service":
    from atlas_cli.asking import Service

    return Service("health-aggregator", settings.health_url, TIMEOUT_S)

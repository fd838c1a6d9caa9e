"""`atlas outbox status | parked | retry | discard`, asked of a relay over HTTP, or of the database where none answers;
`backfill`, on the database."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typing_extensions import TypedDict

from atlas_cli.terminal.faults import START_IT
from atlas_cli.terminal.help_groups import EVENTS, add
from atlas_cli.terminal.output import CommandError, JsonFlag, YesFlag, confirm, overwrite, print_json, print_rows, say

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from atlas_outbox.backfill import Progress

    from atlas_cli.outbox.backfilling import Pace

TIMEOUT_S = 60.0  # sending a million parked rows again takes a while

Ids = Annotated[list[int] | None, typer.Argument(help="Ids of parked rows.")]
Topic = Annotated[str | None, typer.Option(help="All parked rows of this topic.")]
All = Annotated[bool, typer.Option("--all", help="All parked rows.")]


class _Status(TypedDict):
    groups: list[dict[str, Any]]


class _Parked(TypedDict):
    rows: list[dict[str, Any]]


class _Retried(TypedDict):
    retried: int


class _Discarded(TypedDict):
    discarded: int


def register(parent: typer.Typer) -> None:
    """Add the group `outbox`."""
    group = typer.Typer(help="Rows on their way to topics, and rows that could not be sent.", no_args_is_help=True)
    add(group, status, "atlas outbox status")
    add(group, parked, "atlas outbox parked --topic bookings.events")
    add(group, retry, "atlas outbox retry 17 18", "atlas outbox retry --all")
    add(group, discard, "atlas outbox discard 17", "atlas outbox discard --topic bookings.events --yes")
    add(group, backfill, "atlas outbox backfill public.bookings --event bookings.SeatBooked --map booking_id=id")
    parent.add_typer(group, name="outbox", rich_help_panel=EVENTS)


def status(as_json: JsonFlag = False) -> None:
    """Backlog, age of the oldest row, parked rows; and who relays each group of shards."""
    from atlas_cli.outbox import outbox_rows

    summary = _ask("/outbox", _Status, outbox_rows.status)
    if as_json:
        print_json(summary)
        return
    print_rows([{name: value for name, value in summary.items() if name != "groups"}], as_json=False)
    print_rows(summary["groups"], as_json=False, title="Groups of shards")


def parked(
    topic: Annotated[str | None, typer.Option(help="Only this topic.")] = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Also rows that wait behind one of their key.")] = False,
    limit: Annotated[int, typer.Option("-n", min=1, max=1000, help="At most so many.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """Rows that could not be sent, with the error, oldest first."""
    from urllib.parse import urlencode

    from atlas_cli.outbox import outbox_rows

    async def at_database(dsn: str) -> dict[str, Any]:
        return {"rows": await outbox_rows.parked(dsn, topic=topic, waiting=waiting, limit=limit)}

    query = {"limit": limit, "waiting": int(waiting), **({"topic": topic} if topic else {})}
    rows = _ask(f"/outbox/parked?{urlencode(query)}", _Parked, at_database)["rows"]
    print_rows(rows, as_json=as_json, empty="nothing is parked")


def retry(ids: Ids = None, topic: Topic = None, everything: All = False, as_json: JsonFlag = False) -> None:
    """Send parked rows again, each with all the rows of its key, in order."""
    answer = _change("retry", "retried", _Retried, _choice(ids, topic, everything))
    _say(answer, f"{answer['retried']} rows go to their topics again", as_json=as_json)


def discard(
    ids: Ids = None,
    topic: Topic = None,
    everything: All = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Delete parked rows for good; what waited behind them is sent."""
    choice = _choice(ids, topic, everything)
    confirm("Their events will never reach a topic. Delete them?", yes=yes)
    answer = _change("discard", "discarded", _Discarded, choice)
    _say(answer, f"{answer['discarded']} rows are deleted", as_json=as_json)


def backfill(
    table: Annotated[str, typer.Argument(help="schema.table, with a primary key.")],
    event: Annotated[str, typer.Option(help="The type of the event for each row, like bookings.SeatBooked.")],
    maps: Annotated[list[str] | None, typer.Option("--map", help="field=column, where the names differ.")] = None,
    backlog: Annotated[int, typer.Option(min=1, help="Wait while so many rows are unsent.")] = 10_000,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, not where it stopped.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Emit an event for each row that a table has now, beside live traffic; run it again to go on after a stop.

    A column `version` is the version that the event has, so that projections which go by it take it.
    """
    import asyncio

    from atlas_cli.outbox.backfilling import Pace, read_columns

    progress = asyncio.run(_backfill(table, event, read_columns(maps or []), Pace(backlog_rows=backlog), restart))
    _say(
        {"table": table, "event": event, "rows": progress.rows, "finished": progress.finished},
        f"{progress.rows} rows of {table} have their {event}",
        as_json=as_json,
    )


async def _backfill(table: str, event: str, columns: dict[str, str], pace: "Pace", restart: bool) -> "Progress":
    import asyncpg
    from atlas_contracts.codec import Codec
    from atlas_contracts.errors import UnknownSchema
    from atlas_outbox.pooled import options

    from atlas_cli.connect import load_registry
    from atlas_cli.outbox.backfilling import EventOfRow, backfill, open_run
    from atlas_cli.settings import load_settings

    settings = load_settings()
    registry = load_registry(settings)
    try:
        # Through a pooler or not: one connection and large transactions, so a plan a statement is no cost.
        connection = await asyncpg.connect(settings.postgres_dsn.get_secret_value(), timeout=5, **options({}))
    except (OSError, asyncpg.PostgresError) as error:
        raise CommandError(f"the database does not answer: {error}; {START_IT}") from None
    try:
        registry.topic_of(event)
        run = await open_run(connection, table, event, anew=restart)
        progress = await run.progress(connection)
        async for progress in backfill(
            connection, run, EventOfRow(registry, Codec(registry), event, run.source, columns), pace
        ):
            overwrite(f"{progress.rows} rows")
        say(err=True)
        return progress
    except UnknownSchema as error:
        raise CommandError(str(error)) from None
    finally:
        connection.terminate()


def _choice(ids: list[int] | None, topic: str | None, everything: bool) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if ids:
        chosen["ids"] = ids
    if topic:
        chosen["topic"] = topic
    if everything:
        chosen["all"] = True
    if len(chosen) != 1:
        raise CommandError("say which rows: ids, --topic or --all")
    return chosen


def _say(answer: Any, text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        say(text)


def _change(what: str, done: str, shape: Any, choice: dict[str, Any]) -> Any:
    from atlas_cli.outbox import outbox_rows

    async def at_database(dsn: str) -> dict[str, Any]:
        return {done: await outbox_rows.change(dsn, choice, discard=what == "discard")}

    return _ask(f"/outbox/parked/{what}", shape, at_database, choice)


def _ask(
    path: str, shape: Any, at_database: "Callable[[str], Awaitable[Any]]", body: dict[str, Any] | None = None
) -> Any:
    """The relay's answer; where no relay answers, the same out of the database."""
    import asyncio

    from atlas_cli.asking import NoAnswer, Service
    from atlas_cli.settings import load_settings

    settings = load_settings()
    relay = Service("relay", settings.relay_url, TIMEOUT_S)

    async def ask() -> Any:
        try:
            return await relay.ask("GET" if body is None else "POST", path, shape, body=body)
        except NoAnswer:
            say("the relay does not answer: its database is asked", err=True)
            return await at_database(settings.postgres_dsn.get_secret_value())

    return asyncio.run(ask())

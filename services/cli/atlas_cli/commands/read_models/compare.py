"""`atlas compare` and `atlas leave-out`: a read model against its owner's state, and what rebuilds do not read."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer
from typing_extensions import TypedDict

from atlas_cli.terminal.help_groups import READ_MODELS, add
from atlas_cli.terminal.output import CommandError, JsonFlag, print_json, print_rows, say

if TYPE_CHECKING:
    from atlas_cli.read_models.comparing import Difference, Owned
    from atlas_cli.settings import CliSettings

Name = Annotated[str, typer.Argument(metavar="NAME", help="The projection, as `atlas projections` lists it.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID…", help="Records, as `atlas compare` lists them.")]


class _LeftOut(TypedDict):
    left_out: list[str]


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    add(parent, compare, "atlas compare bookings", group=READ_MODELS)
    add(parent, leave_out, 'atlas leave-out bookings/bookings.events/0@17 --reason "forged"', group=READ_MODELS)


def compare(
    name: Name,
    settle: Annotated[float, typer.Option(min=0, help="Seconds in which what is on its way may arrive.")] = 5.0,
    as_json: JsonFlag = False,
) -> None:
    """Hold a read model against the state it is of: entities that differ, and records of theirs that look forged.

    Exit code 1 if any differ. `atlas leave-out` and a rebuild mend what a forged record did.
    """
    found = asyncio.run(_compare(name, settle))
    if as_json:
        print_json(found)
    else:
        _print(found)
    if found["differences"]:
        raise typer.Exit(1)


def leave_out(
    ids: Ids,
    reason: Annotated[str, typer.Option(help="Why, for whoever looks at it later.")],
    as_json: JsonFlag = False,
) -> None:
    """Have rebuilds of a projection not read these records: noted with the reason. Then `atlas rebuild` it."""
    from atlas_cli.read_models import rebuilding
    from atlas_cli.settings import load_settings

    names = {record.partition("/")[0] for record in ids}
    if len(names) > 1:
        raise CommandError(f"records of one projection at a time, not of {', '.join(sorted(names))}")
    (name,) = names
    path = f"/projections/{quote(name, safe='')}/left-out"
    body = {"ids": ids, "reason": reason}
    answer = asyncio.run(rebuilding.ask(load_settings(), "POST", path, _LeftOut, body))
    if as_json:
        print_json(answer)
    else:
        say(f"{len(answer['left_out'])} records are left out from the next rebuild on: atlas rebuild {name} --fresh")


def _print(found: dict[str, Any]) -> None:
    rows = [
        {
            "key": each["key"],
            "verdict": each["verdict"],
            "owner, read model": "; ".join(
                f"{column}: {both['owner']}, {both['read_model']}" for column, both in each["fields"].items()
            ),
        }
        for each in found["differences"]
    ]
    print_rows(rows, as_json=False, empty=f"{found['compared']} entities, all as their owner has them")
    if found["suspects"]:
        shown = [{**each, "why": "; ".join(each["why"])} for each in found["suspects"]]
        columns = ("id", "key", "version", "type", "time", "why")
        print_rows([{column: each[column] for column in columns} for each in shown], as_json=False, title="Look forged")


async def _compare(name: str, settle_s: float) -> dict[str, Any]:
    from atlas_cli.read_models import rebuilding
    from atlas_cli.read_models.comparing import Owned, differences, shown
    from atlas_cli.settings import load_settings

    settings = load_settings()
    owned: Owned = await rebuilding.ask(settings, "GET", f"/projections/{quote(name, safe='')}/owner", Owned)
    async with _sides(settings, owned) as (owner, read_model):
        found, compared = await differences(owner, read_model, settle_s)
    suspected = await _suspects(settings, name, owned, found) if found else []
    return {
        "projection": name,
        "owner": owned["table"],
        "compared": compared,
        "differences": shown(found, owned["version"]),
        "suspects": suspected,
    }


def _sides(settings: "CliSettings", owned: "Owned") -> Any:
    from contextlib import asynccontextmanager

    import asyncpg
    from atlas_outbox.pooled import options

    from atlas_cli.read_models.comparing import SESSION, TableRows

    @asynccontextmanager
    async def sides() -> Any:
        connections: list[asyncpg.Connection[Any]] = []
        try:
            for dsn in (settings.postgres_dsn, settings.readmodel_dsn):
                connection = await asyncpg.connect(dsn.get_secret_value(), timeout=5, **options(SESSION))
                connections.append(connection)
            own = {column: column for column in owned["columns"]}
            yield (
                TableRows(connections[0], owned["table"], owned["columns"], owned["key"]),
                TableRows(connections[1], owned["read_model"], own, owned["key"]),
            )
        except (OSError, asyncpg.PostgresError) as error:
            raise CommandError(f"the database: {error}") from None
        finally:
            for connection in connections:
                connection.terminate()

    return sides()


async def _suspects(
    settings: "CliSettings", name: str, owned: "Owned", found: "list[Difference]"
) -> list[dict[str, Any]]:
    """Records of the differing entities that look forged. Their keys on the topic are those of the read model."""
    from dataclasses import asdict

    from atlas_cli.read_models.suspects import suspects
    from atlas_cli.topics.topic_history import History
    from atlas_cli.topics.topic_reader import open_topic_reader

    version = owned["version"]
    versions = {
        "/".join(each.key).encode(): int(each.owner[version] or 0) if each.owner is not None and version else None
        for each in found
    }
    history = History(name, versions)
    async with open_topic_reader(settings.kafka_brokers) as reader:
        for topic in owned["topics"]:
            await history.read(reader, topic)
    listed = suspects(history.records, versions, history.usual_source)
    return [{**asdict(each), "key": each.key.decode(errors="backslashreplace")} for each in listed]

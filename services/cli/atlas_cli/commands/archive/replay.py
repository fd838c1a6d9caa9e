"""`atlas replay`: put the history of a topic, from the archive and the topic itself, onto another one."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from atlas_cli.terminal.completing import topics
from atlas_cli.terminal.help_groups import ARCHIVE, add
from atlas_cli.terminal.output import CommandError, JsonFlag, print_json, say, spinner

if TYPE_CHECKING:
    from atlas_archive.format.records import Incoming
    from atlas_contracts.registry import Registry

    from atlas_cli.topics.replaying import Progress, Replay

_PLACE = "an offset, a time (2013-01-01T10:00:00Z, 2013-01-01) or an age (-10m, -2h, -1d), of the record, not the event"


def register(parent: typer.Typer) -> None:
    """Add the command."""
    add(parent, replay_topic, "atlas replay bookings.events --to bookings.again", name="replay", group=ARCHIVE)


def replay_topic(  # noqa: PLR0913, PLR0917 - each is an option of the command, given by name
    topic: Annotated[
        str, typer.Argument(help="The topic to replay; it need not exist any more.", autocompletion=topics)
    ],
    target: Annotated[str, typer.Option("--to", metavar="TOPIC", help="Where to; made when there is none.")],
    start: Annotated[str, typer.Option("--from", metavar="WHERE", help=f"beginning, {_PLACE}.")] = "beginning",
    until: Annotated[str, typer.Option(metavar="WHERE", help=f"end, {_PLACE}; itself left out.")] = "end",
    key: Annotated[str | None, typer.Option(help="Only records with this key.")] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Only events of this type.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.1, help="At most so many records a second.")] = None,
    incarnation: Annotated[str | None, typer.Option(help="Which one of the topic; how its id begins will do.")] = None,
    declared_only: Annotated[
        bool, typer.Option("--declared-only", help="Leave out event types that the target does not take.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Replay a topic's records onto another: same partition, order, key, value and headers.

    They keep their time too, unless the target takes the broker's, as declared topics do: then it is that of writing,
    and the event's own stays in ce_time. A declared target takes its own event types alone.

    They come from the archive, then from the topic itself. Each gets a header, atlas_replay, that says where it was.
    Run the same command again to go on after an interruption: no record is sent twice.
    """
    from atlas_cli.topics.following import parse_start
    from atlas_cli.topics.replaying import Replay

    now_ms = time.time_ns() // 1_000_000
    wanted = Replay(
        topic=topic,
        target=target,
        start=parse_start(start, now_ms=now_ms),
        until=parse_start(until, now_ms=now_ms),
        key=None if key is None else key.encode(),
        type=event_type,
        rate=rate,
        incarnation=incarnation,
    )
    if wanted.start.at == "end" or wanted.until.at == "beginning":
        raise CommandError("nothing lies between --from and --until")
    progress = asyncio.run(_run(wanted, quiet=as_json, declared_only=declared_only))
    if as_json:
        print_json(asdict(progress))
        return
    say(
        f"{progress.replayed} records of {topic} are on {target}"
        f" ({progress.from_archive} read from the archive, {progress.from_topic} from the topic,"
        f" {progress.passed} left out), their times {progress.times}"
    )


async def _run(wanted: "Replay", *, quiet: bool, declared_only: bool) -> "Progress":
    from dataclasses import replace

    from atlas_cli.archived.object_store import open_archive
    from atlas_cli.connect import load_registry
    from atlas_cli.settings import load_settings
    from atlas_cli.topics.replay_target import rule_of
    from atlas_cli.topics.replaying import replay as run
    from atlas_cli.topics.topic_reader import open_topic_reader

    settings = load_settings()
    registry = load_registry(settings)
    rule = rule_of(registry, wanted.topic, wanted.target, wanted.type, leaves_out=declared_only)
    wanted, type_of = replace(wanted, rule=rule), _types(registry)
    async with open_archive(settings) as store, open_topic_reader(settings.kafka_brokers) as reader:
        with spinner(f"replaying {wanted.topic}", quiet=quiet) as tell:

            def show(progress: "Progress") -> None:
                tell(f"{wanted.topic} to {wanted.target}: {progress.replayed:,} records")

            return await run(wanted, store, reader, settings.kafka_brokers, type_of, show)


def _types(registry: "Registry") -> "Callable[[Incoming], str | None]":
    """An event's type: its schema's, which readers go by; else what its header says."""

    def type_of(record: "Incoming") -> str | None:
        if record.value is not None and len(record.value) >= 5 and record.value[0] == 0:
            schema = registry.schemas.get(int.from_bytes(record.value[1:5], "big"))
            if schema is not None:
                return schema.type
        named = (value for name, value in record.headers if name == "ce_type" and value is not None)
        header = next(named, None)
        return None if header is None else header.decode(errors="replace")

    return type_of

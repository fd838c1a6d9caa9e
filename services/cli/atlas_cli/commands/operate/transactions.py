"""`atlas transactions`: which are open and hold back readers, and their end. Asks Kafka itself, not a service."""

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas_cli.terminal.help_groups import OPERATE, add
from atlas_cli.terminal.output import CommandError, JsonFlag, YesFlag, confirm, print_json, print_rows, say

if TYPE_CHECKING:
    from aiokafka import TopicPartition
    from atlas_kafka.cluster.transactions import OpenTransaction


def register(parent: typer.Typer) -> None:
    """Add the group of commands."""
    app = typer.Typer(no_args_is_help=True, help="Open transactions that hold back readers.")
    add(app, ls, "atlas transactions ls")
    add(app, abort, "atlas transactions abort etl-1", "atlas transactions abort --hanging bookings.events/0 --yes")
    parent.add_typer(app, name="transactions", rich_help_panel=OPERATE)


def ls(as_json: JsonFlag = False) -> None:
    """The oldest open transaction of each partition that has one: since when, how much it holds back, whose it is."""
    rows = asyncio.run(_rows())
    print_rows(rows, as_json=as_json, empty="no transaction is open")


def abort(
    transactional_id: Annotated[str, typer.Argument(help="Whose transaction to end.")] = "",
    hanging: Annotated[str, typer.Option(help="Instead: TOPIC/PARTITION whose oldest transaction hangs.")] = "",
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """End an open transaction as aborted: its records are never read, what came after them is."""
    if bool(transactional_id) == bool(hanging):
        raise CommandError("name a transactional id, or --hanging TOPIC/PARTITION")
    confirm("Its records will never be read, and its producer is shut out. Abort it?", yes=yes)
    if hanging:
        asyncio.run(_abort_hanging(_partition_of(hanging)))
        which = f"the oldest transaction of {hanging}"
    else:
        asyncio.run(_abort(transactional_id))
        which = f"the transaction of {transactional_id}"
    if as_json:
        print_json({"aborted": hanging or transactional_id})
    else:
        say(f"{which} is aborted")


async def _rows() -> list[dict[str, Any]]:
    from atlas_contracts.values.timestamps import rfc3339

    now_ms = time.time_ns() // 1_000_000
    rows = []
    for partition, (held, found) in (await _held()).items():
        since = None if found is None else found.started_at or found.last_write_at
        known = since is not None and 0 <= since <= now_ms
        rows.append(
            {
                "topic": partition.topic,
                "partition": partition.partition,
                "since": rfc3339(since) if known and since is not None else None,
                "seconds": round((now_ms - since) / 1000, 1) if known and since is not None else None,
                "records": held,
                "transactional_id": found.transactional_id if found else None,
                "producer_id": found.producer_id if found else None,
                "timeout_s": found.timeout_ms / 1000 if found and found.timeout_ms else None,
                "hanging": found.hanging if found else None,
            }
        )
    return rows


async def _held() -> "dict[TopicPartition, tuple[int, OpenTransaction | None]]":
    """What is held back, by partition: how many offsets, and the oldest open transaction."""
    from atlas_kafka.cluster.groups import open_reader, topic_ranges
    from atlas_kafka.cluster.transactions import open_transactions
    from atlas_kafka.internals.client import client_of

    from atlas_cli.connect import kafka_reader
    from atlas_cli.settings import load_settings

    settings = load_settings()
    async with (
        kafka_reader(settings) as reader,
        open_reader(settings.kafka_brokers, "atlas-cli", read_committed=False) as uncommitted,
    ):
        # Kafka's own __consumer_offsets has open transactions too, and no reader that one could help.
        topics = sorted(name for name in await reader.topics() if not name.startswith("__"))
        # High watermarks first: the other way round, what was written in between would look held back.
        high = await topic_ranges(uncommitted, topics)
        stable = await topic_ranges(reader, topics)
        held = {each: high[each][1] - end for each, (_, end) in stable.items() if each in high and high[each][1] > end}
        found = await open_transactions(client_of(reader), list(held))
    return {each: (count, found.get(each)) for each, count in sorted(held.items())}


async def _abort(transactional_id: str) -> None:
    from atlas_kafka.cluster.transactions import abort_of

    from atlas_cli.settings import load_settings

    held = await _held()
    places = [place for place, (_, found) in held.items() if found and found.transactional_id == transactional_id]
    if not places:
        raise CommandError(f"{transactional_id} holds back no partition; atlas transactions ls shows whose do")
    if hanging := [f"{place.topic}/{place.partition}" for place in places if _is_hanging(held[place])]:
        each = "; ".join(f"atlas transactions abort --hanging {place}" for place in hanging)
        raise CommandError(f"its coordinator has ended it, so it hangs, and each partition has to be freed: {each}")
    await abort_of(load_settings().kafka_brokers, transactional_id)


def _is_hanging(held: "tuple[int, OpenTransaction | None]") -> bool:
    return held[1] is not None and bool(held[1].hanging)


async def _abort_hanging(partition: "TopicPartition") -> None:
    from atlas_kafka.cluster.groups import open_reader
    from atlas_kafka.cluster.transactions import abort_hanging
    from atlas_kafka.internals.client import client_of

    from atlas_cli.settings import load_settings

    name = f"{partition.topic}/{partition.partition}"
    _, found = (await _held()).get(partition, (0, None))
    if found is None:
        raise CommandError(f"no open transaction is known in {name}")
    if not found.hanging:
        raise CommandError(f"{found.transactional_id} has it open in {name}: atlas transactions abort takes that id")
    async with open_reader(load_settings().kafka_brokers, "atlas-cli") as reader:
        await abort_hanging(client_of(reader), partition, found)


def _partition_of(text: str) -> "TopicPartition":
    from aiokafka import TopicPartition

    topic, _, number = text.rpartition("/")
    if not topic or not number.isascii() or not number.isdigit():
        raise CommandError(f"--hanging: {text!r}, expected TOPIC/PARTITION")
    return TopicPartition(topic, int(number))

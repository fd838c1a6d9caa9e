"""`atlas topics`: what is declared and what is there; with --create, what is missing is made."""

import asyncio
from typing import Annotated, Any

import typer

from atlas_cli.output import JsonFlag, print_rows


def register(parent: typer.Typer) -> None:
    """Add the command."""
    parent.command("topics")(topics)


def topics(
    create: Annotated[bool, typer.Option("--create", help="Make the declared topics that are missing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Every declared topic: partitions, offsets held, dead letters, retention, event types."""
    if create:
        asyncio.run(_create())
    rows = asyncio.run(_rows())
    if not as_json:
        rows = [{**row, "events": ", ".join(row["events"])} for row in rows]
    print_rows(rows, as_json=as_json)


async def _create() -> None:
    from atlas_kafka.admin import TopicSpec, ensure_topics

    from atlas_cli.connect import load_registry
    from atlas_cli.settings import load_settings

    settings = load_settings()
    await ensure_topics(settings.kafka_brokers, [TopicSpec(*topic) for topic in load_registry(settings).kafka_topics()])


async def _rows() -> list[dict[str, Any]]:
    from atlas_kafka.groups import topic_ranges

    from atlas_cli.connect import kafka_reader, load_registry
    from atlas_cli.settings import load_settings

    settings = load_settings()
    registry = load_registry(settings)
    names = [name for topic in registry.topics.values() for name in (topic.name, topic.dead_letter)]
    async with kafka_reader(settings) as reader:
        ranges = await topic_ranges(reader, names)
    held: dict[str, int] = {}
    for partition, (first, end) in ranges.items():
        held[partition.topic] = held.get(partition.topic, 0) + end - first
    return [
        {
            "topic": topic.name,
            "partitions": topic.partitions,
            # From the first offset to the end: more than the records where transactions left markers. None: not made.
            "offsets": held.get(topic.name),
            "dead_letters": held.get(topic.dead_letter),
            "retention": describe_retention(topic.retention_ms),
            "events": list(topic.events),
        }
        for topic in registry.topics.values()
    ]


def describe_retention(milliseconds: int) -> str:
    """As topics.yaml writes it: `30d`, `12h`, `forever`."""
    if milliseconds < 0:
        return "forever"
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds // 1000}s"

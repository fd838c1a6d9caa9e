"""`atlas topics`: what is there and how it differs from what is declared; --create and --apply mend that."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas_cli.terminal.help_groups import EVENTS, add
from atlas_cli.terminal.output import JsonFlag, print_rows, say

if TYPE_CHECKING:
    from atlas_kafka.cluster.topic_state import TopicState


def register(parent: typer.Typer) -> None:
    """Add the command."""
    add(parent, topics, "atlas topics", "atlas topics --create", group=EVENTS)


def topics(
    create: Annotated[bool, typer.Option("--create", help="Make the declared topics that are missing.")] = False,
    apply: Annotated[
        bool,
        typer.Option(
            "--apply", help="Make the topics as declared: the missing, more partitions, settings. Deletes nothing."
        ),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Every declared topic as it is: partitions, offsets held, dead letters, retention, and what differs."""
    if create:
        asyncio.run(_create())
    if apply:
        for line in asyncio.run(_apply()):
            say(line, err=True)
    rows = asyncio.run(_rows())
    if not as_json:
        rows = [{**row, **{name: ", ".join(row[name]) for name in ("events", "differs")}} for row in rows]
    print_rows(rows, as_json=as_json, spare=("events", "retention"))


async def _create() -> None:
    from atlas_kafka.cluster.admin import TopicSpec, ensure_topics

    from atlas_cli.connect import kafka_reader, load_registry
    from atlas_cli.settings import load_settings

    settings = load_settings()
    specs = [TopicSpec(*topic) for topic in load_registry(settings).kafka_topics()]
    async with kafka_reader(settings):  # which says so when no broker answers, where the admin would wait for one
        await ensure_topics(settings.kafka_brokers, specs)


async def _apply() -> list[str]:
    from atlas_kafka.cluster.admin import TopicSpec
    from atlas_kafka.cluster.topic_state import apply

    from atlas_cli.connect import kafka_reader, load_registry
    from atlas_cli.settings import load_settings

    settings = load_settings()
    async with kafka_reader(settings):  # which says so when no broker answers
        return await apply(
            settings.kafka_brokers, [TopicSpec(*topic) for topic in load_registry(settings).kafka_topics()]
        )


async def _rows() -> list[dict[str, Any]]:
    from atlas_kafka.cluster.admin import TopicSpec
    from atlas_kafka.cluster.groups import topic_ranges
    from atlas_kafka.cluster.topic_state import differences, topic_states
    from atlas_kafka.internals.client import client_of

    from atlas_cli.connect import kafka_reader, load_registry
    from atlas_cli.settings import load_settings

    settings = load_settings()
    registry = load_registry(settings)
    names = [name for topic in registry.topics.values() for name in (topic.name, topic.dead_letter)]
    async with kafka_reader(settings) as reader:
        ranges = await topic_ranges(reader, names)
        states = await topic_states(client_of(reader), names)
    specs = {spec.name: spec for spec in (TopicSpec(*topic) for topic in registry.kafka_topics())}
    held: dict[str, int] = {}
    for partition, (first, end) in ranges.items():
        held[partition.topic] = held.get(partition.topic, 0) + end - first
    return [
        {
            "topic": topic.name,
            "partitions": states[topic.name].partitions if topic.name in states else None,
            # From the first offset to the end: more than the records where transactions left markers. None: not made.
            "offsets": held.get(topic.name),
            "dead_letters": held.get(topic.dead_letter),
            "retention": _retention(states.get(topic.name)),
            "differs": [
                *differences(specs[topic.name], states.get(topic.name)),
                *(
                    f"{topic.dead_letter}: {what}"
                    for what in differences(specs[topic.dead_letter], states.get(topic.dead_letter))
                ),
            ],
            "events": list(topic.events),
        }
        for topic in registry.topics.values()
    ]


def _retention(state: "TopicState | None") -> str | None:
    return None if state is None else describe_retention(int(state.config["retention.ms"]))


def describe_retention(milliseconds: int) -> str:
    """As topics.yaml writes it: `30d`, `12h`, `forever`."""
    if milliseconds < 0:
        return "forever"
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds // 1000}s"

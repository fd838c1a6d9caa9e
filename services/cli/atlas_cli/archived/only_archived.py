"""Whether what a segment holds is on its topic still: if not, its manifest alone says that the archive has it."""

from atlas_archive.chain.manifests import offset_of

from atlas_cli.settings import CliSettings
from atlas_cli.topics.topic_reader import open_topic_reader


async def why_only_archived(settings: CliSettings, key: str) -> str | None:
    """Why the topic does not have the records of the segment whose manifest is at this key; None where it has them.

    Raises CommandError when no broker answers.
    """
    _root, topic, incarnation, _kind, partition, _name = key.split("/")
    start, number = offset_of(key), int(partition.removeprefix("partition="))
    async with open_topic_reader(settings.kafka_brokers) as reader:
        live = await reader.describe(topic)
    if live is None:
        return f"there is no topic {topic} any more"
    if live.incarnation != incarnation:
        return f"the topic {topic} was made again, and is {live.incarnation} now"
    first, end = live.bounds.get(number, (0, 0))
    if first <= start < end:
        return None
    return f"{topic}/{number} has the offsets from {first} to {end} by now, and the segment begins at {start}"

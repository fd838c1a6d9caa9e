"""Where a generation stands in the topics that are there now: positions are a topic's id's, not its name's."""

from collections.abc import Collection, Mapping

from aiokafka import TopicPartition
from atlas_errors.policy import Transient
from atlas_kafka.cluster.partitions_now import PartitionNow
from atlas_readmodel.postgres.topic_ids import Renewal
from atlas_readmodel.store import Rows


class MadeAnew(Transient):
    """A topic was deleted and made again, and the projection is to stop until somebody says what to do."""

    def __init__(self, projection: str, renewal: Renewal) -> None:
        super().__init__(
            f"{renewal.topic} was deleted and made again; to read the new one from its start and keep the rows:"
            f" atlas begin {projection}; to have rows of the new one alone, after that: atlas rebuild {projection}"
        )


async def stand(
    writer: Rows, partitions: Mapping[TopicPartition, PartitionNow], *, stops: Collection[str], projection: str
) -> tuple[dict[TopicPartition, int], list[Renewal]]:
    """The positions in these partitions, and which of them have just been begun anew.

    Positions that a version noted that knew no ids are taken for those of the topic that is there, if they lie within
    it. Raises MadeAnew for a topic among `stops`; then nothing is changed.
    """
    ids = {partition.topic: now.topic_id for partition, now in partitions.items()}
    places = [(partition.topic, partition.partition) for partition in partitions]
    await writer.add_positions(places, ids)
    await writer.adopt(ids, {(*partition,): now.end for partition, now in partitions.items()})
    renewals = outdated(await writer.topic_ids(), partitions)
    for renewal in renewals:
        if renewal.topic in stops:
            raise MadeAnew(projection, renewal)
    if renewals:
        await writer.renew(renewals)
    known = await writer.positions()
    return {partition: known[partition.topic, partition.partition] for partition in partitions}, renewals


def outdated(
    known: Mapping[tuple[str, int], str | None], partitions: Mapping[TopicPartition, PartitionNow]
) -> list[Renewal]:
    """The partitions whose position is of another topic than the one that is there."""
    return [
        Renewal(partition.topic, partition.partition, known[partition], now.topic_id, now.of)
        for partition, now in partitions.items()
        if partition in known and known[partition] != now.topic_id
    ]

"""Where a consumer goes on: within what there is of a partition, and past what can't be read of it."""

import time

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from atlas_kafka.cluster.partitions_now import PartitionNow
from atlas_kafka.consuming.sink import PositionBeyondEnd
from atlas_kafka.fetching.damage import ATTEMPTS, RETRY_EVERY_S
from atlas_kafka.fetching.fetch_by_id import FetchById
from atlas_kafka.metrics import BATCHES_SKIPPED, RECORDS_LOST

log = structlog.get_logger(__name__)


def within(group: str, partition: TopicPartition, offset: int, now: PartitionNow) -> int:
    """`offset`, or the partition's first where that was removed. Raises PositionBeyondEnd."""
    first, end = now.first, now.end
    if offset > end:
        raise PositionBeyondEnd(
            f"{group} is at offset {offset} of {partition.topic}/{partition.partition}, which ends at"
            f" {end}: the brokers have lost records that were read; restore them, or begin anew with that topic"
        )
    if offset >= first:
        return offset
    if offset > 0:
        RECORDS_LOST.labels(partition.topic, group).inc(first - offset)
        log.error(
            "retention deleted unread records",
            group=group,
            topic=partition.topic,
            partition=partition.partition,
            expected_offset=offset,
            first_offset=first,
        )
    return first


async def step_over_damage(consumer: AIOKafkaConsumer, fetching: FetchById, group: str) -> None:
    """Have batches that could not be read tried again after a while, and step over those tried often enough.

    What is stepped over is counted and logged with its place. It stays on the topic for as long as that keeps it.
    """
    now, damages = time.monotonic(), fetching.damages
    for place, damage in list(damages.waiting.items()):
        if damage.attempts < ATTEMPTS:
            damage.retry_at = damage.retry_at or now + RETRY_EVERY_S
            if now >= damage.retry_at:
                damage.retry_at = 0.0
                damages.again(place)
            continue
        end = await fetching.end_of_batch(place, damage.at)
        damages.again(place)
        if consumer.assignment().issuperset([place]):
            consumer.seek(place, end)
        BATCHES_SKIPPED.labels(place.topic, group).inc()
        log.error(
            "stepped over a damaged batch",
            group=group,
            topic=place.topic,
            partition=place.partition,
            first_offset=damage.at,
            next_offset=end,
            error=damage.reason,
        )

"""Records with only what is read of them: aiokafka's own take three times as long to make.

`give_light_records` has a consumer give these; all else about it stays what it is.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from atlas_kafka.fetching.damage import Buffer
from atlas_kafka.internals.fetching import Fetcher, FetchResult, make_records_by


class LightRecord(NamedTuple):
    """A record; `timestamp` in epoch milliseconds. Its partition is known from where it was found."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


# What the __new__ of a named tuple does, at a third of its cost.
_new: Callable[..., Any] = tuple.__new__


def give_light_records(consumer: AIOKafkaConsumer) -> None:
    """From now on `consumer.getmany` gives LightRecord. Call it right after `start()`."""
    fetcher = Fetcher(consumer)
    fetched = _Fetched(fetcher.buffer)
    fetched.damages = getattr(fetcher.buffer, "damages", None)
    fetcher.buffer = fetched


class _Fetched(Buffer):
    """Stands in for the fetcher's buffer: what is put in makes light records when it is taken apart."""

    def __setitem__(self, partition: TopicPartition, result: Any) -> None:
        if isinstance(result, FetchResult):
            make_records_by(result, _light)
        super().__setitem__(partition, result)


def _light(_partition: TopicPartition, record: Any) -> LightRecord:
    light: LightRecord = _new(LightRecord, (record.offset, record.timestamp, record.key, record.value, record.headers))
    return light

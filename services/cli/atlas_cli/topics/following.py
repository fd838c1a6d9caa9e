"""Read a topic from a chosen place and follow it: what `atlas tail` does, without the printing."""

import asyncio
import base64
import heapq
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from atlas_contracts.codec import Codec
from atlas_contracts.errors import Undecodable
from atlas_contracts.values.timestamps import rfc3339
from atlas_kafka.cluster.groups import topic_ranges

from atlas_cli.terminal.output import CommandError

POLL_MS = 250

_OFFSET = re.compile(r"[0-9]{1,19}")
_AGE = re.compile(r"-(\d{1,9})([smhd])")
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin in every partition; `value` is an offset, or epoch milliseconds for a time."""

    at: Literal["beginning", "end", "offset", "time"]
    value: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    """What to read: only records of this key and event type when given, at most `count`.

    With `until_end`, only what is on the topic when the reading begins.
    """

    topic: str
    start: Start
    key: bytes | None = None
    type: str | None = None
    count: int | None = None
    until_end: bool = False


@dataclass(slots=True)
class Looked:
    """How much has been looked through; `at_end` once all that was there at the beginning has been."""

    records: int = 0
    shown: int = 0
    at_end: bool = False


def parse_start(text: str, *, now_ms: int) -> Start:
    """`beginning`, `end`, an offset, a time or date (UTC unless it says otherwise), or an age such as -10m.

    Raises CommandError for anything else.
    """
    if text == "beginning":
        return Start("beginning")
    if text == "end":
        return Start("end")
    if _OFFSET.fullmatch(text):
        return Start("offset", int(text))
    if age := _AGE.fullmatch(text):
        return Start("time", max(0, now_ms - int(age[1]) * _UNIT_MS[age[2]]))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"--from {text}: not beginning, end, an offset, a time or an age like -10m") from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Start("time", max(0, int(aware.timestamp() * 1000)))  # brokers know no time before 1970


async def follow(
    reader: AIOKafkaConsumer,
    codec: Codec,
    query: Query,
    show: Callable[[dict[str, Any]], None],
    stop: asyncio.Event,
    watch: Callable[[Looked], None] = lambda _looked: None,
) -> int:
    """Show each record that fits the query until `stop`, its count or its end; returns how many were shown.

    Records of one partition come in order; those of several, as they arrive, by time where they arrive together.
    A record that can't be decoded is shown with its bytes and the reason. `watch` hears after each batch how much has
    been looked through. CommandError when there is no such topic.
    """
    ahead = await _seek(reader, query)
    looked = Looked()
    while not stop.is_set():
        # A transaction's marker is no record, but the position passes over it.
        ahead = {partition: end for partition, end in ahead.items() if await reader.position(partition) < end}
        looked.at_end = not ahead
        watch(looked)
        if looked.at_end and query.until_end:
            break
        batch = await reader.getmany(timeout_ms=POLL_MS)
        for record in heapq.merge(*batch.values(), key=lambda record: record.timestamp):
            looked.records += 1
            described = _described(record, codec, query)
            if described is None:
                continue
            show(described)
            looked.shown += 1
            if looked.shown == query.count:
                return looked.shown
    return looked.shown


async def _seek(reader: AIOKafkaConsumer, query: Query) -> dict[TopicPartition, int]:
    """Go to where the query begins; gives where each partition ends now."""
    ranges = await topic_ranges(reader, [query.topic])
    if not ranges:
        raise CommandError(f"no topic is named {query.topic}")
    reader.assign(list(ranges))
    for partition, offset in (await _start_offsets(reader, query.start, ranges)).items():
        reader.seek(partition, offset)
    return {partition: end for partition, (_, end) in ranges.items()}


async def _start_offsets(
    reader: AIOKafkaConsumer, start: Start, ranges: Mapping[TopicPartition, tuple[int, int]]
) -> dict[TopicPartition, int]:
    if start.at == "beginning":
        return {partition: first for partition, (first, _) in ranges.items()}
    if start.at == "end":
        return {partition: end for partition, (_, end) in ranges.items()}
    if start.at == "offset":
        # The same number in every partition; beyond a partition's records, their nearest end.
        return {partition: min(max(start.value, first), end) for partition, (first, end) in ranges.items()}
    found = await reader.offsets_for_times(dict.fromkeys(ranges, start.value))
    return {
        partition: found[partition].offset if found.get(partition) else end for partition, (_, end) in ranges.items()
    }


def _described(record: ConsumerRecord, codec: Codec, query: Query) -> dict[str, Any] | None:
    """The record for display; None when it does not fit the query."""
    if query.key is not None and record.key != query.key:
        return None
    headers = _texts(record.headers)
    described: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": _time(record.timestamp),
        "key": None if record.key is None else record.key.decode(errors="backslashreplace"),
    }
    try:
        event = codec.decode(record.value)
        described |= {"type": event.type, "schema_id": event.schema_id, "value": codec.to_json(event)}
    except Exception as error:  # noqa: BLE001 - whatever others have put there, it is shown
        described |= {
            "type": headers.get("ce_type"),
            "error": _reason(error),
            "bytes": None if record.value is None else base64.b64encode(record.value).decode(),
        }
    described["headers"] = headers
    return described if query.type is None or described["type"] == query.type else None


def _reason(error: Exception) -> str:
    if isinstance(error, Undecodable):
        return error.reason
    return "nested too deeply" if isinstance(error, RecursionError) else f"{type(error).__name__}: {error}"


def _time(epoch_ms: int) -> str:
    """A producer may have written any number."""
    try:
        return rfc3339(epoch_ms)
    except ValueError:
        return f"{epoch_ms} ms"


def _texts(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str | None]:
    return {name: None if value is None else value.decode(errors="backslashreplace") for name, value in headers}

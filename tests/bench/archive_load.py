"""What the archive's benchmark reads: a topic full of Avro values of one size, and the schemas folder that knows it."""

import io
import json
import random
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import yaml
from atlas_contracts.folder import Locked, read_schema, write_lock
from atlas_contracts.headers import cloud_event_headers
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics
from atlas_kafka.producing.producer import Outgoing, Producer, open_producer
from atlas_local.serverset import Servers

from tests.avro_records import TIMESTAMP, record
from tests.contexts import SCHEMAS

EVENT = "bench.OrderPlaced"
PATH = "bench/order_placed.v1.avsc"
HEARTBEAT = "health/heartbeat.v1.avsc"
SCHEMA_ID = 900
PARTITIONS = 4
_DISTINCT = 20_000  # values: far more than a block holds, so that it packs as real events would
_WORDS = ("fragile", "gift", "late", "ring", "twice", "behind", "garden", "shed", "left", "right", "door", "paid")
_SCHEMA = record(
    "bench.OrderPlaced",
    order_id="string",
    customer_id="string",
    placed_at=TIMESTAMP,
    currency="string",
    country="string",
    quantity="int",
    price_cents="long",
    discount_percent="double",
    express="boolean",
    coupon=["null", "string"],
    status={"type": "enum", "name": "Status", "symbols": ["NEW", "PAID", "SENT"]},
    note="string",
)


@dataclass(frozen=True, slots=True)
class Load:
    """A topic of `records` values of `size` bytes, framing included."""

    topic: str
    size: int
    records: int
    headers: bool = False


def write_schemas(folder: Path, topic: str) -> None:
    """A schemas folder that knows this topic alone, and the heartbeats."""
    for path, text in ((PATH, json.dumps(_SCHEMA)), (HEARTBEAT, (SCHEMAS / HEARTBEAT).read_text())):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    declared = yaml.safe_load((SCHEMAS / "topics.yaml").read_text())["topics"]
    ours = {"key": "customer_id", "events": [EVENT], "partitions": PARTITIONS, "retention": "forever"}
    topics = {"health.heartbeats": declared["health.heartbeats"], topic: ours}
    (folder / "topics.yaml").write_text(yaml.safe_dump({"topics": topics}))
    ids = {PATH: SCHEMA_ID, HEARTBEAT: 901}
    write_lock(folder, {path: Locked(number, read_schema(folder, path).sha256) for path, number in ids.items()})


async def fill(servers: Servers, load: Load) -> None:
    """Make the topic and put every record on it, spread evenly."""
    await ensure_topics(
        servers.kafka_brokers,
        [TopicSpec(load.topic, PARTITIONS, {"retention.ms": "-1"}), TopicSpec("health.heartbeats", 1)],
    )
    payloads = list(values(load.size))
    async with open_producer(servers.kafka_brokers, "bench") as producer:
        for partition in range(PARTITIONS):
            numbers = range(partition, load.records, PARTITIONS)
            await _send(producer, load, partition, [(n, payloads[n * 7 % _DISTINCT]) for n in numbers])


async def _send(producer: Producer, load: Load, partition: int, numbered: list[tuple[int, bytes]]) -> None:
    records = [
        Outgoing(
            load.topic,
            b"customer-%d" % (number % 50_000),
            value,
            _headers(number) if load.headers else [],
            1_760_000_000_000 + number,
            partition,
        )
        for number, value in numbered
    ]
    failed = [result for result in await producer.send_all(records) if isinstance(result, Exception)]
    assert not failed, failed[0]


def _headers(number: int) -> list[tuple[str, bytes]]:
    return cloud_event_headers(
        event_type=EVENT,
        source="/bench",
        subject=f"customer-{number % 50_000}",
        sequence=number % 1000,
        trace=[("traceparent", f"00-{number:032x}-{number:016x}-01".encode())],
    )


def values(size: int) -> Iterator[bytes]:
    """Framed orders of `size` bytes, no two alike, the same each time but for their times."""
    schema = fastavro.parse_schema(_SCHEMA)
    random_ = random.Random(2013)
    started = time.time_ns() // 1_000_000
    for number in range(_DISTINCT):
        order = {
            "order_id": str(uuid.UUID(int=random_.getrandbits(128))),
            "customer_id": str(uuid.UUID(int=random_.getrandbits(128))),
            "placed_at": started + number,
            "currency": random_.choice(["EUR", "USD", "GBP"]),
            "country": random_.choice(["DE", "FR", "US", "GB"]),
            "quantity": random_.randrange(1, 9),
            "price_cents": random_.randrange(100, 1_000_000),
            "discount_percent": random_.choice([0.0, 2.5, 10.0]),
            "express": random_.random() < 0.2,
            "coupon": None if random_.random() < 0.7 else "SPRING",
            "status": random_.choice(["NEW", "PAID", "SENT"]),
            "note": "",
        }
        text = ""
        while len(text) < size:
            text += random_.choice(_WORDS) + " "
        yield _of_size(schema, order, text, size)


def _of_size(schema: Any, order: dict[str, Any], text: str, size: int) -> bytes:
    """The order, framed, with as much of the text as makes it `size` bytes long."""
    note = max(0, size - len(_framed(schema, order)))
    for length in (note, note - 1):  # a longer text has a longer length before it
        value = _framed(schema, {**order, "note": text[:length]})
        if len(value) <= size:
            break
    return value


def _framed(schema: Any, order: dict[str, Any]) -> bytes:
    packed = io.BytesIO()
    fastavro.schemaless_writer(packed, schema, order)
    return b"\0" + SCHEMA_ID.to_bytes(4, "big") + packed.getvalue()

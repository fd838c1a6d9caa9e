"""Whatever a foreign producer puts on a topic: what can be read is projected, what can't is a dead letter."""

import itertools
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer
from atlas_hauls.projections.hauls import HAULS
from atlas_local.testing import MakeTopic

if TYPE_CHECKING:
    from tests.integration.projector.conftest import Rig

pytestmark = pytest.mark.integration

CODECS = (None, "gzip", "snappy", "lz4", "zstd")


def haul(rig: "Rig", name: str) -> bytes:
    value = {
        "haul_id": name, "carrier": "UA", "haul_number": 1, "truck_number": None, "origin": "EWR",
        "destination": "X", "scheduled_departure": 1, "distance_miles": 1,
    }  # fmt: skip
    return rig.codec.encode("hauls.HaulCancelled", value)


@pytest.mark.parametrize("append_time", [False, True])
@pytest.mark.parametrize("transactional", [False, True])
async def test_every_compression_transactions_null_and_empty(
    rig: "Rig", make_topic: MakeTopic, append_time: bool, transactional: bool
) -> None:
    """In one topic, in turns: batches of every codec, control records and aborted ones between them."""
    config = {"message.timestamp.type": "LogAppendTime"} if append_time else {}
    topic = await make_topic(partitions=1, config=config)
    await make_topic(f"{topic}.dlq", partitions=1)
    own = replace(rig, topic=topic)
    hauls = own.pointed(HAULS)
    expected: set[str] = set()
    unreadable = 0
    names = (f"f{number}" for number in itertools.count())
    for codec in CODECS:
        producer = AIOKafkaProducer(
            bootstrap_servers=rig.servers.kafka_brokers,
            compression_type=codec,
            transactional_id=f"foreign-{uuid.uuid4().hex}" if transactional else None,
        )
        await producer.start()
        try:
            if transactional:
                async with producer.transaction():
                    expected |= await send(own, producer, names)
                    unreadable += 2
                await producer.begin_transaction()
                await send(own, producer, names)
                await producer.abort_transaction()
            else:
                expected |= await send(own, producer, names)
                unreadable += 2
        finally:
            await producer.stop()
    await own.stores.of(hauls.model).ensure_live()
    async with own.running(own.live(hauls)):
        # The marker of the last transaction, and aborted records before it, have no offset that a position would name.
        await settled(own, hauls, expected, unreadable)
    assert {row["haul_id"] for row in await own.rows(hauls)} == expected
    reasons = {record.error for record in await own.waiting(hauls)}
    assert len(await own.waiting(hauls)) == unreadable, reasons


async def send(rig: "Rig", producer: AIOKafkaProducer, names: Any) -> set[str]:
    """With a key, an empty one and none; with headers, none and a name twice; no value and an empty one."""
    sent = set()
    forms: list[tuple[bytes | None, list[tuple[str, bytes]]]] = [
        (b"key", [("ce_type", b"hauls.HaulCancelled")]),
        (b"", []),
        (None, [("a", b"1"), ("a", b"2"), ("", b"")]),
    ]
    for key, headers in forms:
        name = next(names)
        sent.add(name)
        await producer.send(rig.topic, haul(rig, name), key=key, headers=headers, partition=0)
    await producer.send(rig.topic, None, key=b"gone", partition=0)
    await producer.send(rig.topic, b"", key=b"empty", partition=0)
    await producer.flush()
    return sent


async def settled(rig: "Rig", hauls: Any, expected: set[str], unreadable: int) -> None:
    from atlas_local.waiting import wait_until

    async def there() -> bool:
        rows = {row["haul_id"] for row in await rig.rows(hauls)}
        return rows >= expected and len(await rig.waiting(hauls)) >= unreadable

    await wait_until("all that can be read", there, 30)

"""Rows that Kafka refuses, of every kind: each parks its own key with the reason, and all other keys go on."""

import time

import pytest
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka_format.partitioning import key_hash
from atlas_local.waiting import wait_until
from atlas_outbox.parking import Choice, list_parked, retry
from atlas_outbox.shards import shard_of

pytestmark = pytest.mark.integration

_INSERT = "INSERT INTO outbox.records (key_hash, shard, topic, key, value, headers) VALUES ($1, $2, $3, $4, $5, $6)"
_PLAIN = b"\x00"
# Header sections that are none: empty, ending early, of a wrong number, with bytes behind them, of 5 GB.
HEADERS = {
    "empty": b"",
    "cut off": b"\x02\x10a",
    "too many": b"\x08\x02a\x02b",
    "more behind": b"\x00\x00\x00",
    "negative": b"\x01",
    "endless number": b"\xff" * 12,
    "huge length": b"\x02\xfe\xff\xff\xff\x0f",
}
TOPICS = {
    "none": "",
    "slash": "a/b",
    "dot": ".",
    "dots": "..",
    "accent": "né",
    "long": "x" * 250,
    "endless": "y" * 40_000,
}


async def insert(outbox, key: str, topic: str, value: bytes | None, headers: bytes = _PLAIN) -> None:
    shard = shard_of(topic, key.encode())
    await outbox.connection.execute(_INSERT, key_hash(key.encode()), shard, topic, key.encode(), value, headers)


async def parked(outbox) -> dict[str, str | None]:
    rows = await list_parked(outbox.connection, after=0, topic=None, waiting=True, limit=1000)
    return {row.key.decode(): row.error for row in rows if row.error is not None}


async def test_each_parks_its_own_key_with_the_reason(outbox, each_delivery, run_relay, make_topic, on_topic):
    topic = await make_topic(config={"max.message.bytes": "20000"})
    good = [(f"good-{n % 40}", n) for n in range(400)]
    await outbox.commit(*good[:200], topic=topic)
    for name, headers in HEADERS.items():
        await insert(outbox, f"headers {name}", topic, b"1", headers)
        await insert(outbox, f"headers {name}", topic, b"2")
    for name, odd in TOPICS.items():
        await insert(outbox, f"topic {name}", odd, b"1")
    await insert(outbox, "own topic", each_delivery.relay_progress_topic, b"1")
    for n in range(30):
        await insert(outbox, f"large {n}", topic, b"x" * (30_000 + n))
    await outbox.commit(*good[200:], topic=topic)
    began = time.monotonic()
    async with run_relay(each_delivery):
        await outbox.until_empty(seconds=40)
    took_s = time.monotonic() - began
    aside = await parked(outbox)
    expected = {f"headers {name}" for name in HEADERS} | {f"topic {name}" for name in TOPICS} | {"own topic"}
    assert set(aside) == expected | {f"large {n}" for n in range(30)}
    for key, error in aside.items():
        words = "no name of a topic" if key.startswith("topic") else "own topic" if key == "own topic" else ""
        assert error
        assert words in error, (key, error)
    assert "InvalidRecord" in aside["headers empty"]
    assert "MessageSizeTooLarge" in aside["large 0"]
    seen = await on_topic(topic).read()
    for key in {key for key, _ in good}:
        assert [n for k, n in seen if k == key] == [n for k, n in good if k == key]
    assert len(seen) == len(good)
    assert took_s < 30, "found by halving, and not one restart a row"


async def test_a_topic_deleted_and_made_again_under_the_relay(outbox, each_delivery, run_relay, make_topic, on_topic):
    """Its rows are parked within seconds and the other topic's go on; made again, it gets them in order."""
    doomed = await make_topic(partitions=2)
    async with run_relay(each_delivery), open_admin(each_delivery.kafka_brokers) as admin:
        await outbox.commit(*[("k", n) for n in range(3)], topic=doomed)
        await outbox.until_empty()
        await admin.delete_topics([doomed])

        async def gone() -> bool:
            return doomed not in await admin.list_topics()

        await wait_until("the topic to be gone", gone)
        await outbox.commit(*[("k", n) for n in range(3, 6)], topic=doomed)
        await outbox.commit(*[("other", n) for n in range(5)])
        began = time.monotonic()
        await outbox.delivered.until([("other", n) for n in range(5)])
        assert time.monotonic() - began < 6
        await wait_until("3 parked rows", lambda: _is(outbox.count("parked"), 3))
        assert await parked(outbox) == {"k": f"unknown topic {doomed!r}"}
        await make_topic(doomed, partitions=1)  # with fewer partitions than before
        assert await retry(outbox.connection, Choice(topic=doomed)) == 3
        await outbox.until_empty()
    assert await on_topic(doomed).read() == [("k", n) for n in range(3, 6)]


async def _is(count, expected: int) -> bool:
    return await count == expected

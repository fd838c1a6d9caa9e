"""Rows of the outbox that Kafka refuses, as a context with a fault could write them: each is set aside alone."""

import random
import uuid

import asyncpg
from atlas_kafka_format.partitioning import key_hash
from atlas_outbox.shards import shard_of

from tests.chaos.data_ledger import Ledger

_INSERT = "INSERT INTO outbox.records (key_hash, shard, topic, key, value, headers) VALUES ($1, $2, $3, $4, $5, $6)"
_PLAIN = b"\x00"
# No header sections: empty, ending early, of a wrong number, with bytes behind them, an endless number, 5 GB.
_HEADERS = (b"", b"\x02\x10a", b"\x08\x02a\x02b", b"\x00\x00\x00", b"\x01", b"\xff" * 12, b"\x02\xfe\xff\xff\xff\x0f")
_TOPICS = ("", "a/b", ".", "..", "né", "x" * 250, "y" * 40_000, "outbox.progress")
_LARGE_BYTES = 1_100_000


async def write_rows(dsn: str, ledger: Ledger) -> None:
    """Each kind once, between the rows of good yards."""
    rows = [("yards.events", b"x", headers) for headers in _HEADERS]
    rows += [(topic, b"x", _PLAIN) for topic in _TOPICS]
    rows.append(("yards.events", random.randbytes(_LARGE_BYTES), _PLAIN))
    connection = await asyncpg.connect(dsn)
    try:
        for topic, value, headers in rows:
            key = f"hostile-{uuid.uuid4().hex}".encode()
            await connection.execute(_INSERT, key_hash(key), shard_of(topic, key), topic, key, value, headers)
            ledger.sent["row of the outbox"] += 1
            ledger.parked.add(key)
    finally:
        await connection.close()


async def not_set_aside(dsn: str, ledger: Ledger) -> list[str]:
    """Rows that are not among those that the relay has set aside with their reason."""
    connection = await asyncpg.connect(dsn)
    try:
        aside = await connection.fetch("SELECT key FROM outbox.parked WHERE error IS NOT NULL")
    finally:
        await connection.close()
    return [
        f"row of the outbox: {key.decode()} is not set aside" for key in ledger.parked - {row["key"] for row in aside}
    ]

"""The writing side: rows that exist if and only if the caller's transaction commits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from atlas_kafka_format.headers import pack_headers
from atlas_kafka_format.partitioning import key_hash

from atlas_outbox.callers import Caller, fetch_within
from atlas_outbox.shards import shard_of

_INSERT = """
INSERT INTO outbox.records (key_hash, shard, topic, key, value, headers)
VALUES ($1, $2, $3, $4, $5, $6) RETURNING id
"""
_INSERT_MANY = """
INSERT INTO outbox.records (key_hash, shard, topic, key, value, headers)
SELECT key_hash, shard, topic, key, value, headers
FROM unnest($1::integer[], $2::smallint[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[])
    WITH ORDINALITY AS row (key_hash, shard, topic, key, value, headers, place)
ORDER BY place
RETURNING id
"""


@dataclass(frozen=True, slots=True)
class OutboxRecord:
    """One event, final: the relay sends these very bytes. A null value is a tombstone."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()

    @property
    def event_id(self) -> str | None:
        """The value of the header ce_id."""
        return next((value.decode() for name, value in self.headers if name == "ce_id" and value is not None), None)

    def row(self) -> tuple[int, int, str, bytes, bytes | None, bytes]:
        """The columns key_hash, shard, topic, key, value, headers."""
        return (
            key_hash(self.key),
            shard_of(self.topic, self.key),
            self.topic,
            self.key,
            self.value,
            pack_headers(self.headers),
        )


class Appended(NamedTuple):
    """A row that was written: `event_id` is the record's ce_id header, None without one; `row_id` the outbox's own."""

    event_id: str | None
    row_id: int


async def append(caller: Caller, record: OutboxRecord) -> Appended:
    """Write one row inside the caller's open transaction.

    `caller` is a connection of asyncpg or of its pool, or an AsyncConnection or AsyncSession of SQLAlchemy on asyncpg.
    Call it after the transaction holds the lock on the entity's row: ids are handed out here, and only that lock makes
    them rise in commit order per key. Raises RuntimeError outside a transaction, where the row could be committed
    without the state it tells of.
    """
    rows = await fetch_within(caller, _INSERT, *record.row())
    return Appended(record.event_id, rows[0][0])


async def append_many(caller: Caller, records: Iterable[OutboxRecord]) -> list[Appended]:
    """Write rows in one statement; the answer and the rows' ids are in the order of the records. As `append`."""
    written = list(records)
    columns = [list(column) for column in zip(*(record.row() for record in written), strict=True)] or [[]] * 6
    # Ids are handed out in the order of the SELECT; RETURNING promises no order, so it is made here.
    ids = sorted(row[0] for row in await fetch_within(caller, _INSERT_MANY, *columns))
    return [Appended(record.event_id, row_id) for record, row_id in zip(written, ids, strict=True)]

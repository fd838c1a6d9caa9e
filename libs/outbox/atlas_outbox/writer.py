"""The writing side: rows that exist if and only if the caller's transaction commits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from atlas_outbox.headers import pack_headers
from atlas_outbox.session import Connection
from atlas_outbox.shards import key_hash, shard_of

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


async def append(connection: Connection, record: OutboxRecord) -> int:
    """Write one row inside the caller's open transaction and return its id.

    Call it after the transaction holds the lock on the entity's row: ids are handed out here, and only that lock makes
    them rise in commit order per key. Raises RuntimeError outside a transaction, where the row could be committed
    without the state it tells of.
    """
    _require_transaction(connection)
    row_id: int = await connection.fetchval(_INSERT, *record.row())
    return row_id


async def append_many(connection: Connection, records: Iterable[OutboxRecord]) -> list[int]:
    """Write rows in one statement; the ids are in the order of the records. The rules of `append` apply."""
    _require_transaction(connection)
    rows = [record.row() for record in records]
    if not rows:
        return []
    columns = [list(column) for column in zip(*rows, strict=True)]
    # Ids are handed out in the order of the SELECT; RETURNING promises no order, so it is made here.
    return sorted(row["id"] for row in await connection.fetch(_INSERT_MANY, *columns))


def _require_transaction(connection: Connection) -> None:
    if not connection.is_in_transaction():
        raise RuntimeError("an outbox row must be written inside the transaction that changes the state")

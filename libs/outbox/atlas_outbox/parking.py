"""Rows that can't be sent, set aside with their error, and the later rows of their keys behind them, in order.

Parked rows keep their ids. Rows of a key rise in id, so rows that go back are claimed before every later row of their
key, and order per key stays. Going back and discarding raise the lease's `revision` in the same transaction: the
owner's next claim does not match and it reads anew which keys are parked.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from atlas_outbox.relaying.session import Connection

Key = tuple[str, bytes]

_LIST = """
SELECT id, topic, key, error, created_at, parked_at, (shard >> 3) AS shard_group, octet_length(value) AS value_bytes
FROM outbox.parked
WHERE id > $1 AND ($2::text IS NULL OR topic = $2) AND ($3 OR error IS NOT NULL) ORDER BY id LIMIT $4
"""
# The groups and keys that a choice of rows touches. A key goes back as a whole, because its order does.
_KEYS_OF = """
SELECT DISTINCT (shard >> 3) AS shard_group, topic, key FROM outbox.parked
WHERE ($1::bigint[] IS NULL OR id = ANY ($1)) AND ($2::text IS NULL OR topic = $2) AND parked_at <= $4
ORDER BY shard_group LIMIT $3
"""
_REVISE = "UPDATE outbox.leases SET revision = revision + 1 WHERE shard_group = $1"
_DISCARD = """
DELETE FROM outbox.parked WHERE (shard >> 3) = $1::smallint
    AND ($2::bigint[] IS NULL OR id = ANY ($2)) AND ($3::text IS NULL OR topic = $3)
"""
_GO_BACK = """
WITH back AS (
    DELETE FROM outbox.parked AS parked USING unnest($2::text[], $3::bytea[]) AS chosen (topic, key)
    WHERE (parked.shard >> 3) = $1::smallint AND parked.topic = chosen.topic AND parked.key = chosen.key
    RETURNING parked.*
)
INSERT INTO outbox.records (id, created_at, key_hash, shard, topic, key, value, headers)
SELECT id, created_at, key_hash, shard, topic, key, value, headers FROM back ORDER BY id
"""
# One transaction a group, and not more keys in one go than it can move quickly.
_KEYS_AT_ONCE = 10_000
# For one group's rows; a key may have hundreds of thousands.
_MOVE_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """A parked row; `error` is None for one that only waits behind an earlier row of its key."""

    id: int
    topic: str
    key: bytes
    error: str | None
    created_at: datetime
    parked_at: datetime
    group: int
    value_bytes: int | None

    def shown(self) -> dict[str, Any]:
        """For people: the key as text, or in base64 where it is none; what is no JSON yet as it is."""
        try:
            key = {"key": self.key.decode()}
        except UnicodeDecodeError:
            key = {"key_base64": b64encode(self.key).decode()}
        return {
            "id": self.id,
            "topic": self.topic,
            **key,
            "error": self.error,
            "created_at": self.created_at.isoformat(),
            "parked_at": self.parked_at.isoformat(),
            "group": self.group,
            "value_bytes": self.value_bytes,
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """Which parked rows: those with these ids, those of this topic, or all when both are None."""

    ids: Sequence[int] | None = None
    topic: str | None = None


async def list_parked(
    connection: Connection, *, after: int, topic: str | None, waiting: bool, limit: int
) -> list[ParkedRow]:
    """Parked rows with ids above `after`, by id; with `waiting` also those that only wait for another."""
    return [ParkedRow(*row) for row in await connection.fetch(_LIST, after, topic, waiting, limit)]


async def retry(connection: Connection, choice: Choice) -> int:
    """Send the keys of the chosen rows again, each with all its parked rows, in order. The number of rows moved."""
    return await _by_group(connection, choice, discard=False)


async def discard(connection: Connection, choice: Choice) -> int:
    """Delete the chosen rows for good and send on what waited behind them. The number of rows deleted."""
    return await _by_group(connection, choice, discard=True)


async def _by_group(connection: Connection, choice: Choice, *, discard: bool) -> int:
    ids = None if choice.ids is None else list(choice.ids)
    total = 0
    # What a relay parks again meanwhile is not gone after: that could go on for ever.
    until = await connection.fetchval("SELECT clock_timestamp()")
    while True:
        found = await connection.fetch(_KEYS_OF, ids, choice.topic, _KEYS_AT_ONCE, until)
        for group in sorted({row[0] for row in found}):
            keys = [(row[1], row[2]) for row in found if row[0] == group]
            total += await _change_group(connection, group, keys, choice if discard else None)
        if len(found) < _KEYS_AT_ONCE:
            return total


async def _change_group(connection: Connection, group: int, keys: Sequence[Key], discarded: Choice | None) -> int:
    """In one transaction: 1. the revision, which waits for the owner's statement in flight; 2. the rows."""
    async with connection.transaction():
        await connection.execute(_REVISE, group)  # 1
        deleted = 0
        if discarded is not None:  # 2
            ids = None if discarded.ids is None else list(discarded.ids)
            deleted = _count(await connection.execute(_DISCARD, group, ids, discarded.topic, timeout=_MOVE_TIMEOUT_S))
        names, values = [key[0] for key in keys], [key[1] for key in keys]
        back = await connection.execute(_GO_BACK, group, names, values, timeout=_MOVE_TIMEOUT_S)
    return _count(back) if discarded is None else deleted


def _count(tag: str) -> int:
    return int(tag.rsplit(" ", 1)[-1])

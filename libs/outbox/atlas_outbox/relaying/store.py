"""The outbox as its relay sees it: claim rows, delete those that were sent, and say who sends them.

Rows are claimed by state (they are there and visible), never by a cursor: ids are handed out at insert but rows appear
at commit, so a reader that keeps `id > last` skips the ones that commit late. Every claim begins at the first visible
row of its group: beginning above the last one sent, even for a moment, would send a later row of a key before an
earlier one that had not been visible yet. A claim may only leave out ids below which nothing can appear any more
(see horizon.py).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import cast

from atlas_outbox.parking import Key
from atlas_outbox.relaying.batches import Claim, Want
from atlas_outbox.relaying.horizon import Look
from atlas_outbox.relaying.leases import LeaseState
from atlas_outbox.relaying.sent import Row, Sent
from atlas_outbox.relaying.session import Connection
from atlas_outbox.shards import GROUPS

# Unless epoch and revision are still what the caller believes, the lease is not in the answer and nothing is read.
# First only the lengths are added up, which costs a tenth of reading the rows; what fits is counted one by one only
# when not all of it does. A window function over whole rows would copy each of them, and so would an ORDER BY of the
# UNION, which needs none: each group's rows come in the order of the index.
_CLAIM = """
WITH lease AS MATERIALIZED (
    SELECT want.shard_group, want.rows, want.floor
    FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::integer[], $6::bigint[])
        AS want (shard_group, epoch, revision, rows, floor)
    JOIN outbox.leases ON leases.shard_group = want.shard_group
        AND leases.epoch = want.epoch AND leases.revision = want.revision
)
SELECT shard_group, NULL::bigint AS id, NULL::integer AS key_hash, NULL::text AS topic, NULL::bytea AS key,
    NULL::bytea AS value, NULL::bytea AS headers
FROM lease
UNION ALL
SELECT lease.shard_group, row.* FROM lease CROSS JOIN LATERAL (
    SELECT id, key_hash, topic, key, value, headers FROM outbox.records
    WHERE (shard >> 3) = lease.shard_group AND id >= lease.floor ORDER BY id
    LIMIT CASE WHEN $5 >= (
        SELECT sum(octet_length(key) + coalesce(octet_length(value), 0) + octet_length(headers)) FROM (
            SELECT key, value, headers FROM outbox.records
            WHERE (shard >> 3) = lease.shard_group AND id >= lease.floor ORDER BY id LIMIT lease.rows
        ) AS visible
    ) THEN lease.rows ELSE (
        SELECT greatest(1, count(*)) FROM (
            SELECT sum(octet_length(key) + coalesce(octet_length(value), 0) + octet_length(headers))
                OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) AS upto
            FROM (
                SELECT id, key, value, headers FROM outbox.records
                WHERE (shard >> 3) = lease.shard_group AND id >= lease.floor ORDER BY id LIMIT lease.rows
            ) AS visible
        ) AS sized WHERE upto <= $5
    ) END
) AS row
"""

# Whoever owns the group by now: what was sent must not be there. Who still owns it is only told.
# `= ANY` and not a join with the ids: a join's order is the planner's choice, and one made from statistics of the empty
# table once read every row of the backlog for every id. An index scan with two arrays is the only plan left.
_DELETE = """
WITH gone AS (
    DELETE FROM outbox.records WHERE (shard >> 3) = ANY ($1::smallint[]) AND id = ANY ($3::bigint[])
)
SELECT held.shard_group
FROM (SELECT CASE WHEN $4 THEN set_config('synchronous_commit', 'on', true) END) AS flush LEFT JOIN (
    unnest($1::smallint[], $2::bigint[]) AS held (shard_group, epoch)
    JOIN outbox.leases ON leases.shard_group = held.shard_group AND leases.epoch = held.epoch
) ON true
"""
_IDENTITY = """
SELECT id, key, headers FROM outbox.records WHERE (shard >> 3) = ANY ($1::smallint[]) AND id = ANY ($2::bigint[])
"""
_DELETE_IDS = "DELETE FROM outbox.records WHERE (shard >> 3) = ANY ($1::smallint[]) AND id = ANY ($2::bigint[])"
_ALL_GROUPS = list(range(GROUPS))
# The sender's name must be on disk before its first record of the group is sent; and with the name taken off, all that
# was deleted before is on disk too. Only in the place of the name that was read: the statement of a connection that is
# given up may still come, after others of the same owner.
_SET_SENDER = """
WITH held AS MATERIALIZED (
    SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::text[]) AS held (shard_group, epoch, former)
    WHERE set_config('synchronous_commit', 'on', true) = 'on'
)
UPDATE outbox.leases AS lease SET sender = $4 FROM held
WHERE lease.shard_group = held.shard_group AND lease.epoch = held.epoch
    AND lease.sender IS NOT DISTINCT FROM held.former RETURNING lease.shard_group
"""
_SENDERS = "SELECT shard_group, sender FROM outbox.leases WHERE shard_group = ANY ($1::smallint[])"
_STATE = "SELECT shard_group, epoch, revision FROM outbox.leases WHERE shard_group = ANY ($1::smallint[])"
_LEASE = """
SELECT shard_group FROM outbox.leases
WHERE shard_group = $1 AND epoch = $2 AND revision = $3 FOR SHARE
"""
# Each id is looked up by itself (the LIMIT keeps the planner from turning the join round), as with the deletes above.
_PARK = """
WITH parked AS MATERIALIZED (
    SELECT record.*, aside.error FROM unnest($2::bigint[], $3::text[]) AS aside (id, error) CROSS JOIN LATERAL (
        SELECT * FROM outbox.records WHERE (shard >> 3) = $1::smallint AND records.id = aside.id LIMIT 1
    ) AS record
), gone AS (
    DELETE FROM outbox.records WHERE (shard >> 3) = $1::smallint AND id = ANY ($2::bigint[])
)
INSERT INTO outbox.parked (id, created_at, key_hash, shard, topic, key, value, headers, error)
SELECT id, created_at, key_hash, shard, topic, key, value, headers, error FROM parked
"""
_KEYS = "SELECT topic, key, min(id) FROM outbox.parked WHERE (shard >> 3) = $1::smallint GROUP BY topic, key"
_LAST_ID = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox.records', 'id')::regclass), 0)"
_WRITERS = """
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'outbox.records'::regclass AND mode = 'RowExclusiveLock' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Store:
    """The relaying side on one connection; used by one task at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def look(self) -> Look:
        """1. the last id; 2. the writers: in this order, or one who came between would be missed."""
        last_id = await self._connection.fetchval(_LAST_ID)  # 1
        writers = await self._connection.fetch(_WRITERS)  # 2
        return Look(last_id, frozenset(row[0] for row in writers))

    async def claim(self, wants: Sequence[Want], *, max_bytes: int) -> Claim:
        """Read each group's first visible rows: at most `max_bytes` of keys, values and headers, but always a row.

        A group missing from the answer's `groups` has another epoch or revision by now.
        """
        found = await self._connection.fetch(
            _CLAIM,
            [want.group for want in wants],
            [want.epoch for want in wants],
            [want.revision for want in wants],
            [want.rows for want in wants],
            max_bytes,
            [want.floor for want in wants],
        )
        # The leases come first, then the rows.
        matched = len({row[0] for row in found[: len(wants)] if row[1] is None})
        return Claim(cast("list[Row]", found[matched:]), {row[0] for row in found[:matched]})

    async def delete(self, epochs: Mapping[int, int], ids: Sequence[int], *, durable: bool) -> set[int]:
        """Delete rows that were sent, of these groups, in one transaction; with `durable` they and all that was deleted
        before are gone for good when it returns, otherwise a crash of PostgreSQL may bring the last ones back.

        `epochs` says for each group the epoch its owner holds; groups missing from the answer have another owner now.
        """
        found = await self._connection.fetch(_DELETE, list(epochs), list(epochs.values()), ids, durable)
        return {row[0] for row in found if row[0] is not None}

    async def delete_sent(self, batches: Sequence[Sent]) -> int:
        """Delete, durably, the rows of the batches that are all there, whatever their groups; the number of batches."""
        async with self._connection.transaction():
            await self._connection.execute("SET LOCAL synchronous_commit = on")
            ids = [row_id for batch in batches for row_id in batch.ids]
            there = {row[0]: (row[1], row[2]) for row in await self._connection.fetch(_IDENTITY, _ALL_GROUPS, ids)}
            left = [batch for batch in batches if batch.is_all_of(there)]
            await self._connection.execute(_DELETE_IDS, _ALL_GROUPS, [row_id for batch in left for row_id in batch.ids])
        return len(left)

    async def states(self, groups: Collection[int]) -> dict[int, LeaseState]:
        """Epoch and revision of these groups."""
        return {row[0]: LeaseState(*row) for row in await self._connection.fetch(_STATE, list(groups))}

    async def senders(self, groups: Collection[int]) -> dict[int, str | None]:
        """Who may have sent rows of each group that are still there: whom a new owner must fence first."""
        return {row[0]: row[1] for row in await self._connection.fetch(_SENDERS, list(groups))}

    async def set_sender(
        self, epochs: Mapping[int, int], former: Mapping[int, str | None], sender: str | None
    ) -> set[int]:
        """Write down, durably, who sends the rows of these groups from now on; None: all that was sent is deleted.

        Groups missing from the answer have other epochs by now, or another sender than `former` says.
        """
        names = [former[group] for group in epochs]
        return {
            row[0]
            for row in await self._connection.fetch(_SET_SENDER, list(epochs), list(epochs.values()), names, sender)
        }

    async def park(self, lease: tuple[int, int, int], errors: Mapping[int, str | None]) -> bool:
        """Move claimed, unsent rows of one group to the parked ones, by id with their errors. Durable when it returns.

        `lease` is group, epoch, revision. False when they are not so any longer; nothing is changed then.
        """
        async with self._connection.transaction():
            await self._connection.execute("SET LOCAL synchronous_commit = on")
            if await self._connection.fetchval(_LEASE, *lease) is None:
                return False
            await self._connection.execute(_PARK, lease[0], list(errors), list(errors.values()))
        return True

    async def parked_keys(self, group: int) -> dict[Key, int]:
        """The keys of the group's parked rows, each with the lowest parked id: rows of the key above it must wait."""
        return {(row[0], row[1]): row[2] for row in await self._connection.fetch(_KEYS, group)}

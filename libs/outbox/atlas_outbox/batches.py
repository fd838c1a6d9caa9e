"""Claiming rows, and deleting those that were sent.

Rows are claimed by state (they are there and visible), never by a cursor: ids are handed out at insert but rows appear
at commit, so a reader that keeps `id > last` skips the ones that commit late. Every claim begins at the first visible
row of its group: beginning above the last one sent, even for a moment, would send a later row of a key before an
earlier one that had not been visible yet. A claim may only leave out ids below which nothing can appear any more
(see horizon.py).
"""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from atlas_outbox.sent import Row, Sent
from atlas_outbox.session import Connection
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

# Until a commit is on disk the server can't mark what it deleted as dead for good, and every claim visits those rows
# again: after many rows the flush pays, after few the next claim should not wait for it.
FLUSH_FROM_ROWS = 500

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


@dataclass(frozen=True, slots=True)
class Want:
    """A group to claim from: as its owner believes it to be, at most `rows`, from the id `floor` on."""

    group: int
    epoch: int
    revision: int
    rows: int
    floor: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """The rows, in id order within a group, and the groups whose leases were as wanted."""

    rows: Sequence[Row]
    groups: Collection[int]


async def claim(connection: Connection, wants: Sequence[Want], *, max_bytes: int) -> Claim:
    """Read each group's first visible rows: at most `max_bytes` of keys, values and headers, but always a row.

    A group missing from the answer's `groups` has another epoch or revision by now.
    """
    found = await connection.fetch(
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


def slices_of(rows: Sequence[Row]) -> dict[int, tuple[int, int]]:
    """First and last place, counted from 1, of each group's rows, which lie side by side."""
    slices: dict[int, tuple[int, int]] = {}
    first, last = 1, len(rows)
    while first <= last:
        group = rows[first - 1][0]
        end = bisect_right(rows, False, first - 1, key=lambda row: row[0] != group)
        slices[group] = (first, end)
        first = end + 1
    return slices


async def delete(connection: Connection, epochs: Mapping[int, int], ids: Sequence[int], *, durable: bool) -> set[int]:
    """Delete rows that were sent, of these groups, in one transaction; with `durable` they and all that was deleted
    before are gone for good when it returns, otherwise a crash of PostgreSQL may bring the last ones back.

    `epochs` says for each group the epoch its owner holds; groups missing from the answer have another owner now.
    """
    found = await connection.fetch(_DELETE, list(epochs), list(epochs.values()), ids, durable)
    return {row[0] for row in found if row[0] is not None}


async def delete_sent(connection: Connection, batches: Sequence[Sent]) -> int:
    """Delete, durably, the rows of those batches that are all there, whatever their groups; the number of batches."""
    async with connection.transaction():
        await connection.execute("SET LOCAL synchronous_commit = on")
        ids = [row_id for batch in batches for row_id in batch.ids]
        there = {row[0]: (row[1], row[2]) for row in await connection.fetch(_IDENTITY, _ALL_GROUPS, ids)}
        left = [batch for batch in batches if batch.is_all_of(there)]
        await connection.execute(_DELETE_IDS, _ALL_GROUPS, [row_id for batch in left for row_id in batch.ids])
    return len(left)

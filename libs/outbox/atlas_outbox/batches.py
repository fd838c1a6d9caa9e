"""Claiming, finishing and forgetting batches: every write checks the lease's epoch in its own statement.

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
from uuid import UUID

from atlas_outbox.session import Connection

# group, id, key hash, topic, key, value, headers: what a claim gives. Plain tuples, because there are thousands.
Row = tuple[int, int, int, str, bytes, bytes | None, bytes]

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
# FOR SHARE makes a takeover (an UPDATE of the lease) wait for this statement, or this one see its result. The batch
# must be on disk before its rows are sent.
_PLEDGE = """
WITH lease AS MATERIALIZED (
    SELECT want.* FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::integer[], $5::integer[])
        AS want (shard_group, epoch, revision, first, last)
    JOIN outbox.leases ON leases.shard_group = want.shard_group
        AND leases.epoch = want.epoch AND leases.revision = want.revision
    FOR SHARE OF leases
)
INSERT INTO outbox.batches (shard_group, token, transactional_id, ids)
SELECT shard_group, $7, $8, ($6::bigint[])[first:last] FROM lease
WHERE set_config('synchronous_commit', 'on', true) = 'on'
RETURNING shard_group
"""

_HELD = """
WITH lease AS MATERIALIZED (
    SELECT held.shard_group FROM unnest($1::smallint[], $2::bigint[]) AS held (shard_group, epoch)
    JOIN outbox.leases ON leases.shard_group = held.shard_group AND leases.epoch = held.epoch
    FOR SHARE OF leases
)
"""
# Until a commit is on disk the server can't mark what it deleted as dead for good, and every claim visits those rows
# again: after many rows the flush pays, after few the next claim should not wait for it.
_FLUSH_FROM_ROWS = 500
_FLUSHED = "CASE WHEN {many} THEN set_config('synchronous_commit', 'on', true) = 'on' ELSE true END"

# `= ANY` and not a join with the ids: a join's order is the planner's choice, and one made from statistics of the empty
# table once read every row of the backlog for every id. An index scan with two arrays is the only plan left.
_FINISH = f"""{_HELD}, sent AS (
    DELETE FROM outbox.batches AS batch USING lease
    WHERE batch.shard_group = lease.shard_group AND batch.token = $3
    RETURNING batch.shard_group, batch.ids
), gone AS (
    DELETE FROM outbox.records WHERE (shard >> 3) = ANY (ARRAY(SELECT shard_group FROM sent))
        AND id = ANY (ARRAY(SELECT unnest(ids) FROM sent))
)
SELECT shard_group FROM lease
WHERE {_FLUSHED.format(many=f"(SELECT sum(cardinality(ids)) FROM sent) >= {_FLUSH_FROM_ROWS}")}
"""
_FORGET = f"""{_HELD}, forgotten AS (
    DELETE FROM outbox.batches AS batch USING lease
    WHERE batch.shard_group = lease.shard_group AND batch.token = $3
)
SELECT shard_group FROM lease
"""
_DELETE = f"""{_HELD}, gone AS (
    DELETE FROM outbox.records WHERE (shard >> 3) = ANY (ARRAY(SELECT shard_group FROM lease))
        AND id = ANY ($3::bigint[])
)
SELECT shard_group FROM lease WHERE {_FLUSHED.format(many=f"cardinality($3::bigint[]) >= {_FLUSH_FROM_ROWS}")}
"""
_LIST_PENDING = """
SELECT shard_group, token, transactional_id FROM outbox.batches WHERE shard_group = ANY ($1::smallint[])
"""


@dataclass(frozen=True, slots=True)
class Want:
    """A group to claim from: as its owner believes it to be, at most `rows`, from the id `floor` on."""

    group: int
    epoch: int
    revision: int
    rows: int
    floor: int = 0


@dataclass(frozen=True, slots=True)
class Pending:
    """A group's batch that may or may not have been sent, and the transactional id it was to be sent with."""

    group: int
    token: UUID
    transactional_id: str


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


async def pledge(
    connection: Connection, leases: Mapping[int, tuple[int, int]], rows: Sequence[Row], batch: tuple[UUID, str]
) -> set[int]:
    """Make these rows, claimed and in the order of the claim, the pending batch of their groups, durably.

    `leases` has epoch and revision of each group that has rows; `batch` the token and the transactional id. A group
    missing from the answer has others by now: it has no pending batch, and its rows must not be sent. Raises
    UniqueViolationError when a group's earlier batch is still pending.
    """
    slices = slices_of(rows)
    groups = list(slices)
    found = await connection.fetch(
        _PLEDGE,
        groups,
        [leases[group][0] for group in groups],
        [leases[group][1] for group in groups],
        [slices[group][0] for group in groups],
        [slices[group][1] for group in groups],
        [row[1] for row in rows],
        *batch,
    )
    return {row[0] for row in found}


def slices_of(rows: Sequence[Row]) -> dict[int, tuple[int, int]]:
    """First and last place, counted from 1 as in an array, of each group's rows, which lie side by side."""
    slices: dict[int, tuple[int, int]] = {}
    first, last = 1, len(rows)
    while first <= last:
        group = rows[first - 1][0]
        end = bisect_right(rows, False, first - 1, key=lambda row: row[0] != group)
        slices[group] = (first, end)
        first = end + 1
    return slices


async def finish(connection: Connection, epochs: Mapping[int, int], token: UUID) -> set[int]:
    """Delete the rows of the pending batches with this token, and the batches, in one transaction.

    `epochs` says for each group the epoch its owner holds; groups missing from the answer are held by another owner
    now and were left alone.
    """
    return await _held(connection, _FINISH, epochs, token)


async def forget(connection: Connection, epochs: Mapping[int, int], token: UUID) -> set[int]:
    """Delete the pending batches with this token and keep their rows; the answer is as for `finish`."""
    return await _held(connection, _FORGET, epochs, token)


async def delete(connection: Connection, epochs: Mapping[int, int], rows: Sequence[Row]) -> set[int]:
    """Delete rows that were sent without a pending batch; the answer is as for `finish`.

    Each row's group has an epoch.
    """
    held = {group: epochs[group] for group in {row[0] for row in rows}}
    return await _held(connection, _DELETE, held, [row[1] for row in rows])


async def pending(connection: Connection, groups: Collection[int]) -> list[Pending]:
    """The pending batches of these groups."""
    return [Pending(*row) for row in await connection.fetch(_LIST_PENDING, list(groups))]


async def _held(connection: Connection, statement: str, epochs: Mapping[int, int], *rest: object) -> set[int]:
    found = await connection.fetch(statement, list(epochs), list(epochs.values()), *rest)
    return {row[0] for row in found}

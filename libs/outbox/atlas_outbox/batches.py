"""Claiming, finishing and forgetting batches: every write checks the lease's epoch in its own statement.

Rows are claimed by state (they are there and visible), never by a cursor: ids are handed out at insert but rows appear
at commit, so a reader that keeps `id > last` skips the ones that commit late. Every claim begins at the first visible
row of its group: beginning above the last one sent, even for a moment, would send a later row of a key before an
earlier one that had not been visible yet.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from atlas_outbox.session import Connection

# group, id, key hash, topic, key, value, headers: what a claim gives. Plain tuples, because there are thousands.
Row = tuple[int, int, int, str, bytes, bytes | None, bytes]

# Unless epoch and revision are still what the caller believes, the lease is not in the answer and nothing is claimed.
# FOR SHARE makes a takeover (an UPDATE of the lease) wait for this statement, or this one see its result.
_LEASE = """
WITH lease AS MATERIALIZED (
    SELECT want.* FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::integer[])
        AS want (shard_group, epoch, revision, rows)
    JOIN outbox.leases ON leases.shard_group = want.shard_group
        AND leases.epoch = want.epoch AND leases.revision = want.revision
    FOR SHARE OF leases
), claimed AS MATERIALIZED (
    SELECT lease.shard_group, sized.* FROM lease CROSS JOIN LATERAL (
        SELECT id, key_hash, topic, key, value, headers,
            sum(size) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) - size AS before
        FROM (
            SELECT *, octet_length(key) + coalesce(octet_length(value), 0) + octet_length(headers) AS size
            FROM outbox.records
            WHERE (shard >> 3) = lease.shard_group
            ORDER BY id LIMIT lease.rows
        ) AS visible
    ) AS sized WHERE sized.before < $5
)
"""
# The pending batch must be on disk before its rows are sent. set_config is evaluated only when there is one, so an
# empty claim costs no flush; `true` makes it hold for this transaction alone.
_PENDING = """
, pending AS (
    INSERT INTO outbox.batches (shard_group, token, transactional_id, ids)
    SELECT shard_group, $6, $7, array_agg(id ORDER BY id) FROM claimed GROUP BY shard_group
    HAVING set_config('synchronous_commit', 'on', true) = 'on'
)
"""
_ROWS = """
SELECT lease.shard_group, id, key_hash, topic, key, value, headers
FROM lease LEFT JOIN claimed ON claimed.shard_group = lease.shard_group
ORDER BY lease.shard_group, id
"""
_CLAIM = _LEASE + _PENDING + _ROWS
_CLAIM_ONLY = _LEASE + _ROWS

_HELD = """
WITH lease AS MATERIALIZED (
    SELECT held.shard_group FROM unnest($1::smallint[], $2::bigint[]) AS held (shard_group, epoch)
    JOIN outbox.leases ON leases.shard_group = held.shard_group AND leases.epoch = held.epoch
    FOR SHARE OF leases
)
"""
_FINISH = f"""{_HELD}, sent AS (
    DELETE FROM outbox.batches AS batch USING lease
    WHERE batch.shard_group = lease.shard_group AND batch.token = $3
    RETURNING batch.shard_group, batch.ids
), gone AS (
    DELETE FROM outbox.records AS record USING (SELECT shard_group, unnest(ids) AS id FROM sent) AS done
    WHERE (record.shard >> 3) = done.shard_group AND record.id = done.id
)
SELECT shard_group FROM lease
"""
_FORGET = f"""{_HELD}, forgotten AS (
    DELETE FROM outbox.batches AS batch USING lease
    WHERE batch.shard_group = lease.shard_group AND batch.token = $3
)
SELECT shard_group FROM lease
"""
_DELETE = f"""{_HELD}, gone AS (
    DELETE FROM outbox.records AS record USING (
        SELECT lease.shard_group, done.id FROM lease
        JOIN unnest($3::smallint[], $4::bigint[]) AS done (shard_group, id) ON done.shard_group = lease.shard_group
    ) AS sent
    WHERE (record.shard >> 3) = sent.shard_group AND record.id = sent.id
)
SELECT shard_group FROM lease
"""
_LIST_PENDING = """
SELECT shard_group, token, transactional_id FROM outbox.batches WHERE shard_group = ANY ($1::smallint[])
"""


@dataclass(frozen=True, slots=True)
class Want:
    """A group to claim from: as its owner believes it to be, at most `rows`."""

    group: int
    epoch: int
    revision: int
    rows: int


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


async def claim(
    connection: Connection,
    wants: Sequence[Want],
    *,
    max_bytes: int,
    token: UUID,
    transactional_id: str | None,
) -> Claim:
    """Read each group's first visible rows and make them its pending batch, in one transaction, durably.

    Claims at most `max_bytes` of keys, values and headers a group, but always a row when there is one. With a
    transactional id of None no pending batch is written. A group missing from the answer's `groups` has another epoch
    or revision by now. Raises UniqueViolationError when a group's earlier batch is still pending.
    """
    columns = (
        [want.group for want in wants],
        [want.epoch for want in wants],
        [want.revision for want in wants],
        [want.rows for want in wants],
    )
    if transactional_id is None:
        found = await connection.fetch(_CLAIM_ONLY, *columns, max_bytes)
    else:
        found = await connection.fetch(_CLAIM, *columns, max_bytes, token, transactional_id)
    rows = [row for row in found if row[1] is not None]
    return Claim(cast("list[Row]", rows), {row[0] for row in found})


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
    """Delete rows that were sent without a pending batch; the answer is as for `finish`."""
    return await _held(connection, _DELETE, epochs, [row[0] for row in rows], [row[1] for row in rows])


async def pending(connection: Connection, groups: Collection[int]) -> list[Pending]:
    """The pending batches of these groups."""
    return [Pending(*row) for row in await connection.fetch(_LIST_PENDING, list(groups))]


async def _held(connection: Connection, statement: str, epochs: Mapping[int, int], *rest: object) -> set[int]:
    found = await connection.fetch(statement, list(epochs), list(epochs.values()), *rest)
    return {row[0] for row in found}

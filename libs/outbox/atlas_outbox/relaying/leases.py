"""Who relays which group of shards: leases with an epoch, timed by the database's clock alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from atlas_outbox.relaying.session import Connection
from atlas_outbox.shards import GROUPS

_REGISTER = """
INSERT INTO outbox.instances (instance, expires_at) VALUES ($1, clock_timestamp() + $2 * interval '1 second')
ON CONFLICT (instance) DO UPDATE SET expires_at = excluded.expires_at
"""
_FORGET_DEAD = "DELETE FROM outbox.instances WHERE expires_at < clock_timestamp() - interval '1 minute'"
_LIVE = "SELECT instance FROM outbox.instances WHERE expires_at >= clock_timestamp() ORDER BY instance"
# A lease that ran out but that nobody took is still its owner's: the epoch is what counts.
_RENEW = """
UPDATE outbox.leases SET expires_at = clock_timestamp() + $2 * interval '1 second' WHERE owner = $1
RETURNING shard_group, epoch
"""
# SKIP LOCKED: a lease that another instance is taking, or whose owner is in a statement, is left for the next round.
_TAKE = """
WITH free AS MATERIALIZED (
    SELECT shard_group FROM outbox.leases
    WHERE owner IS NULL OR expires_at < clock_timestamp()
    ORDER BY shard_group LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE outbox.leases AS lease
SET owner = $1, epoch = epoch + 1, expires_at = clock_timestamp() + $2 * interval '1 second'
FROM free WHERE lease.shard_group = free.shard_group
RETURNING lease.shard_group, lease.epoch
"""
_RELEASE = """
UPDATE outbox.leases AS lease SET owner = NULL, expires_at = '-infinity'
FROM unnest($2::smallint[], $3::bigint[]) AS held (shard_group, epoch)
WHERE lease.owner = $1 AND lease.shard_group = held.shard_group AND lease.epoch = held.epoch
"""


@dataclass(frozen=True, slots=True)
class LeaseState:
    """What the table says now."""

    group: int
    epoch: int
    revision: int


def fair_share(live: Sequence[str], instance: str) -> int:
    """How many of the 8 groups this instance should hold; over the live instances the shares add up to 8."""
    if instance not in live:
        return 0
    share, rest = divmod(GROUPS, len(live))
    return share + (sorted(live).index(instance) < rest)


async def renew(connection: Connection, instance: str, ttl_s: float) -> tuple[list[str], dict[int, int]]:
    """Say that this instance lives, and prolong what it holds: the live instances, and its groups' epochs."""
    async with connection.transaction():
        await connection.execute(_REGISTER, instance, ttl_s)
        await connection.execute(_FORGET_DEAD)
        held = await connection.fetch(_RENEW, instance, ttl_s)
        live = await connection.fetch(_LIVE)
    return [row[0] for row in live], {row[0]: row[1] for row in held}


async def take(connection: Connection, instance: str, ttl_s: float, at_most: int) -> dict[int, int]:
    """Take free or expired groups, each with a new epoch that shuts out its former owner: epochs by group."""
    return {row[0]: row[1] for row in await connection.fetch(_TAKE, instance, ttl_s, at_most)}


async def release(connection: Connection, instance: str, epochs: Mapping[int, int]) -> None:
    """Give groups back, if they are still held with these epochs."""
    await connection.execute(_RELEASE, instance, list(epochs), list(epochs.values()))


async def leave(connection: Connection, instance: str) -> None:
    """Give everything back and count as live no longer."""
    async with connection.transaction():
        _live, held = await renew(connection, instance, 0)
        await release(connection, instance, held)
        await connection.execute("DELETE FROM outbox.instances WHERE instance = $1", instance)

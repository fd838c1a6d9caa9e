"""How the outbox stands: cheap enough to ask every few seconds at any size."""

from dataclasses import asdict, dataclass
from typing import Any

from atlas_outbox.relaying.session import Connection

# Counting stops here; above it the server's own estimate of live rows, spread evenly, is good enough.
COUNT_TO = 1000

_GROUPS = """
SELECT lease.shard_group, lease.owner, lease.epoch, lease.expires_at > clock_timestamp() AS live,
    (SELECT count(*) FROM (
        SELECT 1 FROM outbox.records WHERE (shard >> 3) = lease.shard_group ORDER BY id LIMIT $1
    ) AS counted) AS backlog,
    (SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 FROM outbox.records
        WHERE (shard >> 3) = lease.shard_group ORDER BY id LIMIT 1) AS oldest_s,
    (SELECT count(*) FROM outbox.parked WHERE (shard >> 3) = lease.shard_group) AS parked
FROM outbox.leases AS lease ORDER BY lease.shard_group
"""
_ESTIMATE = """
SELECT coalesce(pg_stat_get_live_tuples('outbox.records'::regclass), 0),
    pg_total_relation_size('outbox.records'::regclass)
"""


@dataclass(frozen=True, slots=True)
class GroupStats:
    """One group of shards; `backlog` is exact up to COUNT_TO, `oldest_s` the age of the row with the lowest id."""

    group: int
    owner: str | None
    epoch: int
    live: bool
    backlog: int
    oldest_s: float | None
    parked: int


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """All groups, the rows to be sent (an estimate when a group has COUNT_TO or more) and the table's bytes on disk."""

    groups: list[GroupStats]
    backlog: int
    table_bytes: int

    def summary(self) -> dict[str, Any]:
        """In short, with the groups one by one."""
        return {
            "backlog_rows": self.backlog,
            "oldest_row_s": max((group.oldest_s or 0.0 for group in self.groups), default=0.0),
            "parked_rows": sum(group.parked for group in self.groups),
            "table_bytes": self.table_bytes,
            "groups": [asdict(group) for group in self.groups],
        }


async def read_stats(connection: Connection) -> OutboxStats:
    """Ask for all of it."""
    groups = [GroupStats(*row) for row in await connection.fetch(_GROUPS, COUNT_TO)]
    estimate, size = await connection.fetchrow(_ESTIMATE) or (0, 0)
    counted = sum(group.backlog for group in groups)
    full = any(group.backlog >= COUNT_TO for group in groups)
    return OutboxStats(groups, max(counted, estimate) if full else counted, size)

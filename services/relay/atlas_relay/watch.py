"""Side tasks: hearing the writers' nudges, and saying how the outbox stands."""

import asyncio
from collections.abc import Sequence

import asyncpg
import structlog
from atlas_errors.backoff import Backoff, wait_unless
from atlas_errors.metrics import RETRIES
from atlas_errors.policy import Fate, describe, fate_of
from atlas_outbox.relaying.listener import listening
from atlas_outbox.relaying.stats import OutboxStats, read_stats
from atlas_runtime.metrics import timed_query

from atlas_relay.lanes import Lane
from atlas_relay.metrics import BACKLOG_ROWS, OLDEST_SECONDS, PARKED_ROWS, TABLE_BYTES
from atlas_relay.waiting import first_of

_STATS_EVERY_S = 2.0

log = structlog.get_logger(__name__)


async def listen(dsn: str, lanes: Sequence[Lane], stop: asyncio.Event) -> None:
    """Wake the lanes at each nudge until `stop`. Without a connection they find new rows by polling."""

    def wake() -> None:
        for lane in lanes:
            lane.wake()

    backoff = Backoff()
    while not stop.is_set():
        lost = asyncio.Event()
        try:
            async with listening(dsn, wake, lost.set):
                backoff.reset()
                wake()
                await first_of(lost, stop)
        except Exception as error:
            if fate_of(error) is not Fate.TRANSIENT:
                raise
            RETRIES.labels("listen").inc()
            log.warning("will try again", what="listen", error=describe(error))
        if not stop.is_set():
            await backoff.wait(stop)


async def publish_stats(pool: "asyncpg.Pool[asyncpg.Record]", stop: asyncio.Event) -> None:
    """Keep the outbox's gauges fresh until `stop`. A failure leaves them as they are: the lanes report it."""
    while not stop.is_set():
        try:
            async with pool.acquire(timeout=2) as connection:
                with timed_query("outbox.stats"):
                    stats = await read_stats(connection)
            set_gauges(stats)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            log.warning("no outbox figures", error=describe(error))
        await wait_unless(stop, _STATS_EVERY_S)


def set_gauges(stats: OutboxStats) -> None:
    """Show these figures at /metrics."""
    BACKLOG_ROWS.set(stats.backlog)
    OLDEST_SECONDS.set(max((group.oldest_s or 0.0 for group in stats.groups), default=0.0))
    PARKED_ROWS.set(sum(group.parked for group in stats.groups))
    TABLE_BYTES.set(stats.table_bytes)

"""Reads where every consumer group stands, and the first record each has not consumed.

    app.serve()  →  watch_lag()  →  LagReader.read()  →  lag_rows

No group is joined and nothing is committed. A record is read once for a committed offset, not once a round.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from atlas_kafka.admin import open_admin
from atlas_kafka.fates import Fate, describe, fate_of
from atlas_kafka.groups import open_reader, topic_ranges
from atlas_kafka.starting import start_whole

from atlas_health_aggregator.groups import GroupOffsets, read_groups, retention_of
from atlas_health_aggregator.lag_rows import LagRow, Position, Scan, lag_row, scan_from, worst_first
from atlas_health_aggregator.settings import HealthAggregatorSettings

# A fetch answers with at least one whole batch whatever this says: one batch is all that is wanted.
FETCH_BYTES = 4096
# How long the broker holds a fetch that finds nothing, e.g. behind a trailing transaction marker.
FETCH_WAIT_MS = 20
SCAN_TIMEOUT_S = 1.0
ROUND_TIMEOUT_S = 15.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LagReport:
    """The rows of one round, worst first, and when it was taken (epoch milliseconds)."""

    taken_at: int
    rows: Sequence[LagRow]
    members: Mapping[str, int | None]


class LagReader:
    """Takes one round after the other over connections of its own, opened by the first. Use it as `async with`."""

    def __init__(self, settings: HealthAggregatorSettings) -> None:
        self._brokers = settings.kafka_brokers
        self._client_id = f"{settings.instance}-lag"
        self._groups = re.compile(settings.health_lag_groups)
        self._scans: dict[tuple[TopicPartition, int | None], Scan] = {}
        self._lock = asyncio.Lock()
        self._connections = AsyncExitStack()
        self._clients: tuple[AIOKafkaAdminClient, AIOKafkaConsumer] | None = None
        self.report = LagReport(0, (), {})

    async def __aenter__(self) -> "LagReader":
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._connections.aclose()

    async def read(self, max_age_s: float = 0.0) -> LagReport:
        """A report no older than `max_age_s`, kept as `report`; rounds are taken one at a time.

        Raises what the brokers answer, TimeoutError after 15 s.
        """
        async with self._lock, asyncio.timeout(ROUND_TIMEOUT_S):
            if _now_ms() - self.report.taken_at < max_age_s * 1000:
                return self.report
            admin, reader = await self._connected()
            groups = await read_groups(admin, self._groups)
            positions = await self._positions(groups, admin, reader)
            scans: dict[tuple[TopicPartition, int | None], Scan] = {}
            rows = []
            for position in positions:
                key = (TopicPartition(position.topic, position.partition), position.committed)
                scan = await _scan(reader, position, scans.get(key) or self._scans.get(key))
                if scan is not None:
                    scans[key] = scan
                rows.append(lag_row(position, scan, _now_ms()))
            reader.unsubscribe()  # else it goes on fetching between the rounds
            self._scans = scans
            self.report = LagReport(_now_ms(), worst_first(rows), {group.name: group.members for group in groups})
            return self.report

    async def _connected(self) -> tuple[AIOKafkaAdminClient, AIOKafkaConsumer]:
        if self._clients is None:
            async with AsyncExitStack() as stack:
                admin = await stack.enter_async_context(open_admin(self._brokers, self._client_id))
                reader = await stack.enter_async_context(_scanner(self._brokers, self._client_id))
                self._connections = stack.pop_all()
            self._clients = (admin, reader)
        return self._clients

    async def _positions(
        self, groups: Sequence[GroupOffsets], admin: AIOKafkaAdminClient, reader: AIOKafkaConsumer
    ) -> list[Position]:
        """Every partition of every topic that a group has committed to and that still exists."""
        topics = sorted({partition.topic for group in groups for partition in group.committed})
        ranges = await topic_ranges(reader, topics)
        high = await self._high_watermarks(groups, ranges)
        retention = await retention_of(admin, sorted({partition.topic for partition in ranges}))
        positions = []
        for group in groups:
            mine = {partition.topic for partition in group.committed}
            for partition, (start, end) in ranges.items():
                if partition.topic not in mine:
                    continue
                committed = group.committed.get(partition)
                if committed is not None and end < committed <= high.get(partition, end):
                    end = committed  # noqa: PLW2901 - it reads uncommitted records: all it wants is consumed
                positions.append(
                    Position(
                        group=group.name,
                        topic=partition.topic,
                        partition=partition.partition,
                        committed=committed,
                        start=start,
                        end=end,
                        members=group.members,
                        retention_ms=retention.get(partition.topic, -1),
                    )
                )
        return positions

    async def _high_watermarks(
        self, groups: Sequence[GroupOffsets], ranges: Mapping[TopicPartition, tuple[int, int]]
    ) -> Mapping[TopicPartition, int]:
        """The end with open transactions, of those partitions in which a group is past the last stable offset."""
        ahead = {
            partition
            for group in groups
            for partition, committed in group.committed.items()
            if partition in ranges and committed > ranges[partition][1]
        }
        if not ahead:
            return {}
        async with open_reader(self._brokers, "atlas-lag-uncommitted", read_committed=False) as reader:
            ends: Mapping[TopicPartition, int] = await reader.end_offsets(list(ahead))
        return ends


async def _scan(reader: AIOKafkaConsumer, position: Position, known: Scan | None) -> Scan | None:
    """Find the first unread record; what was found so far when it takes too long."""
    if known is not None and known.clean_until > position.end:
        known = None  # the topic was made anew
    at = scan_from(position, known)
    if at is None:
        return known
    origin = known.origin if known is not None and known.clean_until == at else at
    partition = TopicPartition(position.topic, position.partition)
    reader.assign([partition])
    reader.seek(partition, at)
    deadline = time.monotonic() + SCAN_TIMEOUT_S
    reached = at
    while reached < position.end and time.monotonic() < deadline:
        for records in (await reader.getmany(timeout_ms=FETCH_WAIT_MS, max_records=1)).values():
            return Scan(origin, records[0].offset, records[0].timestamp)
        reached = await reader.position(partition)
    return Scan(origin, reached, None)


@asynccontextmanager
async def _scanner(brokers: str, client_id: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A read-committed consumer without a group that fetches one batch at a time."""
    reader = AIOKafkaConsumer(
        bootstrap_servers=brokers,
        client_id=client_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    try:
        await start_whole(reader.start())
        yield reader
    finally:
        await reader.stop()


async def watch_lag(lag: LagReader, interval_s: float, on_state: Callable[[str | None], None]) -> None:
    """Take a round every `interval_s` until cancelled; `on_state` hears why a round failed, None when one succeeds.

    A passing fault leaves the last report standing; any other is raised.
    """
    while True:
        try:
            await lag.read()
        except Exception as error:
            if fate_of(error) is not Fate.TRANSIENT:
                raise
            log.warning("lag not read", error=describe(error))
            on_state(f"lag not read: {describe(error)}")
        else:
            on_state(None)
        await asyncio.sleep(interval_s)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

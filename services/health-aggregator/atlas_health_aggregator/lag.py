"""Reads where every consumer group stands, and the first record each has not consumed.

    app.serve()  →  watch_lag()  →  LagReader.read()  →  lag_rows

No group is joined and nothing is committed. A record is read once for a committed offset, not once a round.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from atlas_kafka.admin import open_admin
from atlas_kafka.fates import Fate, describe, fate_of
from atlas_kafka.groups import topic_ranges
from atlas_kafka.starting import start_whole
from atlas_kafka.transactions import OpenTransaction, open_transactions

from atlas_health_aggregator.blocked import Blockade, StandStill
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
    """The rows of one round, worst first, when it was taken (epoch milliseconds), and what blocks partitions."""

    taken_at: int
    rows: Sequence[LagRow]
    members: Mapping[str, int | None]
    blockades: Sequence[Blockade] = ()


@dataclass(frozen=True, slots=True)
class _Clients:
    admin: AIOKafkaAdminClient
    reader: AIOKafkaConsumer
    uncommitted: AIOKafkaConsumer


@dataclass(frozen=True, slots=True)
class _Range:
    """First offset, last stable offset and high watermark of a partition."""

    start: int
    stable: int
    end: int


class LagReader:
    """Takes one round after the other over connections of its own, opened by the first. Use it as `async with`."""

    def __init__(self, settings: HealthAggregatorSettings) -> None:
        self._brokers = settings.kafka_brokers
        self._client_id = f"{settings.instance}-lag"
        self._groups = re.compile(settings.health_lag_groups)
        self._scans: dict[tuple[TopicPartition, int | None], Scan] = {}
        self._lock = asyncio.Lock()
        self._connections = AsyncExitStack()
        self._clients: _Clients | None = None
        self._standing = StandStill(settings.health_blocked_after_s)
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
            clients = await self._connected()
            groups = await read_groups(clients.admin, self._groups)
            ranges = await _ranges(
                clients, sorted({partition.topic for group in groups for partition in group.committed})
            )
            blockades = await self._blockades(clients, ranges)
            positions = await _positions(groups, ranges, set(blockades), clients.admin)
            scans: dict[tuple[TopicPartition, int | None], Scan] = {}
            rows = []
            for position in positions:
                key = (TopicPartition(position.topic, position.partition), position.committed)
                scan = await _scan(clients, position, scans.get(key) or self._scans.get(key))
                if scan is not None:
                    scans[key] = scan
                rows.append(lag_row(position, scan, _now_ms()))
            for reader in (clients.reader, clients.uncommitted):
                reader.unsubscribe()  # else it goes on fetching between the rounds
            self._scans = scans
            members = {group.name: group.members for group in groups}
            self.report = LagReport(_now_ms(), worst_first(rows), members, list(blockades.values()))
            return self.report

    async def _connected(self) -> _Clients:
        if self._clients is None:
            async with AsyncExitStack() as stack:
                clients = _Clients(
                    await stack.enter_async_context(open_admin(self._brokers, self._client_id)),
                    await stack.enter_async_context(_scanner(self._brokers, self._client_id, "read_committed")),
                    await stack.enter_async_context(_scanner(self._brokers, self._client_id, "read_uncommitted")),
                )
                self._connections = stack.pop_all()
            self._clients = clients
        return self._clients

    async def _blockades(
        self, clients: _Clients, ranges: Mapping[TopicPartition, _Range]
    ) -> dict[TopicPartition, Blockade]:
        """The transactions that hold back partitions for longer than an ordinary one would."""
        now = time.monotonic()
        standing = self._standing.look({each: (span.stable, span.end) for each, span in ranges.items()}, now)
        found: Mapping[TopicPartition, OpenTransaction] = {}
        try:
            found = await open_transactions(clients.reader._client, list(standing))
        except KafkaError as error:
            log.warning("open transactions not read", error=describe(error))
        blockades = {}
        for partition, since in standing.items():
            transaction = found.get(partition)
            started_at = transaction.started_at if transaction is not None else None
            seen_at = _now_ms() - round((now - since) * 1000)
            span = ranges[partition]
            blockades[partition] = Blockade(
                partition.topic, partition.partition, started_at or seen_at, span.end - span.stable, transaction
            )
        return blockades


async def _ranges(clients: _Clients, topics: Sequence[str]) -> dict[TopicPartition, _Range]:
    """Of every partition of the topics that exist. The high watermark is asked last, so it is never the lower one."""
    stable = await topic_ranges(clients.reader, topics)
    high = await clients.uncommitted.end_offsets(list(stable)) if stable else {}
    return {each: _Range(first, end, max(end, high[each])) for each, (first, end) in stable.items()}


async def _positions(
    groups: Sequence[GroupOffsets],
    ranges: Mapping[TopicPartition, _Range],
    blocked: Set[TopicPartition],
    admin: AIOKafkaAdminClient,
) -> list[Position]:
    """Every partition of every topic that a group has committed to and that still exists."""
    retention = await retention_of(admin, sorted({partition.topic for partition in ranges}))
    return [
        Position(
            group=group.name,
            topic=partition.topic,
            partition=partition.partition,
            committed=group.committed.get(partition),
            start=span.start,
            stable=span.stable,
            end=span.end,
            members=group.members,
            retention_ms=retention.get(partition.topic, -1),
            blocked=partition in blocked,
        )
        for group in groups
        for partition, span in ranges.items()
        if partition.topic in {each.topic for each in group.committed}
    ]


async def _scan(clients: _Clients, position: Position, known: Scan | None) -> Scan | None:
    """Find the first unread record; what was found so far when it takes too long.

    What is committed is read as such; from the last stable offset on, what is there.
    """
    if known is not None and known.clean_until > position.end:
        known = None  # the topic was made anew
    at = scan_from(position, known)
    if at is None:
        return known
    origin = known.origin if known is not None and known.clean_until == at else at
    reached, unread_at = at, None
    if at < position.stable:
        reached, unread_at = await _first_record(clients.reader, position, at, position.stable)
    if unread_at is not None or reached < position.stable or reached >= position.end:
        return Scan(origin, reached, unread_at)
    reached, unread_at = await _first_record(clients.uncommitted, position, reached, position.end)
    return Scan(origin, reached, unread_at, open=True)


async def _first_record(reader: AIOKafkaConsumer, position: Position, at: int, end: int) -> tuple[int, int | None]:
    """Offset and time of the first record in [at, end); else how far there is none, and None."""
    partition = TopicPartition(position.topic, position.partition)
    reader.assign([partition])
    reader.seek(partition, at)
    deadline = time.monotonic() + SCAN_TIMEOUT_S
    reached = at
    while reached < end and time.monotonic() < deadline:
        for records in (await reader.getmany(timeout_ms=FETCH_WAIT_MS, max_records=1)).values():
            return records[0].offset, records[0].timestamp
        reached = await reader.position(partition)
    return reached, None


@asynccontextmanager
async def _scanner(brokers: str, client_id: str, isolation: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group that fetches one batch at a time."""
    reader = AIOKafkaConsumer(
        bootstrap_servers=brokers,
        client_id=client_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level=isolation,
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

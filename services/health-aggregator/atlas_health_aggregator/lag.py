"""Reads where every consumer group stands, and the first record each has not consumed.

    app.serve()  →  watch_lag()  →  LagReader.read()  →  lag_rows

No group is joined and nothing is committed. A record is read once for a committed offset, not once a round.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from atlas_errors.policy import Fate, describe, fate_of
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.cluster.groups import Member, topic_ranges
from atlas_kafka.cluster.replicas import Cluster, cluster_now
from atlas_kafka.cluster.topic_ids import topic_ids
from atlas_kafka.cluster.transactions import OpenTransaction, open_transactions
from atlas_kafka.internals.client import client_of

from atlas_health_aggregator.first_unread import first_unread, open_scanner
from atlas_health_aggregator.groups import read_groups, retention_of
from atlas_health_aggregator.judging.blocked import Blockade, StandStill
from atlas_health_aggregator.judging.lag_rows import LagRow, Position, Scan, lag_row, worst_first
from atlas_health_aggregator.judging.positions import Known, Range, positions_of
from atlas_health_aggregator.judging.remembered import Remembered
from atlas_health_aggregator.judging.status import Status
from atlas_health_aggregator.judging.statuses import OnPurpose, Statuses, of_groups
from atlas_health_aggregator.settings import HealthAggregatorSettings

ROUND_TIMEOUT_S = 15.0
# Of a round, for reading records that no round before has read: what is left has no seconds until the next one.
SCANS_S = 8.0
# The group of the archiver, which commits once a segment is stored.
ARCHIVER = "archiver"

# Topic id, partition, committed offset, whether that counts this topic.
_ScanKey = tuple[str | None, int, int | None, bool | None]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LagReport:
    """The rows of one round, worst first, and when it was taken (epoch milliseconds).

    `blockades`: what blocks partitions; `ours`: whether a group is one of the mesh's; `hidden`: how many groups more
    there are than are looked at; `ranges`: first offset and high watermark of partitions, of all topics where
    `health_metric_names` asks for them, and `cluster` where those live; `holders`: which member of a group has a
    partition; `took_s`: how long the round took; `statuses`: of the groups.
    """

    taken_at: int
    rows: Sequence[LagRow]
    members: Mapping[str, int | None]
    blockades: Sequence[Blockade] = ()
    ours: Mapping[str, bool] = field(default_factory=dict)
    hidden: int = 0
    ranges: Mapping[TopicPartition, tuple[int, int]] = field(default_factory=dict)
    cluster: Cluster = field(default_factory=Cluster)
    holders: Mapping[str, Mapping[TopicPartition, Member]] = field(default_factory=dict)
    took_s: float = 0.0
    statuses: Mapping[str, Status | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Clients:
    admin: AIOKafkaAdminClient
    reader: AIOKafkaConsumer
    uncommitted: AIOKafkaConsumer


class LagReader:
    """Takes one round after the other over connections of its own, opened by the first. Use it as `async with`."""

    def __init__(self, settings: HealthAggregatorSettings) -> None:
        self._brokers = settings.kafka_brokers
        self._client_id = f"{settings.instance}-lag"
        self._groups = re.compile(settings.health_lag_groups)
        self._services = settings.known_services
        self._all_topics = bool(settings.health_metric_names)
        self._remembered = Remembered()
        self._scans: dict[_ScanKey, Scan] = {}
        self._lock = asyncio.Lock()
        self._connections = AsyncExitStack()
        self._clients: _Clients | None = None
        self._standing = StandStill(settings.health_blocked_after_s)
        self._statuses = Statuses(settings.health_lag_interval_s, _on_purpose(settings))
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
            began = time.monotonic()
            clients = await self._connected()
            found, hidden = await read_groups(clients.admin, self._groups, self._services)
            groups = self._remembered.complete(found, time.monotonic())
            ids = await _ids_of(clients.reader, {topic for group in groups for topic in group.read})
            others = await _topics_of_people(clients.reader) if self._all_topics else set()
            ranges = await _ranges(clients, sorted(ids.keys() | others))
            cluster = await cluster_now(client_of(clients.reader), others) if self._all_topics else Cluster()
            blockades = await self._blockades(clients, ranges)
            retention = await retention_of(clients.admin, sorted(ids))
            same = self._remembered.same_topics(groups, ids)
            positions, left_out = positions_of(groups, ranges, Known(ids, same, blockades, retention))
            rows = self._statuses.follow(await self._rows(clients, positions), time.monotonic())
            self.report = LagReport(
                _now_ms(),
                worst_first(rows),
                {group.name: group.members for group in groups},
                list(blockades.values()),
                {group.name: group.ours for group in groups},
                hidden + left_out,
                {each: (span.start, span.end) for each, span in ranges.items()},
                cluster,
                {group.name: group.holders for group in groups},
                time.monotonic() - began,
                of_groups(rows),
            )
            return self.report

    async def _rows(self, clients: _Clients, positions: Sequence[Position]) -> list[LagRow]:
        """A row for each position, in SCANS_S: what can't be read by then has no seconds."""
        deadline = time.monotonic() + SCANS_S
        scans: dict[_ScanKey, Scan] = {}
        rows = []
        for position in positions:
            key = (position.topic_id, position.partition, position.committed, position.same_topic)
            known = scans.get(key) or self._scans.get(key)
            scan = await _scan(clients, position, known) if time.monotonic() < deadline else known
            if scan is not None:
                scans[key] = scan
            rows.append(lag_row(position, scan, _now_ms()))
        for reader in (clients.reader, clients.uncommitted):
            reader.unsubscribe()  # else it goes on fetching between the rounds
        self._scans = scans
        return rows

    async def _connected(self) -> _Clients:
        if self._clients is None:
            async with AsyncExitStack() as stack:
                clients = _Clients(
                    await stack.enter_async_context(open_admin(self._brokers, self._client_id)),
                    await stack.enter_async_context(open_scanner(self._brokers, self._client_id, "read_committed")),
                    await stack.enter_async_context(open_scanner(self._brokers, self._client_id, "read_uncommitted")),
                )
                self._connections = stack.pop_all()
            self._clients = clients
        return self._clients

    async def _blockades(
        self, clients: _Clients, ranges: Mapping[TopicPartition, Range]
    ) -> dict[TopicPartition, Blockade]:
        """The transactions that hold back partitions for longer than an ordinary one would."""
        now = time.monotonic()
        standing = self._standing.look({each: (span.stable, span.end) for each, span in ranges.items()}, now)
        found: Mapping[TopicPartition, OpenTransaction] = {}
        try:
            found = await open_transactions(client_of(clients.reader), list(standing))
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


async def _ranges(clients: _Clients, topics: Sequence[str]) -> dict[TopicPartition, Range]:
    """Of every partition of the topics that exist. The high watermark is asked last, so it is never the lower one."""
    stable = await topic_ranges(clients.reader, topics)
    high = await clients.uncommitted.end_offsets(list(stable)) if stable else {}
    return {each: Range(first, end, max(end, high[each])) for each, (first, end) in stable.items()}


async def _scan(clients: _Clients, position: Position, known: Scan | None) -> Scan | None:
    """The first unread record; None where what lies there can't be read: that row has no seconds, the others do."""
    try:
        return await first_unread(clients.reader, clients.uncommitted, position, known)
    except Exception as error:
        if fate_of(error) is Fate.TRANSIENT:
            raise
        place = f"{position.topic}/{position.partition}"
        log.warning("unread record not read", group=position.group, place=place, error=describe(error))
        return None


async def _ids_of(reader: AIOKafkaConsumer, wanted: Set[str]) -> dict[str, str]:
    """The ids of those topics that exist: what a member says that it wants may be no topic's name at all."""
    there: Set[str] = (await client_of(reader).fetch_all_metadata()).topics()
    return await topic_ids(client_of(reader), sorted(wanted & there))


async def _topics_of_people(reader: AIOKafkaConsumer) -> set[str]:
    """Every topic but those that brokers keep for themselves."""
    return {topic for topic in (await client_of(reader).fetch_all_metadata()).topics() if not topic.startswith("__")}


def _on_purpose(settings: HealthAggregatorSettings) -> OnPurpose:
    # A segment is on its way to the store for a while after it is closed, and is seen a round later.
    held_s = settings.archiver_segment_max_age_s + settings.health_lag_interval_s
    return OnPurpose({ARCHIVER: held_s}, re.compile(settings.health_late_groups))


async def watch_lag(
    lag: LagReader,
    interval_s: float,
    on_state: Callable[[str | None], None],
    on_report: Callable[[LagReport], None] = lambda _report: None,
) -> None:
    """Take a round every `interval_s` until cancelled.

    `on_report` hears what a round found, `on_state` why it failed, or None.

    A round that fails leaves the last report standing, whatever it failed of: who is alive is still judged.
    """
    while True:
        try:
            on_report(await lag.read())
        except Exception as error:
            log.warning("lag not read", error=describe(error), exc_info=fate_of(error) is not Fate.TRANSIENT)
            on_state(f"lag not read: {describe(error)}")
        else:
            on_state(None)
        await asyncio.sleep(interval_s)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

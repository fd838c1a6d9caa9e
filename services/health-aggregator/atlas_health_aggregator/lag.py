"""Reads where every consumer group stands, and the first record each has not consumed.

    app.serve()  →  watch_lag()  →  LagReader.read()  →  GroupReader, Unread  →  lags()  →  Statuses  →  Rows

No group is joined and nothing is committed. A record is read once for a committed offset, not once a round.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import structlog
from aiokafka import AIOKafkaClient, AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
)
from atlas_errors.policy import Fate, describe, fate_of
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_kafka.cluster.members import Member, holders_of
from atlas_kafka.cluster.replicas import Cluster, cluster_now
from atlas_kafka.cluster.topic_ids import topic_ids
from atlas_kafka.cluster.transactions import OpenTransaction, open_transactions
from atlas_kafka.internals.client import client_of
from atlas_runtime.observing.loops import Loop

from atlas_health_aggregator.groups import GroupOffsets, GroupReader
from atlas_health_aggregator.judging.blocked import Blockade, StandStill
from atlas_health_aggregator.judging.columns import StandsReader, lags
from atlas_health_aggregator.judging.lag_rows import Lag, LagRow
from atlas_health_aggregator.judging.layout import Places, Range
from atlas_health_aggregator.judging.remembered import Remembered
from atlas_health_aggregator.judging.rows import Round, Rows, TopicLag
from atlas_health_aggregator.judging.status import Status
from atlas_health_aggregator.judging.statuses import OnPurpose, Statuses, of_groups
from atlas_health_aggregator.settings import HealthAggregatorSettings
from atlas_health_aggregator.topic_configs import TopicConfigs
from atlas_health_aggregator.unread import Unread

ROUND_TIMEOUT_S = 15.0
# That ends it, too.
COORDINATOR_WAIT_S = 0.5
_COORDINATORS_MOVE = (GroupLoadInProgressError, GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError)
# The group of the archiver, which commits once a segment is stored.
ARCHIVER = "archiver"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LagReport:
    """The rows of one round, worst first, and when it was taken (epoch milliseconds).

    `blockades`: what blocks partitions; `ours`: whether a group is one of the mesh's; `hidden`: how many groups more
    there are than are looked at; `ranges`: first offset and high watermark of partitions, of all topics where
    `health_metric_names` asks for them, and `cluster` where those live, and `holders`: which member of a group has a
    partition; `took_s`: how long the round took; `statuses`: of the groups, and `groups` what the brokers say of them;
    `sums`: of groups and topics, worst first, and `topics` more of them, by name. Groups `apart` have series by
    partition, of the rows that are `shown`; others have not. `clocks`: whose the times of each topic's records are.
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
    groups: Mapping[str, GroupOffsets] = field(default_factory=dict)
    sums: Mapping[tuple[str, str], Lag] = field(default_factory=dict)
    topics: Sequence[TopicLag] = ()
    apart: Set[str] = frozenset()
    shown: Sequence[LagRow] | None = None
    clocks: Mapping[str, str] = field(default_factory=dict)

    @property
    def series(self) -> Sequence[LagRow]:
        """The rows that have series by partition: all where it is not said which are `shown`."""
        shown = self.rows if self.shown is None else self.shown
        return shown.made if isinstance(shown, Rows) else shown

    @property
    def sums_only(self) -> list[TopicLag]:
        """Groups and topics that have no series by partition."""
        return [each for each in self.topics if each.group not in self.apart]


@dataclass(frozen=True, slots=True)
class _Clients:
    admin: AIOKafkaAdminClient
    reader: AIOKafkaConsumer
    uncommitted: AIOKafkaConsumer


class LagReader:
    """Takes one round after the other over connections of its own, opened by the first. Use it as `async with`."""

    def __init__(self, settings: HealthAggregatorSettings) -> None:
        self._settings = settings
        self._client_id = f"{settings.instance}-lag"
        self._wanted = re.compile(settings.health_lag_groups)
        self._all_topics = bool(settings.health_metric_names)
        self._groups = GroupReader()
        self._configs = TopicConfigs()
        self._remembered = Remembered()
        self._stands = StandsReader()
        self._unread = Unread()
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
            if _now_ms() - self.report.taken_at >= max_age_s * 1000:
                self.report = await self._round()
            return self.report

    async def _round(self) -> LagReport:
        began = time.monotonic()
        clients = await self._connected()
        client = client_of(clients.reader)
        found, hidden = await self._found(client)
        groups = self._remembered.complete(found, time.monotonic())
        metadata = await client.fetch_all_metadata()
        there: Set[str] = metadata.topics()
        # What a member says that it wants may be no topic's name at all.
        ids = await topic_ids(client, sorted({topic for group in groups for topic in group.read} & there))
        others = {topic for topic in there if not topic.startswith("__")} if self._all_topics else set()
        # Groups were asked before, and ends are asked last: so nobody is ever past an end that is the older figure.
        ranges = await _ranges(clients, sorted(ids.keys() | others))
        cluster = await cluster_now(client, others) if self._all_topics else Cluster()
        blockades = await self._blockades(clients, ranges)
        configs = await self._configs.of(clients.admin, ids.keys())
        places = Places.of(ranges, ids, blockades)
        stands = self._stands.read(groups, places)
        scans = await self._unread.read(client, stands, metadata.leader_for_partition)
        measured = lags(stands, scans, _now_ms())
        await asyncio.sleep(0)
        this = Round(measured, self._statuses.follow(measured, time.monotonic()), configs)
        await asyncio.sleep(0)
        apart = self._apart(this, groups)
        return LagReport(
            measured.now_ms,
            Rows(this),
            {group.name: group.members for group in groups},
            list(blockades.values()),
            {group.name: group.ours for group in groups},
            hidden,
            {each: (span.start, span.end) for each, span in ranges.items()},
            cluster,
            {group.name: holders_of(group.who) for group in groups} if self._all_topics else {},
            time.monotonic() - began,
            of_groups(stands.layout, this.judged.status),
            {group.name: group for group in groups},
            this.sums(),
            this.by_topic(),
            apart,
            Rows(this).of_groups(apart),
            {topic: config.clock for topic, config in configs.items() if config.clock is not None},
        )

    async def _found(self, client: AIOKafkaClient) -> tuple[list[GroupOffsets], int]:
        """The groups. Coordinators that have just become such, as after a start of the brokers, are waited for."""
        while True:
            try:
                return await self._groups.read(client, self._wanted, self._settings.known_services)
            except _COORDINATORS_MOVE as error:
                log.info("coordinators move", error=describe(error))
                await asyncio.sleep(COORDINATOR_WAIT_S)

    def _apart(self, this: Round, groups: Sequence[GroupOffsets]) -> set[str]:
        """The mesh's own groups have series by partition, and of others as many as there is room for."""
        sizes = this.group_sizes()
        room, apart = self._settings.health_lag_partitions_max, set()
        for group in sorted(groups, key=lambda each: (not each.ours, each.name)):
            if (size := sizes.get(group.name, 0)) <= room:
                apart.add(group.name)
                room -= size
        return apart

    async def _connected(self) -> _Clients:
        if self._clients is None:
            async with AsyncExitStack() as stack:
                brokers, client_id = self._settings.kafka_brokers, self._client_id
                clients = _Clients(
                    await stack.enter_async_context(open_admin(brokers, client_id)),
                    await stack.enter_async_context(open_reader(brokers, client_id)),
                    await stack.enter_async_context(open_reader(brokers, client_id, read_committed=False)),
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


def _on_purpose(settings: HealthAggregatorSettings) -> OnPurpose:
    # A segment is on its way to the store for a while after it is closed, and is seen a round later.
    held_s = settings.archiver_segment_max_age_s + settings.health_lag_interval_s
    return OnPurpose({ARCHIVER: held_s}, re.compile(settings.health_late_groups))


async def watch_lag(
    lag: LagReader,
    interval_s: float,
    on_state: Callable[[str | None], None],
    on_report: Callable[[LagReport], None] = lambda _report: None,
    loop: Loop | None = None,
) -> None:
    """Take a round every `interval_s` until cancelled.

    `on_report` hears what a round found, `on_state` why it failed, or None, and `loop` what is done.

    A round that fails leaves the last report standing, whatever it failed of: who is alive is still judged.
    """
    loop = loop or Loop("lag")
    while True:
        loop.does("read lag")
        try:
            on_report(await lag.read())
            loop.moved()
        except Exception as error:
            log.warning("lag not read", error=describe(error), exc_info=fate_of(error) is not Fate.TRANSIENT)
            on_state(f"lag not read: {describe(error)}")
        else:
            on_state(None)
        loop.waits("the next round")
        await asyncio.sleep(interval_s)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

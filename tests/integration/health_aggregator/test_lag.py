"""Lag on a real broker: quiet topics, dead groups, transactions, retention."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import CorruptRecordException
from atlas_health_aggregator.judging.lag_rows import LagRow, LagState
from atlas_health_aggregator.lag import LagReader, watch_lag
from atlas_health_aggregator.settings import HealthAggregatorSettings
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics, open_admin
from atlas_kafka.cluster.topic_ids import topic_ids
from atlas_kafka.fetching.foreignrecords import records_in
from atlas_kafka.producing.producer import Outgoing, open_producer, send_all
from atlas_kafka.producing.transactional import open_transactional_producer
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until

from tests.integration.health_aggregator.newer_member import NewerMember

pytestmark = pytest.mark.integration


@pytest.fixture
async def lag(servers: Servers, name: str) -> AsyncIterator[LagReader]:
    settings = HealthAggregatorSettings(
        kafka_brokers=servers.kafka_brokers, instance=name, health_lag_groups=f"{name}.*"
    )
    async with LagReader(settings) as reader:
        yield reader


async def _rows(lag: LagReader) -> dict[int, LagRow]:
    return {row.partition: row for row in (await lag.read()).rows}


async def _produce(servers: Servers, topic: str, count: int, age_s: float = 0, partition: int = 0) -> int:
    """Records whose timestamps are `age_s` in the past, 1 ms apart; the first one's timestamp in milliseconds."""
    first = time.time_ns() // 1_000_000 - round(age_s * 1000)
    async with open_producer(servers.kafka_brokers, "test") as producer:
        records = [Outgoing(topic, None, b"x", timestamp_ms=first + n, partition=partition) for n in range(count)]
        for result in await send_all(producer, records):
            assert not isinstance(result, Exception), result
    return first


async def _commit(servers: Servers, group: str, offsets: dict[tuple[str, int], int]) -> None:
    """Commit for the group, and leave it without members."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers.kafka_brokers, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = {TopicPartition(topic, partition): offset for (topic, partition), offset in offsets.items()}
        consumer.assign(list(partitions))
        await consumer.commit(partitions)
    finally:
        await consumer.stop()


async def _transaction(servers: Servers, topic: str, count: int, *, abort: bool = False) -> None:
    async with open_transactional_producer(servers.kafka_brokers, "test", f"{topic}-tx") as producer:
        await producer.begin_transaction()
        for _ in range(count):
            await producer.send_and_wait(topic, b"x", partition=0)
        await (producer.abort_transaction() if abort else producer.commit_transaction())


async def test_a_dead_group_on_a_quiet_topic(
    servers: Servers, make_topic: MakeTopic, lag: LagReader, name: str
) -> None:
    topic = await make_topic(partitions=2, config={"retention.ms": "3600000"})
    await _produce(servers, topic, 5, age_s=600)
    await _produce(servers, topic, 1, age_s=100, partition=1)
    await _commit(servers, name, {(topic, 0): 3, (topic, 1): 1})

    rows = await _rows(lag)
    behind, caught_up = rows[0], rows[1]
    assert (behind.group, behind.topic, behind.committed, behind.end) == (name, topic, 3, 5)
    assert (behind.lag_records, behind.state, behind.members) == (2, LagState.NO_MEMBERS, 0)
    assert behind.lag_seconds == pytest.approx(600, abs=5)
    assert behind.retention_margin_s == pytest.approx(3000, abs=5)
    assert (caught_up.lag_records, caught_up.lag_seconds, caught_up.state) == (0, 0.0, LagState.CAUGHT_UP)

    # Quiet: nothing is produced, and the seconds go on counting.
    before = behind.lag_seconds
    assert before is not None
    await wait_until("the lag grows with time", lambda: _older(lag, before + 0.2), 5)
    await _commit(servers, name, {(topic, 0): 5})
    assert (await _rows(lag))[0].lag_seconds == 0.0


async def test_every_topic_has_its_ends_where_names_of_others_ask_for_them(
    servers: Servers, make_topic: MakeTopic, lag: LagReader, name: str
) -> None:
    """Also one that nobody reads, for a rate of what comes in; without those names only what groups read is asked."""
    read, nobodys = await make_topic(partitions=1), await make_topic(partitions=2)
    await _produce(servers, read, 3)
    await _produce(servers, nobodys, 4, partition=1)
    await _commit(servers, name, {(read, 0): 1})
    assert (await lag.read()).ranges == {TopicPartition(read, 0): (0, 3)}
    settings = HealthAggregatorSettings(
        kafka_brokers=servers.kafka_brokers,
        instance=name,
        health_lag_groups=f"{name}.*",
        health_metric_names="kafka_exporter",
    )
    async with LagReader(settings) as asked:
        report = await asked.read()
    ranges = report.ranges
    assert report.cluster.partitions.keys() == ranges.keys()
    assert report.took_s > 0
    assert ranges[TopicPartition(read, 0)] == (0, 3)
    assert [ranges[TopicPartition(nobodys, number)] for number in range(2)] == [(0, 0), (0, 4)]
    assert not [each for each in ranges if each.topic.startswith("__")]


async def _older(lag: LagReader, seconds: float) -> bool:
    return ((await _rows(lag))[0].lag_seconds or 0.0) > seconds


async def test_the_age_is_that_of_the_record_at_the_commit(
    servers: Servers, make_topic: MakeTopic, lag: LagReader, name: str
) -> None:
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, 10, age_s=900)
    await _produce(servers, topic, 10, age_s=30)
    await _commit(servers, name, {(topic, 0): 9})
    assert (await _rows(lag))[0].lag_seconds == pytest.approx(900, abs=5)
    await _commit(servers, name, {(topic, 0): 10})
    assert (await _rows(lag))[0].lag_seconds == pytest.approx(30, abs=5)


async def test_a_caught_up_reader_of_a_transactional_topic_has_no_lag(
    servers: Servers, make_topic: MakeTopic, lag: LagReader, name: str
) -> None:
    topic = await make_topic(partitions=1)
    await _transaction(servers, topic, 3)
    await _transaction(servers, topic, 2)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers.kafka_brokers,
        group_id=name,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        records = [await consumer.getone() for _ in range(5)]
        partition = TopicPartition(topic, 0)
        await consumer.commit({partition: records[-1].offset + 1})

        row = (await _rows(lag))[0]
        assert (row.committed, row.end) == (6, 7), "the last marker lies behind the commit"
        assert (row.lag_records, row.lag_seconds, row.state, row.members) == (0, 0.0, LagState.CAUGHT_UP, 1)

        await _transaction(servers, topic, 4, abort=True)
        row = (await _rows(lag))[0]
        assert row.end == 12
        assert (row.lag_records, row.lag_seconds) == (0, 0.0), "nobody will ever read what was aborted"

        await _transaction(servers, topic, 1)
        row = (await _rows(lag))[0]
        assert (row.lag_records, row.state) == (2, LagState.LAGGING), "one record and its marker"
        assert row.lag_seconds == pytest.approx(0, abs=5)
    finally:
        await consumer.stop()


async def test_readers_behind_an_open_transaction_are_blocked_and_it_is_named(
    servers: Servers, make_topic: MakeTopic, name: str
) -> None:
    """Case 6: one record of an open transaction in a partition, then 200 good ones."""
    topic, etl = await make_topic(partitions=2), f"{name}-etl"
    await _produce(servers, topic, 2)
    settings = HealthAggregatorSettings(
        kafka_brokers=servers.kafka_brokers, instance=name, health_lag_groups=f"{name}.*", health_blocked_after_s=1
    )
    async with LagReader(settings) as lag:
        async with open_transactional_producer(servers.kafka_brokers, "test", etl) as producer:
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"x", partition=0, timestamp_ms=time.time_ns() // 1_000_000 - 30_000)
            await _produce(servers, topic, 200)
            await _commit(servers, f"{name}-committed", {(topic, 0): 2, (topic, 1): 0})
            await _commit(servers, f"{name}-uncommitted", {(topic, 0): 203, (topic, 1): 0})
            report = await lag.read()
            rows = {(row.group, row.partition): row for row in report.rows}
            held = rows[f"{name}-committed", 0]
            assert (held.stable, held.end, held.lag_records) == (2, 203, 201)
            assert held.lag_seconds == pytest.approx(30, abs=5), "the first unread record's"
            assert rows[f"{name}-uncommitted", 0].state is LagState.CAUGHT_UP
            assert report.blockades == [], "a transaction of a moment ago is an ordinary one"

            async def told() -> bool:
                return bool((await lag.read()).blockades)

            await wait_until("the blockade is told", told, 10)
            (blockade,) = lag.report.blockades
            assert (blockade.topic, blockade.partition, blockade.records) == (topic, 0, 201)
            assert blockade.transaction is not None
            assert (blockade.transaction.transactional_id, blockade.transaction.hanging) == (etl, False)
            assert abs(blockade.since - time.time_ns() // 1_000_000) < 30_000
            assert f"of transactional id {etl}" in blockade.as_json(0)["text"]
            await producer.abort_transaction()
        report = await lag.read()
        assert report.blockades == []
        held = next(row for row in report.rows if (row.group, row.partition) == (f"{name}-committed", 0))
        assert held.lag_records == 201, "200 records and the marker; the aborted record was never one"
        assert held.lag_seconds == pytest.approx(0, abs=5), "not the aborted record's"


async def test_a_member_that_waits_behind_a_transaction_is_blocked(
    servers: Servers, make_topic: MakeTopic, name: str
) -> None:
    topic = await make_topic(partitions=1)
    settings = HealthAggregatorSettings(
        kafka_brokers=servers.kafka_brokers, instance=name, health_lag_groups=name, health_blocked_after_s=0.5
    )
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers.kafka_brokers,
        group_id=name,
        isolation_level="read_committed",
        enable_auto_commit=False,
    )
    async with (
        LagReader(settings) as lag,
        open_transactional_producer(servers.kafka_brokers, "test", topic) as producer,
    ):
        await consumer.start()
        try:
            await consumer.commit({TopicPartition(topic, 0): 0})
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"x", partition=0)

            async def blocked() -> bool:
                return [row.state for row in (await lag.read()).rows] == [LagState.BLOCKED]

            await wait_until("the group is blocked", blocked, 10)
            await producer.commit_transaction()
            assert [row.state for row in (await lag.read()).rows] == [LagState.LAGGING]
        finally:
            await consumer.stop()


async def test_records_deleted_unread_are_lost_and_markers_are_not(
    servers: Servers, make_topic: MakeTopic, lag: LagReader, name: str
) -> None:
    plain, transactional = await make_topic(partitions=1), await make_topic(partitions=1)
    await _produce(servers, plain, 10, age_s=50)
    await _transaction(servers, transactional, 3)
    await _commit(servers, name, {(plain, 0): 2, (transactional, 0): 3})
    assert {row.records_lost for row in (await lag.read()).rows} == {0}
    async with open_admin(servers.kafka_brokers) as admin:
        await admin.delete_records(
            {
                TopicPartition(plain, 0): RecordsToDelete(before_offset=7),
                TopicPartition(transactional, 0): RecordsToDelete(before_offset=4),
            }
        )
    rows = {row.topic: row for row in (await lag.read()).rows}
    assert (rows[plain].records_lost, rows[plain].lag_records, rows[plain].state) == (5, 3, LagState.LOST)
    assert rows[plain].lag_seconds == pytest.approx(50, abs=5)
    assert (rows[transactional].records_lost, rows[transactional].state) == (0, LagState.CAUGHT_UP)


async def test_a_commit_past_the_end_has_read_nothing_of_what_is_there(
    servers: Servers, make_topic: MakeTopic, lag: LagReader, name: str
) -> None:
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, 2)
    await _commit(servers, name, {(topic, 0): 5})
    (row,) = (await lag.read()).rows
    assert (row.state, row.end, row.lag_records) == (LagState.BEYOND_END, 2, 2)


@pytest.mark.parametrize("with_id", [True, False])
async def test_a_topic_made_anew_under_a_group_is_all_unread(
    servers: Servers, lag: LagReader, name: str, *, with_id: bool
) -> None:
    """Cases 16 and 40: 3 of the old topic's records were read; 11 are on the new one."""
    topic, partition = f"{name}.topic", TopicPartition(f"{name}.topic", 0)
    await ensure_topics(servers.kafka_brokers, [TopicSpec(topic, 1)])
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers.kafka_brokers, group_id=name, enable_auto_commit=False)
    await consumer.start()
    try:
        await _produce(servers, topic, 3)
        old = (await topic_ids(consumer._client, [topic]))[topic]
        commit = (3, old) if with_id else 3
        await consumer.commit({partition: commit})
        (row,) = (await lag.read()).rows
        assert (row.state, row.lag_records, row.topic_id) == (LagState.CAUGHT_UP, 0, old)

        async with open_admin(servers.kafka_brokers) as admin:
            await admin.delete_topics([topic])
        await wait_until("the topic to be gone", lambda: _made_again(servers, topic), 15)
        await _produce(servers, topic, 11, age_s=40)
        (row,) = (await lag.read()).rows
        assert (row.group, row.lag_records, row.members, row.records_lost) == (name, 11, 1, 0)
        assert row.topic_id != old
        assert row.lag_seconds == pytest.approx(40, abs=10)

        await consumer.commit({partition: commit})  # by whoever has not noticed
        (row,) = (await lag.read()).rows
        if with_id:
            assert (row.state, row.committed, row.lag_records) == (LagState.OLD_TOPIC, 3, 11)
        new = (await topic_ids(consumer._client, [topic]))[topic]
        await consumer.commit({partition: (11, new)})
        (row,) = (await lag.read()).rows
        assert (row.state, row.lag_records) == (LagState.CAUGHT_UP, 0)
    finally:
        await consumer.stop()
        async with open_admin(servers.kafka_brokers) as admin:
            await admin.delete_topics([topic])


async def test_what_was_read_of_a_topic_before_is_not_taken_for_the_new_one_s(
    servers: Servers, lag: LagReader, name: str
) -> None:
    """The group stays where it was, at no offset at all, so only the topic's id is another."""
    topic = f"{name}.topic"
    await ensure_topics(servers.kafka_brokers, [TopicSpec(topic, 1)])
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers.kafka_brokers, group_id=name, enable_auto_commit=False)
    await consumer.start()
    try:
        await _produce(servers, topic, 3, age_s=5000)
        (row,) = (await lag.read()).rows
        assert row.lag_seconds == pytest.approx(5000, abs=10)
        async with open_admin(servers.kafka_brokers) as admin:
            await admin.delete_topics([topic])
        await wait_until("the topic to be made again", lambda: _made_again(servers, topic), 15)
        await _produce(servers, topic, 7, age_s=40)
        (row,) = (await lag.read()).rows
        assert (row.lag_records, row.records_lost, row.state) == (7, 0, LagState.LAGGING)
        assert row.lag_seconds == pytest.approx(40, abs=10)
    finally:
        await consumer.stop()
        async with open_admin(servers.kafka_brokers) as admin:
            await admin.delete_topics([topic])


async def _made_again(servers: Servers, topic: str) -> bool:
    return bool(await ensure_topics(servers.kafka_brokers, [TopicSpec(topic, 1)]))


async def test_a_group_that_never_committed_and_one_of_the_newer_protocol_lag_with_all(
    servers: Servers, make_topic: MakeTopic, lag: LagReader, name: str
) -> None:
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, 4, age_s=20)
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers.kafka_brokers, group_id=f"{name}-idle", enable_auto_commit=False
    )
    await consumer.start()
    async with open_admin(servers.kafka_brokers) as admin:
        member = NewerMember(admin, f"{name}-newer", topic)
        await member.heartbeat()
        try:
            rows = {row.group: row for row in (await lag.read()).rows}
        finally:
            await member.leave()
            await consumer.stop()
    for group in (f"{name}-idle", f"{name}-newer"):
        row = rows[group]
        assert (row.committed, row.lag_records, row.members, row.state) == (None, 4, 1, LagState.LAGGING)
        assert row.lag_seconds == pytest.approx(20, abs=5)


async def test_a_deleted_topic_has_no_rows(servers: Servers, lag: LagReader, name: str) -> None:
    kept, gone = f"{name}.kept", f"{name}.gone"
    await ensure_topics(servers.kafka_brokers, [TopicSpec(kept, 1), TopicSpec(gone, 1)])
    # A member that stays: the broker forgets what a group without members committed to a topic that is deleted.
    consumer = AIOKafkaConsumer(
        kept, gone, bootstrap_servers=servers.kafka_brokers, group_id=name, enable_auto_commit=False
    )
    await consumer.start()
    try:
        await consumer.commit({TopicPartition(kept, 0): 0, TopicPartition(gone, 0): 0})
        assert {row.topic for row in (await lag.read()).rows} == {kept, gone}
        async with open_admin(servers.kafka_brokers) as admin:
            await admin.delete_topics([gone])

            async def only_kept() -> bool:
                return {row.topic for row in (await lag.read()).rows} == {kept}

            await wait_until("the deleted topic has no rows", only_kept, 10)
            await admin.delete_topics([kept])
    finally:
        await consumer.stop()


async def test_a_partition_the_group_never_committed(
    servers: Servers, make_topic: MakeTopic, lag: LagReader, name: str
) -> None:
    topic = await make_topic(partitions=2)
    await _produce(servers, topic, 3, age_s=20, partition=1)
    await _commit(servers, name, {(topic, 0): 0})
    row = (await _rows(lag))[1]
    assert (row.committed, row.lag_records) == (None, 3)
    assert row.lag_seconds == pytest.approx(20, abs=5)


async def test_a_record_is_read_once_while_the_group_does_not_move(
    servers: Servers, make_topic: MakeTopic, lag: LagReader, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await make_topic(partitions=1)
    await _produce(servers, topic, 3)
    await _transaction(servers, topic, 1)
    await _commit(servers, f"{name}-behind", {(topic, 0): 1})
    await _commit(servers, f"{name}-caught-up", {(topic, 0): 4})
    first = await lag.read()
    fetched: list[object] = []
    monkeypatch.setattr("atlas_health_aggregator.unread.first_records", lambda *asked: fetched.append(asked))
    second = await lag.read()
    assert fetched == []
    assert [row.lag_records for row in second.rows] == [row.lag_records for row in first.rows] == [4, 0]


@pytest.mark.parametrize(("clock", "age_s"), [("LogAppendTime", 0), ("CreateTime", 86_400)])
async def test_the_age_is_by_the_topic_s_clock(
    servers: Servers, make_topic: MakeTopic, lag: LagReader, name: str, clock: str, age_s: int
) -> None:
    """Atlas' topics go by the broker's clock, so what is imported with its own old time makes no old lag."""
    topic = await make_topic(partitions=1, config={"message.timestamp.type": clock})
    await _produce(servers, topic, 3, age_s=86_400)
    await _commit(servers, name, {(topic, 0): 1})
    assert (await _rows(lag))[0].lag_seconds == pytest.approx(age_s, abs=10)
    await _commit(servers, name, {(topic, 0): 3})
    assert (await _rows(lag))[0].lag_seconds == 0.0


async def test_compressed_batches_are_read(servers: Servers, make_topic: MakeTopic, lag: LagReader, name: str) -> None:
    """A batch far above the fetch size comes whole, and the record inside it is found."""
    topic = await make_topic(partitions=1)
    async with open_producer(servers.kafka_brokers, "test", compression="zstd") as producer:
        first, value = time.time_ns() // 1_000_000 - 500_000, bytes(range(200)) * 2
        records = [Outgoing(topic, None, value, timestamp_ms=first + n * 1000, partition=0) for n in range(500)]
        assert not [result for result in await send_all(producer, records) if isinstance(result, Exception)]
    await _commit(servers, name, {(topic, 0): 400})
    row = (await _rows(lag))[0]
    assert (row.lag_records, row.state) == (100, LagState.NO_MEMBERS)
    assert row.lag_seconds == pytest.approx(100, abs=5)


async def test_a_report_may_be_as_old_as_the_caller_says(
    servers: Servers, make_topic: MakeTopic, lag: LagReader, name: str
) -> None:
    topic = await make_topic(partitions=1)
    await _commit(servers, name, {(topic, 0): 0})
    report = await lag.read()
    assert await lag.read(max_age_s=60) is report
    assert await lag.read() is not report


async def test_what_can_not_be_read_costs_its_own_row_the_seconds_and_no_other(
    servers: Servers, make_topic: MakeTopic, lag: LagReader, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await make_topic(partitions=2)
    for partition in (0, 1):
        await _produce(servers, topic, 2, age_s=20, partition=partition)
    await _commit(servers, name, {(topic, 0): 0, (topic, 1): 0})

    def corrupt(place: TopicPartition, *about: Any) -> Any:
        if place == TopicPartition(topic, 0):
            raise CorruptRecordException("not a batch")
        return records_in(place, *about)

    monkeypatch.setattr("atlas_kafka.fetching.firstrecords.records_in", corrupt)
    rows = await _rows(lag)
    assert (rows[0].lag_records, rows[0].lag_seconds) == (2, None)
    assert rows[1].lag_seconds == pytest.approx(20, abs=5)


async def test_others_groups_can_not_crowd_out_the_mesh_s(
    servers: Servers, make_topic: MakeTopic, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much there is to read for them: the mesh's come first, in a round that ends."""
    topic = await make_topic(partitions=3)
    for partition in range(3):
        await _produce(servers, topic, 2, age_s=20, partition=partition)
    ours = f"{name}-z"
    for group in (f"{name}-a", f"{name}-b", ours):
        await _commit(servers, group, {(topic, partition): 0 for partition in range(3)})
    settings = HealthAggregatorSettings(
        kafka_brokers=servers.kafka_brokers, instance=name, health_lag_groups=f"{name}.*", health_services=ours
    )
    monkeypatch.setattr("atlas_health_aggregator.groups.GROUPS_MAX", 2)
    monkeypatch.setattr("atlas_health_aggregator.unread.SCANS_S", 0.0)
    async with LagReader(settings) as lag:
        report = await lag.read()
        assert ({row.group for row in report.rows}, report.hidden) == ({ours, f"{name}-a"}, 1)
        assert {(row.lag_records, row.lag_seconds) for row in report.rows} == {(2, None)}
        scanned = 0

        async def until_read() -> bool:
            nonlocal scanned
            monkeypatch.setattr("atlas_health_aggregator.unread.SCANS_S", 0.001)
            rows = (await lag.read()).rows
            known = [row for row in rows if row.lag_seconds is not None]
            assert len(known) >= scanned, "what was read stays known"
            scanned = len(known)
            return scanned == len(rows)

        await wait_until("every row has its seconds, a few a round", until_read, 20)


@pytest.mark.parametrize("error", [TimeoutError("no broker"), ValueError("whatever others made of it")])
async def test_watching_says_why_it_can_not_read_and_goes_on(name: str, error: Exception) -> None:
    settings = HealthAggregatorSettings(kafka_brokers="127.0.0.1:1", instance=name)
    heard: list[str | None] = []

    async with LagReader(settings) as lag:

        async def fails(_max_age_s: float = 0.0) -> None:
            if len(heard) < 2:
                raise error

        lag.read = fails  # type: ignore[method-assign, assignment]
        watching = asyncio.create_task(watch_lag(lag, 0.01, heard.append))
        await wait_until("the reason, and its end", lambda: len(heard) >= 3, 5)
        watching.cancel()
    assert heard[:3] == [f"lag not read: {type(error).__name__}: {error}"] * 2 + [None]

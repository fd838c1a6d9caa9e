"""The ledger on real servers: 0 where all is well, and to the record where it is not."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic, RecordsToDelete
from atlas_archive.store import S3Store
from atlas_archiver.settings import ArchiverSettings
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.cluster.topic_ids import topic_ids
from atlas_kafka.internals.client import client_of
from atlas_kafka.producing.outgoing import Outgoing
from atlas_kafka.producing.transactional import open_transactional_producer, send_in_transaction
from atlas_ledger.audit import Auditor, Sources, open_auditor
from atlas_ledger.lines import ARCHIVER, Line
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until
from atlas_outbox.writer import OutboxRecord, append_many
from atlas_readmodel.postgres.postgres_store import PostgresStore
from atlas_readmodel.postgres.writer import Advance, Batch
from atlas_readmodel.table import ReadModel, Table
from atlas_readmodel.waiting.parking import Decision, Parked, Ruling, State

from tests.integration.archiver.conftest import Archivers
from tests.integration.foreign import Foreign, batch_of, put

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("heartbeats")]

GROUP = "projector.things"


class Books:
    """One topic of one partition: what is put on it, archived of it, projected of it, and what the ledger says."""

    def __init__(self, servers: Servers, archivers: Archivers, database: str, topic: str, auditor: Auditor) -> None:
        self.servers, self.archivers, self.database, self.topic = servers, archivers, database, topic
        self._auditor = auditor
        self.position = 0

    async def put(self, count: int) -> None:
        error, _offset = await put(self.servers.kafka_brokers, self.topic, batch_of([Foreign()] * count))
        assert error == 0

    async def put_in_transaction(self, count: int, *, abort: bool = False) -> None:
        async with open_transactional_producer(self.servers.kafka_brokers, "test", f"{self.topic}-{abort}") as producer:
            await producer.begin_transaction()
            await send_in_transaction(producer, [Outgoing(self.topic, b"k", b"v", partition=0)] * count)
            await (producer.abort_transaction() if abort else producer.commit_transaction())

    async def archived(self) -> None:
        """All that there is by now."""

        async def done() -> bool:
            return (await self.line(ARCHIVER)).in_flight == 0

        async with self.archivers.run(self.topic):
            await wait_until("all of it to be archived", done, 30)

    async def projected(self, to: int, events: int, **batch: object) -> None:
        """The position moves there, and says that so many records came with it."""
        async with asyncpg.create_pool(self.database, min_size=1, max_size=1) as pool:
            store = PostgresStore(pool, ReadModel("things", 1, (self.topic,), Table({"id": "text NOT NULL"}, ("id",))))
            writer = store.rows((await store.ensure_live()).number)
            await writer.add_positions([(self.topic, 0)], {self.topic: await self.topic_id()})
            advance = Advance(self.topic, 0, self.position, to, events)
            await writer.write(Batch([advance], {}, **batch))  # type: ignore[arg-type]
            self.position = to

    async def topic_id(self) -> str:
        async with open_admin(self.servers.kafka_brokers) as admin:
            return (await topic_ids(client_of(admin), [self.topic]))[self.topic]

    async def line(self, group: str) -> Line:
        ledger = await self._auditor.take([self.topic])
        return next(line for line in ledger.lines if line.group == group)


@pytest.fixture
async def books(servers: Servers, archivers: Archivers, database: str, make_topic: MakeTopic) -> AsyncIterator[Books]:
    topic = await make_topic(partitions=1, config={"retention.ms": "-1"})
    async with open_auditor(sources(archivers.settings(topic), database)) as auditor:
        yield Books(servers, archivers, database, topic, auditor)


def sources(settings: ArchiverSettings, database: str) -> Sources:
    return Sources(settings.kafka_brokers, database, database, settings.s3_address())


async def test_markers_and_aborted_records_are_no_records(books: Books) -> None:
    await books.put(10)
    await books.put_in_transaction(5)
    await books.put_in_transaction(3, abort=True)
    await books.put(2)
    await books.archived()  # 10 and 5 and 2 in 22 offsets: two are markers, three were aborted
    archive = await books.line(ARCHIVER)
    assert (archive.outcomes["archived"], archive.end, archive.unaccounted) == (17, 22, 0)

    await books.projected(22, 17)
    line = await books.line(GROUP)
    assert (line.unaccounted, line.unproven, line.in_flight, line.outcomes["projected"]) == (0, 0, 0, 17)


async def test_what_is_in_flight_is_said_apart_and_is_not_lost(books: Books) -> None:
    await books.put(10)
    await books.archived()
    await books.projected(4, 4)
    await books.put_in_transaction(6)
    line, archive = await books.line(GROUP), await books.line(ARCHIVER)
    assert (line.in_flight, line.in_flight_exact, line.unaccounted, line.unproven) == (12, True, 0, 0)
    assert (archive.in_flight, archive.in_flight_exact, archive.unaccounted) == (6, True, 0)
    await books.projected(16, 12)  # before the archive has them: read off the topic
    line = await books.line(GROUP)
    assert (line.in_flight, line.unaccounted, line.unproven) == (0, 0, 0)


@pytest.mark.parametrize(("events", "reason"), [(16, "never reached it"), (18, "more than the 17 records")])
async def test_a_record_lost_or_taken_twice_is_found(books: Books, events: int, reason: str) -> None:
    await books.put(10)
    await books.put_in_transaction(7)
    await books.archived()
    await books.projected(17, events)
    line = await books.line(GROUP)
    assert (line.unaccounted, line.next_offset) == (1, 17)
    assert reason in line.reason


async def test_what_was_set_aside_is_accounted_for_apart(books: Books) -> None:
    await books.put(10)
    await books.archived()
    waits = [
        Parked(books.topic, 0, offset, b"k", b"v", (), 0, state, "bad")
        for offset, state in ((1, State.DEAD), (2, State.BEHIND), (3, State.EARLY))
    ]
    rulings = [
        Ruling((books.topic, 0, offset), decision, "bad")
        for offset, decision in ((1, Decision.SET_ASIDE), (5, Decision.DROPPED), (6, Decision.SKIPPED))
    ]
    await books.projected(10, 10, parked=waits, rulings=rulings)
    line = await books.line(GROUP)
    assert line.outcomes == {"projected": 5, "dead_lettered": 1, "dropped": 1, "skipped": 1, "waiting": 2}
    assert line.unaccounted == 0


async def test_what_retention_took_before_it_was_archived_is_unaccounted_for(books: Books, store: S3Store) -> None:
    await books.put(10)
    await books.archived()
    await books.put(20)
    async with open_admin(books.servers.kafka_brokers) as admin:
        await admin.delete_records({TopicPartition(books.topic, 0): RecordsToDelete(25)})
    archive = await books.line(ARCHIVER)
    assert (archive.unaccounted, archive.in_flight) == (15, 5)
    assert archive.reason == "no record, and nobody has accepted it: offsets 10 - 24"
    # A projection that has read them knows of them; how many they were nobody can count any more.
    await books.projected(30, 30)
    line = await books.line(GROUP)
    assert (line.unaccounted, line.unproven) == (0, 15)


async def test_a_manifest_that_is_gone_is_a_hole(books: Books, store: S3Store) -> None:
    for _ in range(3):
        await books.put(10)
        await books.archived()
    manifests = [item.key async for item in store.list(f"topics/{books.topic}/") if "/manifest/" in item.key]
    await store.delete(manifests[1])
    async with open_auditor(sources(books.archivers.settings(books.topic), books.database)) as auditor:
        (line,) = (await auditor.take([books.topic])).lines
    assert (line.unaccounted, line.reason) == (10, "no record, and nobody has accepted it: offsets 10 - 19")


async def test_a_manifest_that_does_not_read_is_said_of_its_partition_alone(books: Books, store: S3Store) -> None:
    await books.put(10)
    await books.archived()
    (manifest,) = [item.key async for item in store.list(f"topics/{books.topic}/") if "/manifest/" in item.key]
    await store.put(manifest, [b"?"])
    async with open_auditor(sources(books.archivers.settings(books.topic), books.database)) as auditor:
        (line,) = (await auditor.take([books.topic])).lines
    assert (line.unaccounted, line.unproven) == (0, 10)
    assert manifest in line.reason


async def test_a_compacted_topic_is_followed_by_its_offsets(
    servers: Servers, archivers: Archivers, database: str, make_topic: MakeTopic
) -> None:
    topic = await make_topic(partitions=1, config={"cleanup.policy": "compact"})
    async with open_auditor(sources(archivers.settings(topic), database)) as auditor:
        books = Books(servers, archivers, database, topic, auditor)
        await books.put_in_transaction(5)
        await books.projected(3, 1)
        line = await books.line(GROUP)
    assert (line.unaccounted, line.in_flight, "compaction" in line.reason) == (0, 2, True)


async def test_a_topic_made_again_is_another(books: Books) -> None:
    await books.put(10)
    await books.archived()
    await books.projected(10, 10)
    async with open_admin(books.servers.kafka_brokers) as admin:
        await admin.delete_topics([books.topic])

        async def gone() -> bool:
            return books.topic not in await admin.list_topics()

        await wait_until("the topic to be gone", gone, 30)
        await admin.create_topics([NewTopic(books.topic, 1, 1)])
    await books.put(4)
    line = await books.line(GROUP)
    assert (line.next_offset, line.in_flight, line.unaccounted) == (0, 4, 0)
    assert line.reason == "its position is of a topic that was deleted"
    assert (await books.line(ARCHIVER)).unaccounted == 0


async def test_rows_of_the_outbox_are_shown_by_topic(books: Books) -> None:
    connection = await asyncpg.connect(books.database)
    try:
        async with connection.transaction():
            await append_many(connection, [OutboxRecord(books.topic, b"k", b"v")] * 3)
    finally:
        await connection.close()
    async with open_auditor(sources(books.archivers.settings(books.topic), books.database)) as auditor:
        (rows,) = (await auditor.take([books.topic])).outbox
    assert (rows.topic, rows.waiting, rows.parked) == (books.topic, 3, 0)
    assert rows.oldest_s >= 0

"""What retention takes before it is archived has a name: at the beginning, while the archiver was away, and now."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from atlas_archive.chain.chains import chains
from atlas_archive.proof.gaps import state_known
from atlas_archive.proof.reports import TopicReport
from atlas_archive.proof.verify import verify
from atlas_archive.store import S3Store
from atlas_cli.topics.topic_reader import open_topic_reader
from atlas_kafka.cluster.admin import open_admin
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until

from tests.integration.archiver.conftest import Archivers
from tests.integration.foreign import Foreign, batch_of, put

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("heartbeats")]


class Topic:
    """One partition on which records are put and from whose beginning they are deleted."""

    def __init__(self, servers: Servers, store: S3Store, name: str) -> None:
        self.servers, self.store, self.name = servers, store, name
        self.end = 0

    async def put(self, count: int) -> None:
        error, offset = await put(self.servers.kafka_brokers, self.name, batch_of([Foreign()] * count))
        assert (error, offset) == (0, self.end)
        self.end += count

    async def delete_before(self, offset: int) -> None:
        async with open_admin(self.servers.kafka_brokers) as admin:
            await admin.delete_records({TopicPartition(self.name, 0): RecordsToDelete(offset)})

    async def report(self) -> TopicReport:
        async with open_topic_reader(self.servers.kafka_brokers) as reader:
            (report,) = await verify(self.store, only=[self.name], reader=reader)
        return report

    async def archived(self, archivers: Archivers) -> None:
        async def done() -> bool:
            report = await self.report()
            return report.segments > 0 and report.behind == 0

        async with archivers.run(self.name):
            await wait_until("all of it to be archived", done, 30)

    async def accept(self) -> None:
        found: Any = [key async for key in self.store.list(f"topics/{self.name}/", limit=1)]
        for chain in (await chains(self.store, self.name, found[0].key.split("/")[2])).values():
            await state_known(self.store, chain.segments[0].path, chain.segments, "begun late")


async def test_every_hole_is_named(
    archivers: Archivers, servers: Servers, make_topic: MakeTopic, store: S3Store
) -> None:
    topic = Topic(servers, store, await make_topic(partitions=1, config={"retention.ms": "-1"}))
    await topic.put(20)
    await topic.delete_before(10)
    await topic.archived(archivers)
    report = await topic.report()
    (problem,) = report.problems
    assert "offsets 0 to 9 were gone from the topic before they were archived" in problem
    assert (report.complete_from, report.records) == ({0: 10}, 10)
    await topic.accept()
    report = await topic.report()
    assert (report.problems, report.complete_from) == ([], {0: 10})
    assert "begun late" in report.notes[0]

    await topic.put(20)  # the archiver is away
    await topic.delete_before(25)
    (problem,) = (await topic.report()).problems
    assert problem == f"{topic.name}/0: offsets 20 to 24 are gone from the topic and not archived"
    await topic.archived(archivers)
    report = await topic.report()
    (problem,) = report.problems
    assert "offsets 20 to 24 were gone from the topic before they were archived" in problem
    assert (report.complete_from, report.records) == ({0: 25}, 25)

"""A partition that can't be archived stops no other, is named, and goes on by itself when it is mended."""

from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from atlas_archive.chain.listing import summaries
from atlas_archive.chain.manifests import PartitionPath, last_manifest
from atlas_archive.proof.verify import verify
from atlas_archive.store import S3Store
from atlas_archive.writing.segments import Segment
from atlas_cli.topics.topic_reader import open_topic_reader
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.cluster.groups import committed_offsets
from atlas_kafka.metrics import RECORDS_IN
from atlas_kafka.producing.producer import Outgoing, open_producer, send_all
from atlas_local.testing import MakeTopic, Servers
from atlas_local.waiting import wait_until

from tests.integration.archiver.conftest import Archivers

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("heartbeats")]


class Mesh:
    """A topic of three partitions, its archive, and what the archiver says of itself."""

    def __init__(self, servers: Servers, store: S3Store, topic: str, port: int) -> None:
        self.servers, self.store, self.topic, self.port = servers, store, topic, port

    async def put(self, count: int) -> None:
        async with open_producer(self.servers.kafka_brokers, "test") as producer:
            sent = [Outgoing(self.topic, b"%d" % i, b"value %d" % i, partition=i % 3) for i in range(count)]
            assert not [each for each in await send_all(producer, sent) if isinstance(each, Exception)]

    async def everything_archived(self, count: int) -> None:
        async def there() -> bool:
            return sum(row.records for row in await summaries(self.store, self.topic)) == count

        await wait_until(f"{count} records in the archive", there, 30)

    async def others_archived(self, path: PartitionPath, *ends: int) -> None:
        async def there() -> bool:
            lasts = [await last_manifest(self.store, replace(path, partition=each)) for each in (0, 1)]
            return [last.next_offset if last else 0 for last in lasts] == list(ends)

        await wait_until(f"the other partitions to be archived up to {ends}", there, 30)

    async def reasons(self) -> dict[str, str]:
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.port}/health/ready") as answer,
            ):
                body = await answer.json()
                assert (answer.status == 503) == bool(body["reasons"])
                return dict(body["reasons"])
        except aiohttp.ClientConnectionError:
            return {"probe": "no answer"}

    async def metrics(self) -> str:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}/metrics") as answer,
        ):
            return await answer.text()

    async def said(self, text: str) -> None:
        async def there() -> bool:
            return text in (await self.reasons()).get("partitions", "")

        await wait_until(f"readiness to say {text!r}", there, 20)

    async def ready(self) -> None:
        async def there() -> bool:
            return await self.reasons() == {}

        await wait_until("the archiver to be ready", there, 40)

    async def last_key(self) -> str:
        prefix = f"topics/{self.topic}/"
        keys = [item.key async for item in self.store.list(prefix) if "/manifest/partition=2/" in item.key]
        return keys[-1]

    async def proven(self, count: int) -> None:
        async with open_topic_reader(self.servers.kafka_brokers) as reader:
            (report,) = await verify(self.store, only=[self.topic], reader=reader)
        assert report.problems == []
        assert (report.records, report.compared_with_topic, report.behind) == (count, count, 0)


@pytest.fixture
async def mesh(servers: Servers, store: S3Store, make_topic: MakeTopic, unused_tcp_port: int) -> Mesh:
    return Mesh(servers, store, await make_topic(partitions=3), unused_tcp_port)


async def _path(mesh: Mesh) -> PartitionPath:
    parts = (await mesh.last_key()).split("/")
    return PartitionPath(parts[1], parts[2], 2)


async def test_a_manifest_that_is_rubbish_when_it_starts(archivers: Archivers, mesh: Mesh) -> None:
    await mesh.put(300)
    async with archivers.run(mesh.topic):
        await mesh.everything_archived(300)
    key = await mesh.last_key()
    whole = await mesh.store.get(key)
    path = await _path(mesh)
    await mesh.store.put(key, [whole[: len(whole) // 2]])
    await mesh.put(300)
    async with archivers.run(mesh.topic, http_port=mesh.port) as running:
        await mesh.others_archived(path, 200, 200)
        await mesh.said(f"{mesh.topic}/2 is paused at offset {int(key[-25:-5])} (BadManifest: {key}: does not read")
        expected = f'atlas_kafka_paused_partitions{{group="archiver-{mesh.topic}",partition="2",topic="{mesh.topic}"}}'
        assert f"{expected} 1.0" in await mesh.metrics()
        async with open_admin(mesh.servers.kafka_brokers) as admin:
            committed = await committed_offsets(admin, f"archiver-{mesh.topic}")
        assert [offset for place, offset in committed.items() if place.partition == 2] == [100]
        assert not running.done()
        await mesh.put(300)
        await mesh.others_archived(path, 300, 300)
        # 300 before, 2 x 100 and 2 x 100 of the others now: nothing is even fetched of the paused one.
        assert RECORDS_IN.labels(mesh.topic, f"archiver-{mesh.topic}")._value.get() == 700
        await mesh.store.put(key, [whole])
        await mesh.everything_archived(900)
        await mesh.ready()
        assert expected not in await mesh.metrics()
    await mesh.proven(900)


async def test_an_object_put_in_its_way_while_it_runs(archivers: Archivers, mesh: Mesh) -> None:
    await mesh.put(300)
    async with archivers.run(mesh.topic, http_port=mesh.port):
        await mesh.everything_archived(300)
        path = await _path(mesh)
        await mesh.store.put(path.manifest(100), [b"\0"])
        await mesh.put(300)
        await mesh.others_archived(path, 200, 200)
        await mesh.said(f"{mesh.topic}/2 is paused at offset 100 (BadManifest: ")
        await mesh.store.delete(path.manifest(100))
        await mesh.everything_archived(600)
        await mesh.ready()
    await mesh.proven(600)


async def test_a_manifest_that_ends_past_the_topics_end(archivers: Archivers, mesh: Mesh) -> None:
    await mesh.put(300)
    async with archivers.run(mesh.topic):
        await mesh.everything_archived(300)
    path = await _path(mesh)
    last = await last_manifest(mesh.store, path)
    assert last is not None
    await mesh.store.put(last.key, [replace(last, next_offset=10**15).to_json()])
    async with archivers.run(mesh.topic, http_port=mesh.port):
        await mesh.put(300)
        await mesh.others_archived(path, 200, 200)
        await mesh.said("PositionBeyondEnd: ")
        await mesh.store.put(last.key, [last.to_json()])
        await mesh.everything_archived(600)
        await mesh.ready()
    await mesh.proven(600)


async def test_records_that_the_code_can_not_take(
    archivers: Archivers, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an upgrade with a bug, and after the one that mends it."""
    steps, broken = Segment.steps, [True]

    def refusing(segment: Segment, batches: Any) -> Any:
        if broken and segment.path.topic == mesh.topic and segment.path.partition == 2:
            raise RuntimeError("a bug")
        return steps(segment, batches)

    monkeypatch.setattr(Segment, "steps", refusing)
    async with archivers.run(mesh.topic, http_port=mesh.port):
        await mesh.put(300)
        await mesh.said(f"{mesh.topic}/2 is paused at offset 0 (CanNotBeSpliced: RuntimeError: a bug), tried 2 times")
        await mesh.put(300)
        await mesh.everything_archived(400)
        broken.clear()
        await mesh.everything_archived(600)
        await mesh.ready()
    await mesh.proven(600)

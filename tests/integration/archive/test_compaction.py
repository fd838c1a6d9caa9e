"""Compaction on a real store: memory does not grow with what is made; writers, compactors and retention meet there."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator

import orjson
import pytest
from atlas_archive.chain.chains import chain_of
from atlas_archive.chain.manifests import PartitionPath, last_manifest
from atlas_archive.format.records import Record
from atlas_archive.history import histories, read_history
from atlas_archive.maintenance.compaction import compact
from atlas_archive.maintenance.retention import expire
from atlas_archive.proof import incarnation_check
from atlas_archive.proof.verify import verify
from atlas_archive.store import MissingObject, S3Address, S3Store, open_store
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Options, Segment, store_segment
from atlas_local.testing import Servers

pytestmark = pytest.mark.integration

PATH = PartitionPath("t", "id-1", 0)
SEGMENTS = 9
SEGMENT_BYTES = 12_000_000
# One segment, the part that is filled and the part that is on its way, and what Python keeps of them.
GROWTH_MAX_BYTES = 70_000_000

CHILD = """
import asyncio, resource, sys
from pathlib import Path
import orjson
from atlas_archive.maintenance.compaction import compact
from atlas_archive.chain.manifests import PartitionPath
from atlas_archive.store import S3Address, open_store

def peak():
    # Not getrusage: its peak survives exec, so it is at least the parent's.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

async def main():
    job = orjson.loads(sys.argv[1])
    async with open_store(S3Address(**job["address"])) as store:
        await store.get(job["warm"])
        before = peak()
        done = await compact(store, PartitionPath("t", "id-1", 0), target_bytes=job["target"], writer="c", grace_s=0)
        print(orjson.dumps({"into": done.into, "growth": peak() - before}).decode())

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _looked_at_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes when it is verified: what those who lost have left behind stays."""
    monkeypatch.setattr(incarnation_check, "LOOKS", 1)


@pytest.fixture
def address(servers: Servers, bucket: str) -> S3Address:
    return S3Address(bucket, servers.s3_endpoint, servers.s3_access_key, servers.s3_secret_key)


@pytest.fixture
async def store(address: S3Address) -> AsyncIterator[S3Store]:
    async with open_store(address) as opened:
        yield opened


async def store_one(store: S3Store, start: int, records: list[Record]) -> int:
    segment = Segment(PATH, start, 0, lambda _: None, Options(codec="null"))
    segment.add([pack(records)])
    return (await store_segment(store, segment, "w")).manifest.next_offset


async def test_memory_is_bounded_whatever_is_made(store: S3Store, address: S3Address) -> None:
    """96 MB into one file, in a process of its own that says how much its memory grew at most."""
    value, start = os.urandom(SEGMENT_BYTES // 12), 0
    for number in range(SEGMENTS):
        records = [Record(12 * number + n, 1000, None, (), value) for n in range(12)]
        start = await store_one(store, start, records)
    chain = await chain_of(store, PATH)
    fields = ("bucket", "endpoint", "access_key", "secret_key", "region")
    job = {
        "address": {name: getattr(address, name) for name in fields},
        "target": (SEGMENTS - 1) * SEGMENT_BYTES,
        "warm": chain.segments[0].objects[0].key,
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, orjson.dumps(job).decode(), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await child.communicate()
    assert child.returncode == 0
    done = orjson.loads(printed)
    assert done["into"] == 1
    assert done["growth"] < GROWTH_MAX_BYTES, f"{done['growth']:,} bytes"
    (report,) = await verify(store)
    assert (report.problems, report.records) == ([], 12 * SEGMENTS)


async def test_two_writers_and_two_compactors_at_once(store: S3Store) -> None:
    """The same topic archived by both, compacted by both all the while: every record is there once."""
    topic = [Record(offset, 1000 + offset, None, (), b"%d" % offset * 40) for offset in range(0, 600, 2)]
    archived = asyncio.Event()

    async def write(size: int) -> None:
        while True:
            last = await last_manifest(store, PATH)
            start = last.next_offset if last else 0
            records = [record for record in topic if record.offset >= start][:size]
            if not records:
                return
            await store_one(store, start, records)

    async def compact_all_the_while(target: int) -> int:
        into = 0
        while not archived.is_set():
            with contextlib.suppress(MissingObject):  # the other one has compacted what this one was to read
                into += (await compact(store, PATH, target_bytes=target, writer="c", grace_s=0)).into
        return into

    compacting = [asyncio.create_task(compact_all_the_while(target)) for target in (4000, 9000)]
    await asyncio.gather(write(7), write(13))
    archived.set()
    assert sum(await asyncio.gather(*compacting)) > 1
    await compact(store, PATH, target_bytes=4000, writer="c", grace_s=0)
    history = (await histories(store, "t", "id-1"))[0]
    assert [record async for block in read_history(store, history) for record in block] == topic
    (report,) = await verify(store)
    assert [text for text in report.problems if "extra" not in text] == []


async def test_what_is_read_while_it_is_compacted_and_given_up_has_no_gap(store: S3Store) -> None:
    """Two compact and two give up all the while; a reader finds the topic, from a beginning that rises to its end."""
    topic = [Record(offset, 1000 + offset, None, (), b"%d" % offset * 40) for offset in range(0, 600, 2)]
    start = 0
    for at in range(0, len(topic), 6):
        start = await store_one(store, start, topic[at : at + 6])

    async def make_larger(target: int) -> None:
        for _ in range(8):
            with contextlib.suppress(MissingObject):  # the other one has compacted what this one was to read
                await compact(store, PATH, target_bytes=target, writer="c", grace_s=0)

    async def give_up(step: int) -> None:
        for before_ms in range(1000, 1500, step):
            await expire(store, PATH, before_ms=before_ms, grace_s=0)

    working = [make_larger(3000), make_larger(7000), give_up(45), give_up(70)]
    care = [asyncio.create_task(each) for each in working]
    begins = []
    while not all(task.done() for task in care):
        history = (await histories(store, "t", "id-1"))[0]
        assert history.next_offset == start
        begins.append(history.start_offset)
        with contextlib.suppress(MissingObject):  # compacted or given up since the manifests were read
            found = [record async for block in read_history(store, history) for record in block]
            assert found == [record for record in topic if record.offset >= history.start_offset]
    await asyncio.gather(*care)
    assert begins == sorted(begins)
    floor = (await chain_of(store, PATH)).floor
    assert 400 < floor <= 500
    history = (await histories(store, "t", "id-1"))[0]
    remaining = [record async for block in read_history(store, history) for record in block]
    assert remaining == [record for record in topic if record.offset >= floor]
    (report,) = await verify(store)
    assert [text for text in report.problems if "extra" not in text] == []

"""Work in steps: what is hostile to who has a loop to keep free takes long, and not on the loop."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from atlas_archive.format.container import read_file
from atlas_archive.format.layout import framing
from atlas_archive.format.records import Record
from atlas_archive.writing.batches import pack
from atlas_archive.writing.splicer import Splicer
from atlas_archive.writing.steps import Work, in_thread, in_turns
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.gateway.stalls import STALL_MAX_S, watched

INTS = json.dumps({"type": "record", "name": "A", "fields": [{"name": "a", "type": {"type": "array", "items": "int"}}]})
WIDE = json.dumps({"type": "record", "name": "W", "fields": [{"name": f"f{i}", "type": "string"} for i in range(40)]})
TEXTS = {1: INTS, 2: WIDE}
MANY = 100_000
FOREIGN: dict[str, Callable[[], list[Record]]] = {
    "100,000 headers without values": lambda: [Record(0, 0, b"k", tuple(("h", None) for _ in range(MANY)), b"v")],
    "100,000 headers without names": lambda: [Record(0, 0, b"k", (("", b""),) * MANY, framing(1) + b"\0")],
    "100,000 headers with names of their own": lambda: [
        Record(0, 0, b"k", tuple((f"h{i}", b"v") for i in range(MANY)), framing(1) + b"\0")
    ],
    "many records of 500 headers": lambda: [
        Record(i, 0, b"k", tuple((f"{i}-{j}", b"v") for j in range(500)), b"v") for i in range(200)
    ],
    "many layouts of 30 headers": lambda: [
        Record(i, 0, b"k", tuple((f"h{j}", b"v" * (i % 99 + j)) for j in range(30)), framing(1) + b"\0")
        for i in range(300)
    ],
    "an array of 1 MB": lambda: [Record(0, 0, b"k", (), framing(1) + b"\x80\x89\x7a" + b"\2" * 1_000_000 + b"\0")],
    "many arrays of 30 KB": lambda: [
        Record(i, 0, b"k", (), framing(1) + b"\x80\xea\x03" + b"\2" * 32_000 + b"\0") for i in range(60)
    ],
    "a value of 1 MB of no schema": lambda: [Record(0, 0, b"k", (("h", b"v"),), b"x" * 1_000_000)],
    "a batch of 60,000 small records": lambda: [Record(i, i, b"k", (("h", b"v"),), b"x" * 20) for i in range(60_000)],
    "so many wide records that an expression is made for them": lambda: [
        Record(i, i, b"k", (), framing(2) + b"\2x" * 40) for i in range(60_000)
    ],
    "offsets that go back": lambda: [Record(i, 0, b"k", (("", b""),) * 20, b"v") for i in range(5000)],
}


def batch_of(name: str) -> Any:
    batch = pack(FOREIGN[name]())
    if name == "offsets that go back":
        return replace(batch, offset=batch.offset - 1)
    return batch


@pytest.mark.alone
@pytest.mark.parametrize("name", list(FOREIGN))
async def test_no_record_holds_the_loop(name: str) -> None:
    batch = batch_of(name)
    whole, stepped = Splicer(TEXTS.get, codec="null"), Splicer(TEXTS.get, codec="null")
    async with watched() as watch:
        await in_turns(stepped.steps([batch]))
    assert watch.longest_s < STALL_MAX_S, f"{watch.longest_s * 1000:.0f} ms"
    whole.add([batch])
    assert stepped.records == whole.records == batch.records


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 40, 500, 3000]), st.sampled_from([0, 5, 2000, 40_000]), st.booleans()),
        min_size=1,
        max_size=40,
    )
)
async def test_every_record_is_in_once_and_in_order_whoever_took_it(shapes: list[tuple[int, int, bool]]) -> None:
    records = [
        Record(i * 2, i, b"k", (("h", b"v"),) * headers, (framing(1) + b"\0" if framed else b"") + b"v" * size)
        for i, (headers, size, framed) in enumerate(shapes)
    ]
    splicer = Splicer({1: INTS}.get)
    await in_turns(splicer.steps([pack(records)]))
    files = [read_file(b"".join(file.chunks), "x") for file in splicer.finish()]
    found = sorted(record for file in files for block in file.blocks() for record in block)
    assert found == records


async def test_who_is_cancelled_waits_for_what_works_on_its_own() -> None:
    going, done = threading.Event(), []

    def work() -> None:
        going.wait(5)
        done.append(1)

    task = asyncio.create_task(in_thread(work))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    going.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [1]


async def test_what_work_raises_is_raised_where_its_result_is_wanted() -> None:
    def steps() -> Iterator[Work | None]:
        yield (work := Work(lambda: {}["none"]))
        work.take()

    with pytest.raises(KeyError):
        await in_turns(steps())

"""A file in the making: blocks in order whoever compresses them, and nothing of a file that has no record."""

import hashlib
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

from atlas_archive.format.codecs import CODECS
from atlas_archive.format.container import read_file
from atlas_archive.format.layout import raw_schema
from atlas_archive.format.outputs import Inline, Output, Packing
from atlas_avro.varints import long


class Held(Executor):
    """Does nothing until it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        return future


def fill(out: Output, offsets: range) -> None:
    for offset in offsets:
        out.parts.append(long(offset) + long(1) + b"\0" + b"\0" + long(1) + b"\0")
        out.block_records += 1
        out.block_size += 6
        out.first_offset = offset if out.first_offset < 0 else out.first_offset
        out.last_offset = offset


def test_blocks_stay_in_order_whoever_compresses_them() -> None:
    for workers in (Inline(), ThreadPoolExecutor(3)):
        with workers:
            out = Output(None, raw_schema(), None, Packing(CODECS["zstandard"], workers, {"topic": "t"}))
            for start in range(0, 100, 10):
                fill(out, range(start, start + 10))
                out.close_block()
            file = out.finish()
        assert file is not None
        assert (file.records, file.first_offset, file.last_offset) == (100, 0, 99)
        data = b"".join(file.chunks)
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        opened = read_file(data, "x")
        assert [record.offset for block in opened.blocks() for record in block] == list(range(100))
        assert opened.metadata == {"topic": "t"}


def test_a_block_is_taken_over_once_it_is_compressed() -> None:
    workers = Held()
    out = Output(None, raw_schema(), None, Packing(CODECS["null"], workers, {}))
    fill(out, range(3))
    out.close_block()
    assert (out.records, out.size, len(out.packing)) == (3, 0, 1)
    ((future, work),) = workers.waiting
    future.set_result(work())
    out.settle()
    header, block = out.blocks
    assert (out.size, len(out.packing)) == (len(header) + len(block), 0)


def test_without_a_record_there_is_no_file() -> None:
    assert Output(None, raw_schema(), None, Packing(CODECS["null"], Inline(), {})).finish() is None

"""One container file in the making."""

import json
import os
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

from atlas_avro.varints import long

from atlas_archive.checker import Skip
from atlas_archive.codecs import Codec
from atlas_archive.layout import MAGIC, METADATA_PREFIX


@dataclass(frozen=True, slots=True)
class Finished:
    """A whole file: its bytes in order as `chunks`. `schema_id` is None for a raw file; `kind` tells those of a
    segment apart.
    """

    schema_id: int | None
    kind: str
    chunks: tuple[bytes, ...]
    size: int
    records: int
    first_offset: int
    last_offset: int


_PACKING_MAX = 8  # blocks that wait for their compression: what they hold is not counted in `size`


class Inline(Executor):
    """Does what it is given at once, in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@dataclass(slots=True)
class Output:
    """Finished blocks, those that are being compressed by `workers`, and the parts of the block that is open.

    `skip` is None where bodies are not checked.
    """

    schema_id: int | None
    schema: dict[str, Any]
    skip: Skip | None
    workers: Executor
    raw_kind: str = "raw"
    sync: bytes = field(default_factory=lambda: os.urandom(16))
    blocks: list[bytes] = field(default_factory=list)
    packing: deque[tuple[int, Future[bytes]]] = field(default_factory=deque)
    parts: list[bytes] = field(default_factory=list)
    block_size: int = 0
    block_records: int = 0
    records: int = 0
    size: int = 0
    first_offset: int = -1
    last_offset: int = -1

    def add(self, packed: bytes, records: int, first_offset: int, last_offset: int) -> None:
        """Put records into the open block, in offset order."""
        self.parts.append(packed)
        self.block_records += records
        self.block_size += len(packed)
        if self.first_offset < 0:
            self.first_offset = first_offset
        self.last_offset = last_offset

    def close_block(self, codec: Codec) -> None:
        """Have what the open block holds compressed; waits when `workers` fall far behind."""
        if len(self.packing) >= _PACKING_MAX:
            self._take_over()
        self.packing.append((self.block_records, self.workers.submit(codec.compress, b"".join(self.parts))))
        self.records += self.block_records
        self.parts = []
        self.block_size = self.block_records = 0
        self.settle()

    def settle(self, *, wait: bool = False) -> None:
        """Take over the blocks that are compressed by now; with `wait`, all of them."""
        while self.packing and (wait or self.packing[0][1].done()):
            self._take_over()

    def _take_over(self) -> None:
        records, future = self.packing.popleft()
        packed = future.result()
        block = b"".join((long(records), long(len(packed)), packed, self.sync))
        self.blocks.append(block)
        self.size += len(block)

    def finish(self, codec: Codec, metadata: Mapping[str, str]) -> Finished | None:
        """The file; None when it has no record."""
        if self.block_records:
            self.close_block(codec)
        self.settle(wait=True)
        if not self.records:
            return None
        header = container_header(self.schema, codec, self._described(metadata), self.sync)
        chunks = (header, *self.blocks)
        size = len(header) + self.size
        kind = self.raw_kind if self.schema_id is None else str(self.schema_id)
        return Finished(self.schema_id, kind, chunks, size, self.records, self.first_offset, self.last_offset)

    def _described(self, metadata: Mapping[str, str]) -> dict[str, str]:
        return {**metadata, **({} if self.schema_id is None else {"schema.id": str(self.schema_id)})}


def container_header(schema: Any, codec: Codec, metadata: Mapping[str, str], sync: bytes) -> bytes:
    """What a container file begins with; `metadata` gets our prefix."""
    entries = {
        "avro.schema": json.dumps(schema, separators=(",", ":")).encode(),
        "avro.codec": codec.name.encode(),
        **{METADATA_PREFIX + name: value.encode() for name, value in metadata.items()},
    }
    packed = [long(len(name)) + name.encode() + long(len(value)) + value for name, value in sorted(entries.items())]
    return MAGIC + long(len(entries)) + b"".join(packed) + b"\0" + sync

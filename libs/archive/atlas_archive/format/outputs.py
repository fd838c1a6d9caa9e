"""One container file in the making."""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

from atlas_avro.varints import long

from atlas_archive.format.checker import Skip
from atlas_archive.format.codecs import Codec
from atlas_archive.format.layout import MAGIC, METADATA_PREFIX


@dataclass(frozen=True, slots=True)
class Finished:
    """A whole file: its bytes in order as `chunks`, `size` bytes with this SHA-256. `schema_id` is None for a raw file;
    `kind` tells those of a segment apart.
    """

    schema_id: int | None
    kind: str
    chunks: tuple[bytes, ...]
    size: int
    sha256: str
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


@dataclass(frozen=True, slots=True)
class Packing:
    """How the files of a segment are packed: by which codec and whom, and with which metadata in their headers.

    `look` sees each block before it is compressed, in the order of its file.
    """

    codec: Codec
    workers: Executor
    metadata: Mapping[str, str]
    look: Callable[[bytes], None] | None = None


@dataclass(slots=True)
class Output:
    """Finished blocks, those that are being compressed, and the parts of the block that is open.

    `skip` is None where bodies are not checked. The file is hashed as it grows: hashed at its end it would keep its
    segment waiting, and in another thread it would wait for the interpreter at every block.
    """

    schema_id: int | None
    schema: dict[str, Any]
    skip: Skip | None
    how: Packing
    raw_kind: str = "raw"
    sync: bytes = field(default_factory=lambda: os.urandom(16))
    digest: Any = field(default_factory=hashlib.sha256)
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

    def close_block(self) -> None:
        """Have what the open block holds compressed; waits when those who compress fall far behind."""
        if len(self.packing) >= _PACKING_MAX:
            self._take_over()
        block = b"".join(self.parts)
        if self.how.look is not None:
            self.how.look(block)
        packed = self.how.workers.submit(self.how.codec.compress, block)
        self.packing.append((self.block_records, packed))
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
        if not self.blocks:
            described = {} if self.schema_id is None else {"schema.id": str(self.schema_id)}
            self._append(container_header(self.schema, self.how.codec, {**self.how.metadata, **described}, self.sync))
        self._append(b"".join((long(records), long(len(packed)), packed, self.sync)))

    def _append(self, chunk: bytes) -> None:
        self.blocks.append(chunk)
        self.size += len(chunk)
        self.digest.update(chunk)

    def finish(self) -> Finished | None:
        """The file; None when it has no record."""
        if self.block_records:
            self.close_block()
        self.settle(wait=True)
        if not self.records:
            return None
        return Finished(
            schema_id=self.schema_id,
            kind=self.raw_kind if self.schema_id is None else str(self.schema_id),
            chunks=tuple(self.blocks),
            size=self.size,
            sha256=self.digest.hexdigest(),
            records=self.records,
            first_offset=self.first_offset,
            last_offset=self.last_offset,
        )


def container_header(schema: Any, codec: Codec, metadata: Mapping[str, str], sync: bytes) -> bytes:
    """What a container file begins with; `metadata` gets our prefix."""
    entries = {
        "avro.schema": json.dumps(schema, separators=(",", ":")).encode(),
        "avro.codec": codec.name.encode(),
        **{METADATA_PREFIX + name: value.encode() for name, value in metadata.items()},
    }
    packed = [long(len(name)) + name.encode() + long(len(value)) + value for name, value in sorted(entries.items())]
    return MAGIC + long(len(entries)) + b"".join(packed) + b"\0" + sync

"""Reads archive files: the original records back, byte for byte, a block at a time."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any

from atlas_avro.varints import read_long
from fastavro import parse_schema, schemaless_reader

from atlas_archive.format.blocks import read_block
from atlas_archive.format.codecs import CODECS, Codec
from atlas_archive.format.headers import READABLE, HeaderShapes
from atlas_archive.format.layout import MAGIC, METADATA_PREFIX, framing
from atlas_archive.format.records import Record

# What fastavro and our own arithmetic raise when they meet bytes that nobody wrote.
_DECODING_ERRORS = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    StopIteration,
    TypeError,
    ValueError,
)


class CorruptFile(Exception):
    """The bytes are not a file as it was written; says which object and, where reading got so far, which block."""

    def __init__(self, name: str, reason: str, block: int | None = None) -> None:
        super().__init__(f"{name}{'' if block is None else f', block {block}'}: {reason}")
        self.name = name
        self.reason = reason
        self.block = block


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """An archive file in memory. `schema_id` is None for a raw file; `schema` is the file's whole Avro schema."""

    name: str
    schema_id: int | None
    schema: Any
    metadata: Mapping[str, str]
    codec: Codec
    sync: bytes
    data: bytes
    start: int

    def blocks(self, names: str = READABLE) -> Iterator[list[Record]]:
        """The records, block by block, in offset order. Raises CorruptFile with the first block that is not whole.

        `names`: how names of headers that are not UTF-8 read (see headers.py).
        """
        prefix = None if self.schema_id is None else framing(self.schema_id)
        shapes = HeaderShapes()
        for number, (count, packed) in enumerate(self.packed_blocks()):
            try:
                records = read_block(self.codec.decompress(packed), count, prefix, shapes, names)
            except _DECODING_ERRORS as error:
                raise CorruptFile(self.name, str(error) or type(error).__name__, number) from error
            yield records

    def packed_blocks(self) -> Iterator[tuple[int, bytes]]:
        """Each block as (records, compressed bytes). Raises CorruptFile with the first that is not whole."""
        at, number = self.start, 0
        while at < len(self.data):
            try:
                count, at = read_long(self.data, at)
                size, at = read_long(self.data, at)
                if count < 0 or size < 0 or at + size + 16 > len(self.data):
                    raise ValueError(f"truncated: {len(self.data) - at} bytes left of {size + 16}")
                if self.data[at + size : at + size + 16] != self.sync:
                    raise ValueError("no sync marker at its end")
            except _DECODING_ERRORS as error:
                raise CorruptFile(self.name, str(error) or type(error).__name__, number) from error
            yield count, self.data[at : at + size]
            at += size + 16
            number += 1


@lru_cache(maxsize=1)
def _metadata_schema() -> Any:
    return parse_schema({"type": "map", "values": "bytes"})


def read_file(data: bytes, name: str) -> ArchiveFile:
    """Open an archive file held in memory; `name` is for errors. Raises CorruptFile when its header is not one."""
    if data[:4] != MAGIC:
        raise CorruptFile(name, "does not begin as an Avro container file")
    packed = BytesIO(data)
    packed.seek(4)
    try:
        entries: Any = schemaless_reader(packed, _metadata_schema())
        schema = json.loads(entries["avro.schema"])
        codec = CODECS[entries.get("avro.codec", b"null").decode()]
        ours = {k[len(METADATA_PREFIX) :]: v.decode() for k, v in entries.items() if k.startswith(METADATA_PREFIX)}
        schema_id = int(ours["schema.id"]) if "schema.id" in ours else None
    except _DECODING_ERRORS as error:
        raise CorruptFile(name, f"its header does not read: {error!r}") from error
    start = packed.tell()
    sync = packed.read(16)
    if len(sync) < 16:
        raise CorruptFile(name, "truncated in its header")
    return ArchiveFile(name, schema_id, schema, ours, codec, sync, data, start + 16)

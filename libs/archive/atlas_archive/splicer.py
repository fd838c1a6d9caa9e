"""Writes Avro object container files by splicing.

A Confluent-framed value is five bytes and an Avro body; a container's block is Avro records laid end to end. So a value
goes in by copying its body behind an envelope (see layout.py): no decoding, and every Avro tool reads typed values.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from atlas_archive.checker import Check, compile_check
from atlas_archive.codecs import CODECS
from atlas_archive.layout import MAGIC, METADATA_PREFIX, RAW_VALUE, BadSchema, file_schema, parse
from atlas_archive.records import Headers, Incoming
from atlas_archive.varints import length_table, long, two_byte_table, unsigned

BLOCK_BYTES = 256 * 1024  # before compression: larger packs no better, and a reader holds one block at a time
_KNOWN_PREFIXES_MAX = 1000  # values of any bytes have no end of prefixes


@dataclass(frozen=True, slots=True)
class Finished:
    """A whole file: its bytes in order as `chunks`. `schema_id` is None for the raw file."""

    schema_id: int | None
    chunks: tuple[bytes, ...]
    size: int
    records: int
    first_offset: int
    last_offset: int


@dataclass(slots=True)
class _Output:
    """One file in the making: finished blocks, and the parts of the block that is open."""

    schema_id: int | None
    schema: dict[str, Any]
    check: Check
    sync: bytes = field(default_factory=lambda: os.urandom(16))
    blocks: list[bytes] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    block_size: int = 0
    block_records: int = 0
    records: int = 0
    size: int = 0
    first_offset: int = -1
    last_offset: int = -1


class Splicer:
    """Turns the records of one partition, in offset order, into one container file a writer schema and one raw file.

    `schema_text` gives the JSON of a schema id, or None when nobody knows the id. Into the raw file go null values,
    values that are not framed Avro or whose schema is unknown, and, while `check` holds, bodies that are not one whole
    value of their schema (unchecked, one such body would make its block unreadable to every tool but this one).
    """

    def __init__(
        self,
        schema_text: Callable[[int], str | None],
        *,
        metadata: Mapping[str, str] | None = None,
        codec: str = "zstandard",
        block_bytes: int = BLOCK_BYTES,
        check: bool = True,
    ) -> None:
        self._schema_text = schema_text
        self._metadata = metadata or {}
        self._codec = CODECS[codec]
        self._block_bytes = block_bytes
        self._check = check
        self._raw = _Output(None, file_schema(RAW_VALUE), _never)
        self._typed: list[_Output] = []
        self._by_prefix: dict[bytes, _Output] = {}
        self.records = 0

    @property
    def size(self) -> int:
        """Bytes held: finished blocks, and roughly what waits for its block."""
        return sum(out.size + out.block_size for out in (*self._typed, self._raw))

    def add(self, records: Sequence[Incoming]) -> None:
        """Splice records, whose offsets rise in a call and from call to call. Full blocks are compressed at once."""
        envelope = _Envelope()
        lengths = length_table()
        for record in records:
            out, body = self._place(record.value)
            head = envelope.pack(record)
            size = len(body)
            out.parts += (head, lengths[size] if size < 4096 else long(size), body)
            if out.first_offset < 0:
                out.first_offset = record.offset
            out.last_offset = record.offset
            out.block_records += 1
            out.block_size += size + len(head) + 2
            if out.block_size >= self._block_bytes:
                self._close_block(out)
        self.records += len(records)

    def finish(self) -> list[Finished]:
        """Close the open blocks and give the files that have records: typed ones by schema id, then the raw one."""
        files = []
        for out in (*sorted(self._typed, key=lambda out: out.schema_id or 0), self._raw):
            if out.block_records:
                self._close_block(out)
            if out.records:
                header = self._header(out)
                size = len(header) + out.size
                chunks = (header, *out.blocks)
                files.append(Finished(out.schema_id, chunks, size, out.records, out.first_offset, out.last_offset))
        return files

    def _place(self, value: bytes | None) -> tuple[_Output, bytes]:
        """Where a value goes, and the encoding of the `value` field there."""
        if value is None:
            return self._raw, b"\0"
        out = self._by_prefix.get(value[:5]) or self._open(value[:5])
        if out.check(value, 5):
            return out, value[5:]
        return self._raw, _bytes_branch(value)

    def _open(self, prefix: bytes) -> _Output:
        """The output of the values that begin with `prefix`, met for the first time."""
        out = self._raw
        if len(prefix) == 5 and prefix[0] == 0:
            out = self._open_typed(int.from_bytes(prefix[1:], "big")) or self._raw
        if out is not self._raw or len(self._by_prefix) < _KNOWN_PREFIXES_MAX:
            self._by_prefix[prefix] = out
        return out

    def _open_typed(self, schema_id: int) -> _Output | None:
        text = self._schema_text(schema_id)
        if text is None:
            return None
        try:
            check = compile_check(parse(text)) if self._check else _always
        except BadSchema:
            return None
        out = _Output(schema_id, file_schema(json.loads(text)), check)
        self._typed.append(out)
        return out

    def _close_block(self, out: _Output) -> None:
        packed = self._codec.compress(b"".join(out.parts))
        block = b"".join((long(out.block_records), long(len(packed)), packed, out.sync))
        out.blocks.append(block)
        out.size += len(block)
        out.records += out.block_records
        out.parts = []
        out.block_size = out.block_records = 0

    def _header(self, out: _Output) -> bytes:
        schema = json.dumps(out.schema, separators=(",", ":")).encode()
        metadata = {"avro.schema": schema, "avro.codec": self._codec.name.encode()}
        metadata |= {METADATA_PREFIX + name: value.encode() for name, value in self._metadata.items()}
        if out.schema_id is not None:
            metadata[METADATA_PREFIX + "schema.id"] = str(out.schema_id).encode()
        entries = [long(len(n)) + n.encode() + long(len(v)) + v for n, v in sorted(metadata.items())]
        return MAGIC + long(len(metadata)) + b"".join(entries) + b"\0" + out.sync


class _Envelope:
    """Packs what stands before a value; what stays the same from record to record is packed once."""

    def __init__(self) -> None:
        self._low14 = two_byte_table()
        self._high, self._high_part = -1, b""
        self._timestamp: int | None = None
        self._headers: Headers | None = None
        self._timestamp_part = self._header_part = b""

    def pack(self, record: Incoming) -> bytes:
        zigzag = record.offset << 1
        if zigzag >> 14 != self._high:
            self._high = zigzag >> 14
            self._high_part = unsigned(self._high)
        if record.timestamp != self._timestamp:
            self._timestamp = record.timestamp
            self._timestamp_part = long(record.timestamp)
        if record.headers != self._headers:
            self._headers = record.headers
            self._header_part = pack_headers(record.headers)
        offset_part = self._low14[zigzag & 16383] + self._high_part if self._high else unsigned(zigzag)
        key_part = b"\0" if record.key is None else _bytes_branch(record.key)
        return offset_part + self._timestamp_part + key_part + self._header_part


def pack_headers(headers: Headers) -> bytes:
    """The Avro array of a record's headers."""
    if not headers:
        return b"\0"
    parts = [long(len(headers))]
    for name, value in headers:
        parts.append(_header_name(name))
        parts.append(b"\0" if value is None else _bytes_branch(value))
    parts.append(b"\0")
    return b"".join(parts)


@lru_cache(maxsize=1024)
def _header_name(name: str) -> bytes:
    text = name.encode()
    return long(len(text)) + text


def _bytes_branch(data: bytes) -> bytes:
    """`data` as the second branch of a union of null and bytes."""
    size = len(data)
    return b"\x02" + (length_table()[size] if size < 4096 else long(size)) + data


def _never(_data: bytes, _start: int) -> bool:
    return False


def _always(_data: bytes, _start: int) -> bool:
    return True

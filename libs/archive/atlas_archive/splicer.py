"""Writes Avro object container files by splicing.

A Confluent-framed value is five bytes and an Avro body; a container's block is Avro records laid end to end. So a value
goes in by copying its body behind an envelope (see layout.py): no decoding, and every Avro tool reads typed values. The
records are taken as Kafka stores them (see batches.py) and never become objects.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor

from atlas_archive.batches import NULL, Batch, places
from atlas_archive.checker import CHECK_ERRORS, compile_skip
from atlas_archive.codecs import CODECS
from atlas_archive.expected import Expected
from atlas_archive.headers import HeaderShapes, nullable_headers
from atlas_archive.layout import BadSchema, file_schema, parse, raw_schema
from atlas_archive.outputs import Finished, Inline, Output
from atlas_archive.runs import Run, take
from atlas_archive.varints import length_table, long, two_byte_table, unsigned, unsigned_kept

BLOCK_BYTES = 256 * 1024  # before compression: larger packs no better, and a reader holds one block at a time
_RUN_BYTES = 64 * 1024  # of records taken at a time: a block ends after one
_KNOWN_PREFIXES_MAX = 1000  # values of any bytes have no end of prefixes
_LOW14 = (1 << 14) - 1


class Splicer:
    """Turns the records of one partition, in offset order, into one container file a writer schema and one raw file.

    `schema_text` gives the JSON of a schema id, or None when nobody knows the id. Into a raw file go null values,
    values that are not framed Avro or whose schema is unknown, records with a header that has no value or whose name is
    not UTF-8 (these into one of their own), and, while `check` holds, bodies that are not one whole value of their
    schema (unchecked, one such body would make its block unreadable to every tool but this one). Blocks are compressed
    by `workers`, in this thread when there are none.
    """

    def __init__(
        self,
        schema_text: Callable[[int], str | None],
        *,
        metadata: Mapping[str, str] | None = None,
        codec: str = "zstandard",
        block_bytes: int = BLOCK_BYTES,
        check: bool = True,
        workers: Executor | None = None,
    ) -> None:
        self._workers = workers or Inline()
        self._schema_text = schema_text
        self._metadata = metadata or {}
        self._codec = CODECS[codec]
        self._block_bytes = block_bytes
        self._run_bytes = min(_RUN_BYTES, block_bytes)
        self._check = check
        self._raw = Output(None, raw_schema(), None, self._workers)
        self._odd_names = Output(None, raw_schema("bytes"), None, self._workers, "raw-names")
        self._typed: dict[int, Output] = {}
        self._by_prefix: dict[bytes, Output] = {}
        self._shapes = HeaderShapes()
        self._expected = Expected()
        self.first_timestamp = self.min_timestamp = self.max_timestamp = -1
        self._timed = False

    @property
    def records(self) -> int:
        return sum(out.records + out.block_records for out in self._outputs())

    @property
    def size(self) -> int:
        """Bytes held: finished blocks, and roughly what waits for its block."""
        return sum(out.size + out.block_size for out in self._outputs())

    def add(self, batches: Sequence[Batch]) -> None:
        """Splice batches, whose offsets rise in a call and from call to call. Full blocks are compressed at once.

        Raises ValueError or IndexError for bytes that are no records.
        """
        for batch in batches:
            self._splice(batch)

    def finish(self) -> list[Finished]:
        """Close the open blocks and give the files that have records: typed ones by schema id, then the raw ones."""
        ordered = (*(out for _, out in sorted(self._typed.items())), self._raw, self._odd_names)
        files = (out.finish(self._codec, self._metadata) for out in ordered)
        return [file for file in files if file is not None]

    def _outputs(self) -> Sequence[Output]:
        return (*self._typed.values(), self._raw, self._odd_names)

    def _splice(self, batch: Batch) -> None:
        """Records that look as expected are taken in runs, the others one by one; what to expect is learnt of these."""
        data, at, left, expected = batch.data(), 0, batch.records, self._expected
        if batch.start_offset > batch.base_offset:
            self._one_by_one(batch, data, at, left)
            return
        while left > 0:
            taken = take(expected.pattern, batch, data, at, self._run_bytes) if expected.pattern is not None else None
            if taken is None:
                count = min(left, expected.closely)
                at = self._one_by_one(batch, data, at, count)
                expected.looked(self._shapes.names)
            else:
                count, at = taken.records, taken.end
                for run in taken.runs:
                    self._add_run(run)
                expected.took(count)
            left -= count
        if left:
            raise ValueError(f"{batch.records - left} records in a batch of {batch.records}")

    def _add_run(self, run: Run) -> None:
        # Never the first record of all, so there is a time to compare with.
        self.min_timestamp = min(self.min_timestamp, run.min_timestamp)
        self.max_timestamp = max(self.max_timestamp, run.max_timestamp)
        out = self._typed[run.schema_id]
        out.add(run.packed, run.records, run.first_offset, run.last_offset)
        if out.block_size >= self._block_bytes:
            out.close_block(self._codec)

    def _one_by_one(self, batch: Batch, data: bytes, at: int, count: int) -> int:
        """Copy `count` records from `at` on; gives where they end. Calls little in its loop, since calls cost."""
        base, start, raw, end = batch.base_offset << 1, batch.start_offset << 1, self._raw, at
        low14, lengths, known, are_whole = two_byte_table(), length_table(), self._by_prefix, self._shapes.are_whole
        high, high_part, delta, time_part = -1, b"", -1, b""
        for stamp, step, key_at, size_at, value_at, headers_at, end in places(data, count, at):
            offset = base + step
            if offset < start:
                continue
            if offset >> 14 != high:
                high = offset >> 14
                high_part = unsigned(high) if high else b""
            if stamp != delta:
                delta, time_part = stamp, self._time(batch, stamp)
            size, out = headers_at - value_at - 5, raw
            if size >= 0:
                out = known.get(data[value_at : value_at + 5]) or self._open(data[value_at : value_at + 5])
                try:
                    if out.skip is not None and out.skip(data, value_at + 5, headers_at) != headers_at:
                        out = raw
                except CHECK_ERRORS:
                    out = raw
            plain = headers_at + 1 == end  # the number of headers, 0, and nothing after it
            if out is raw or not (plain or are_whole(data, headers_at, end)):
                headers, are_text = nullable_headers(data, headers_at, end)
                out = raw if are_text else self._odd_names
                body = b"\0" if data[size_at] == NULL else b"\2" + data[size_at:headers_at]
                size = len(body)
            else:
                headers = b"\0" if plain else data[headers_at:end] + b"\0"
                body = data[value_at + 5 : headers_at]
            out.parts += (
                low14[offset & _LOW14] if high else unsigned(offset),
                high_part,
                time_part,
                b"\0" if data[key_at] == NULL else b"\2" + data[key_at:size_at],
                headers,
                lengths[size] if size < 4096 else long(size),
                body,
            )
            if out.first_offset < 0:
                out.first_offset = offset >> 1
            out.last_offset = offset >> 1
            out.block_records += 1
            out.block_size += end - key_at + 8
            if out.block_size >= self._block_bytes:
                out.close_block(self._codec)
        return end

    def _time(self, batch: Batch, stamp: int) -> bytes:
        """The encoding of a record's timestamp; `stamp` is its zigzagged delta."""
        time = batch.append_time_ms
        if time is None:
            time = batch.base_timestamp + ((stamp >> 1) ^ -(stamp & 1))
        if not self._timed:
            self._timed = True
            self.first_timestamp = self.min_timestamp = self.max_timestamp = time
        elif time > self.max_timestamp:
            self.max_timestamp = time
        elif time < self.min_timestamp:
            self.min_timestamp = time
        zigzag = time << 1
        if zigzag > _LOW14:
            return two_byte_table()[zigzag & _LOW14] + unsigned_kept(zigzag >> 14)
        return long(time)

    def _open(self, prefix: bytes) -> Output:
        """The output of the values that begin with `prefix`, met for the first time."""
        out = self._raw
        if prefix[0] == 0:
            out = self._open_typed(int.from_bytes(prefix[1:], "big")) or self._raw
        if out is not self._raw or len(self._by_prefix) < _KNOWN_PREFIXES_MAX:
            self._by_prefix[prefix] = out
        return out

    def _open_typed(self, schema_id: int) -> Output | None:
        text = self._schema_text(schema_id)
        if text is None:
            return None
        try:
            skip = compile_skip(parse(text)) if self._check else None
        except BadSchema:
            return None
        out = Output(schema_id, file_schema(json.loads(text)), skip, self._workers)
        self._typed[schema_id] = out
        self._expected.add(schema_id, text)
        return out

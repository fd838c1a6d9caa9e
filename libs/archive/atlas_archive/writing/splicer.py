"""Writes Avro object container files by splicing.

A Confluent-framed value is five bytes and an Avro body; a container's block is Avro records laid end to end. So a value
goes in by copying its body behind an envelope (see layout.py): no decoding, and every Avro tool reads typed values. The
records are taken as Kafka stores them (see batches.py) and never become objects.
"""

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor

from atlas_avro.varints import length_table, long, two_byte_table, unsigned, unsigned_kept

from atlas_archive.format.checker import CHECK_ERRORS, compile_skip
from atlas_archive.format.codecs import CODECS
from atlas_archive.format.headers import HeaderShapes, nullable_headers
from atlas_archive.format.layout import BadSchema, file_schema, parse, raw_schema
from atlas_archive.format.outputs import Finished, Inline, Output, Packing
from atlas_archive.format.records import Record
from atlas_archive.writing.batches import NULL, Batch, int64, pack, places, records_of, unpack
from atlas_archive.writing.expected import Expected
from atlas_archive.writing.runs import Run, take
from atlas_archive.writing.steps import Work

BLOCK_BYTES = 256 * 1024  # before compression: larger packs no better, and a reader holds one block at a time
_RUN_BYTES = 64 * 1024  # of records taken at a time: a block ends after one
_KNOWN_PREFIXES_MAX = 1000  # values of any bytes have no end of prefixes
_LOW14 = (1 << 14) - 1
# What is done at a time by who must not be held up: bytes of values and, four times as costly, of headers; expressions
# made for headers. A record above that is taken with some others, for whoever does that in another thread.
_LIGHT, _ANY = 32 * 1024, 1 << 62
_LIGHT_COMPILED = 2
_HEAVY_RECORDS = 64
LIGHT_BATCH_BYTES = 8 * 1024 * 1024  # to decompress


class Splicer:
    """Turns the records of one partition, in offset order, into one container file a writer schema and one raw file.

    `schema_text` gives the JSON of a schema id, or None when nobody knows the id. Into a raw file go null values,
    values that are not framed Avro or whose schema is unknown, records with a header that has no value or whose name is
    not UTF-8 (these into one of their own), and, while `check` holds, bodies that are not one whole value of their
    schema (unchecked, one such body would make its block unreadable to every tool but this one). Blocks are compressed
    by `workers`, in this thread when there are none; before that `look`, when
    it is set, sees them.
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
        self.look: Callable[[bytes], None] | None = None
        self._packing = Packing(CODECS[codec], workers or Inline(), metadata or {}, self._shown)
        self._schema_text = schema_text
        self._block_bytes = block_bytes
        self._run_bytes = min(_RUN_BYTES, block_bytes)
        self._check = check
        self._raw = Output(None, raw_schema(), None, self._packing)
        self._odd_names = Output(None, raw_schema("bytes"), None, self._packing, "raw-names")
        self._typed: dict[int, Output] = {}
        self._by_prefix: dict[bytes, Output] = {}
        self._shapes = HeaderShapes()
        self._expected = Expected()
        self.first_timestamp = self.min_timestamp = self.max_timestamp = -1
        self._timed = False

    def _shown(self, block: bytes) -> None:
        if self.look is not None:
            self.look(block)

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
        for work in self.steps(batches):
            if work is not None:
                work()

    def steps(self, batches: Sequence[Batch]) -> Iterator[Work | None]:
        """The same in steps of some milliseconds at most. What may take longer is given: to be run, in any thread,
        before the next step. Nothing else may be done with the splicer until all is done.
        """
        for batch in batches:
            yield from self._splice(batch)

    def finish(self) -> list[Finished]:
        """Close the open blocks and give the files that have records: typed ones by schema id, then the raw ones."""
        ordered = (*(out for _, out in sorted(self._typed.items())), self._raw, self._odd_names)
        files = (out.finish() for out in ordered)
        return [file for file in files if file is not None]

    def _outputs(self) -> Sequence[Output]:
        return (*self._typed.values(), self._raw, self._odd_names)

    def _splice(self, batch: Batch) -> Iterator[Work | None]:
        """Records that look as expected are taken in runs, the others one by one; what to expect is learnt of these."""
        if batch.at_most > LIGHT_BATCH_BYTES:
            yield (opening := Work(batch.opened))
            batch = opening.take()
        batch = batch.opened()
        data, at, place, expected = batch.data(), 0, 0, self._expected
        if batch.start_offset > batch.base_offset:
            yield (adding := Work(lambda: self._add_records(unpack(batch))))
            adding.take()
            return
        while place < batch.records:
            pattern = expected.pattern
            taken = take(pattern, batch, data, at, self._run_bytes, place) if pattern is not None else None
            if taken is None:
                numbers = range(place, min(batch.records, place + expected.closely))
                count, at = yield from self._one_by_one(batch, data, at, numbers)
                if expected.looked(count, self._shapes.names):
                    yield (learning := Work(expected.learn))
                    learning.take()
            else:
                count, at = taken.records, taken.end
                for run in taken.runs:
                    self._add_run(run)
                expected.took(count)
                yield None
            place += count
        if place > batch.records:
            raise ValueError(f"{place} records in a batch of {batch.records}")

    def _add_run(self, run: Run) -> None:
        # Never the first record of all, so there is a time to compare with.
        self.min_timestamp = min(self.min_timestamp, run.min_timestamp)
        self.max_timestamp = max(self.max_timestamp, run.max_timestamp)
        out = self._typed[run.schema_id]
        out.add(run.packed, run.records, run.first_offset, run.last_offset)
        if out.block_size >= self._block_bytes:
            out.close_block()

    def _one_by_one(
        self, batch: Batch, data: bytes, at: int, numbers: range
    ) -> Generator[Work | None, None, tuple[int, int]]:
        """Copy the records of these numbers, the first of which begins at `at`; gives how many, and where they end.

        Fewer where that takes long; more where one of them is not as anybody writes it, as a hostile producer may: then
        all up to the batch's end are in.
        """
        try:
            try:
                yield None
                self._shapes.may_compile = _LIGHT_COMPILED
                return self._copy(batch, data, at, numbers)
            except _Heavy as heavy:
                if heavy.number > numbers.start:
                    return heavy.number - numbers.start, heavy.at
                some = range(numbers.start, min(batch.records, numbers.start + _HEAVY_RECORDS))
                yield (copying := Work(lambda: self._copy(batch, data, at, some, light=False)))
                count, end = copying.take()
                return count, end
        except _Odd as error:
            odd = error
        yield (adding := Work(lambda: self._add_records(records_of(batch, data, odd.at, odd.number, odd.before))))
        adding.take()
        return batch.records - numbers.start, len(data)

    def _add_records(self, records: Sequence[Record]) -> None:
        if records:
            packed = pack(records)
            self._copy(packed, packed.data(), 0, range(packed.records), light=False)

    def _copy(self, batch: Batch, data: bytes, at: int, numbers: range, *, light: bool = True) -> tuple[int, int]:
        """Raises _Odd and, while `light`, _Heavy; calls little in its loop, since calls cost."""
        base, raw, spent, most = batch.base_offset << 1, self._raw, 0, _LIGHT if light else _ANY
        low14, lengths, known, are_whole = two_byte_table(), length_table(), self._by_prefix, self._shapes.are_whole
        first = room = _room(batch, numbers.start)
        high, high_part, delta, time_part, before = -1, b"", -1, b"", -2
        try:
            for stamp, step, key_at, size_at, value_at, headers_at, end in places(data, len(numbers), at):
                if step != room and (step & 1 or not before < step < room):
                    raise ValueError("an offset that is not that of its place")
                spent += (end - headers_at << 2) + headers_at - value_at
                if spent > most:
                    raise _Heavy(at, numbers.start + (room - first >> 1))
                offset = base + step
                if offset >> 14 != high:
                    high, high_part = offset >> 14, unsigned(offset >> 14) if offset >> 14 else b""
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
                    out, headers, body, size = self._raw_parts(data, size_at, headers_at, end)
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
                out.block_records, out.block_size = out.block_records + 1, out.block_size + end - key_at + 8
                out.last_offset = offset >> 1
                out.first_offset = out.first_offset if out.first_offset >= 0 else out.last_offset
                if out.block_size >= self._block_bytes:
                    out.close_block()
                at, before, room = end, step, room + 2
        except (IndexError, ValueError) as error:
            raise _Odd(at, numbers.start + (room - first >> 1), before >> 1) from error
        return len(numbers), at

    def _time(self, batch: Batch, stamp: int) -> bytes:
        """The encoding of a record's timestamp; `stamp` is its zigzagged delta."""
        time = batch.append_time_ms
        if time is None:
            time = int64(batch.base_timestamp + ((stamp >> 1) ^ -(stamp & 1)))
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

    def _raw_parts(self, data: bytes, size_at: int, headers_at: int, end: int) -> tuple[Output, bytes, bytes, int]:
        """Where a record goes that fits into no typed file, its headers and its value, with the length of that."""
        headers, are_text = nullable_headers(data, headers_at, end)
        body = b"\0" if data[size_at] == NULL else b"\2" + data[size_at:headers_at]
        return (self._raw if are_text else self._odd_names), headers, body, len(body)

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
        out = Output(schema_id, file_schema(json.loads(text)), skip, self._packing)
        self._typed[schema_id] = out
        self._expected.add(schema_id, text)
        return out


class _Heavy(Exception):
    """The record with this number, which begins at `at`, takes long, or one before it did: it is not in yet."""

    def __init__(self, at: int, number: int) -> None:
        super().__init__(at, number)
        self.at = at
        self.number = number


class _Odd(ValueError):
    """The record with this number in its batch, which begins at `at`, is not as it should be; `before`: see batches."""

    def __init__(self, at: int, number: int, before: int) -> None:
        super().__init__(f"no record with number {number} at byte {at} of its batch")
        self.at = at
        self.number = number
        self.before = before


def _room(batch: Batch, number: int) -> int:
    """The largest offset within its batch, zigzagged, that the record with this number can have."""
    return batch.offset - batch.base_offset - batch.records + 1 + number << 1

"""A run of records taken out of a batch in one step, by columns, into what a container's block holds of them.

The same bytes as record by record, for a third of the time: everything here works on whole columns, in C. Whatever is
not as plain as the expression (patterns.py) wants it ends the run, and is left to whoever looks closely.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, compress, repeat
from operator import itemgetter, lt

from atlas_avro.varints import length_table, long, read_unsigned, two_byte_table, unsigned, unsigned_kept

from atlas_archive.writing.batches import Batch
from atlas_archive.writing.patterns import (
    HEADERS,
    KEY,
    REST,
    SIZE,
    STAMP,
    STEP,
    VALUE_SIZE,
    WHOLE,
    Body,
    RecordPattern,
)

_LOW14 = (1 << 14) - 1
_TIMES_MAX = 2**63
_NO_KEY = b"\1"  # the length of null
_NO_HEADERS = b"\0"
_FRAMING_BYTES = 5

Row = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """Records of one schema, laid out as in a block."""

    schema_id: int
    packed: bytes
    records: int
    first_offset: int
    last_offset: int
    min_timestamp: int
    max_timestamp: int


@dataclass(frozen=True, slots=True)
class Taken:
    """Consecutive records, a run for each of their schemas: how many they are, and where in the data they end."""

    runs: Sequence[Run]
    records: int
    end: int


class _Numbers(dict[bytes, int]):
    """Varints that were met, and their numbers, zigzagged still; those of up to two bytes are kept."""

    def __missing__(self, varint: bytes) -> int:
        number, _ = read_unsigned(varint, 0)
        if len(varint) <= 2:
            self[varint] = number
        return number


class _Sizes(dict[bytes, int]):
    """The same for lengths: the number itself; an odd one, which means a negative length, is -1."""

    def __missing__(self, varint: bytes) -> int:
        number = -1 if varint[0] & 1 else read_unsigned(varint, 0)[0] >> 1
        if len(varint) <= 2:
            self[varint] = number
        return number


_NUMBERS, _SIZES = _Numbers(), _Sizes()


def take(pattern: RecordPattern, batch: Batch, data: bytes, at: int, most: int, number: int) -> Taken | None:
    """What can be taken of the `most` bytes from `at` on; None: the record there needs a closer look (or more bytes).

    `data` is the batch's, `number` that of the record at `at`.
    """
    rows: list[Row] = pattern.regex.findall(data, at, min(len(data), at + most))
    if rows and rows[-1][REST]:
        rows.pop()
    if not rows:
        return None
    lengths = list(map(itemgetter(SIZE), rows))
    sizes = list(map(_SIZES.__getitem__, lengths))
    if sizes != list(map(len, map(itemgetter(WHOLE), rows))):
        return None
    steps = list(map(_NUMBERS.__getitem__, map(itemgetter(STEP), rows)))
    if not _are_in_order(steps, batch, number):
        return None
    runs, one = [], len(pattern.bodies) == 1
    for body in pattern.bodies:
        ours = rows if one else [row for row in rows if row[body.body]]
        if ours:
            run = _run(body, ours, batch, steps if one else list(compress(steps, map(itemgetter(body.body), rows))))
            if run is None:
                return None
            runs.append(run)
    return Taken(runs, len(rows), at + sum(sizes) + sum(map(len, lengths)))


def _are_in_order(steps: list[int], batch: Batch, number: int) -> bool:
    """Whether these are zigzagged offsets within the batch, rising, with room for the records that come after."""
    first = 2 * number
    if steps == list(range(first, first + 2 * len(steps), 2)):
        return True
    room = 2 * (batch.offset - batch.base_offset - batch.records + number + len(steps))
    return all(map(lt, steps, steps[1:])) and steps[-1] <= room and not any(step & 1 for step in steps)


def _run(body: Body, rows: Sequence[Row], batch: Batch, steps: Sequence[int]) -> Run | None:
    columns: list[tuple[bytes, ...]] = list(zip(*rows, strict=True))
    bodies = columns[body.body]
    sizes = list(map(len, bodies))
    if list(map(_SIZES.__getitem__, columns[VALUE_SIZE])) != [size + _FRAMING_BYTES for size in sizes]:
        return None
    if not _are_texts(body, columns):
        return None
    base = batch.base_offset << 1
    offsets = [base + step for step in steps]
    times = _times(batch, columns[STAMP])
    if not -_TIMES_MAX <= min(times) <= max(times) < _TIMES_MAX:
        return None
    records = zip(
        *_zigzags(offsets),
        *_longs(times),
        *_keys(columns[KEY]),
        *_headers(columns[HEADERS]),
        _lengths(sizes),
        bodies,
        strict=False,  # some of these never end
    )
    packed = b"".join(chain.from_iterable(records))
    return Run(body.schema_id, packed, len(rows), offsets[0] >> 1, offsets[-1] >> 1, min(times), max(times))


def _are_texts(body: Body, columns: Sequence[tuple[bytes, ...]]) -> bool:
    """Whether all of a schema's texts are UTF-8: looked at together, with a byte between them that is of no text."""
    texts = [*chain.from_iterable(columns[column] for column in body.texts)]
    for column in body.long_texts:
        if any(columns[column]):
            texts += [text[1:] for text in columns[column]]  # what is left of the length is a byte below 128, as texts
    together = b"\0".join(texts)
    try:
        return together.isascii() or bool(together.decode())
    except UnicodeDecodeError:
        return False


def _times(batch: Batch, stamps: Sequence[bytes]) -> Sequence[int]:
    if batch.append_time_ms is not None:
        return [batch.append_time_ms] * len(stamps)
    base = batch.base_timestamp
    return [base + ((stamp >> 1) ^ -(stamp & 1)) for stamp in map(_NUMBERS.__getitem__, stamps)]


def _longs(numbers: Sequence[int]) -> tuple[Iterable[bytes], ...]:
    """Their encodings, in one part or two."""
    if min(numbers) < 0:
        return (map(long, numbers),)
    return _zigzags([number << 1 for number in numbers])


def _zigzags(numbers: Sequence[int]) -> tuple[Iterable[bytes], ...]:
    """The same of numbers that are zigzagged already. Those of a run lie close together: their high parts are one."""
    high = min(numbers) >> 14
    if high == 0:
        return (map(unsigned, numbers),)
    low14 = two_byte_table()
    lows = [low14[number & _LOW14] for number in numbers]
    if high == max(numbers) >> 14:
        return lows, repeat(unsigned(high))
    return lows, [unsigned_kept(number >> 14) for number in numbers]


def _keys(keys: Sequence[bytes]) -> tuple[Iterable[bytes], ...]:
    if _NO_KEY in keys:
        return ([b"\0" if key == _NO_KEY else b"\2" + key for key in keys],)
    return repeat(b"\2"), keys


def _headers(headers: Sequence[bytes]) -> tuple[Iterable[bytes], ...]:
    if headers.count(_NO_HEADERS) == len(headers):
        return (headers,)
    return headers, [b"" if packed == _NO_HEADERS else b"\0" for packed in headers]


def _lengths(sizes: Sequence[int]) -> Iterable[bytes]:
    table = length_table()
    if max(sizes) < len(table):
        return map(table.__getitem__, sizes)
    return map(long, sizes)

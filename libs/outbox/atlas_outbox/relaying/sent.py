"""What a relay says it has sent: the rows of a batch, so named that no other rows are ever taken for them.

Ids alone would not do: after a restore from an older dump new rows are handed ids that others had. So a batch is named
by its ids and a digest of its rows' keys and headers, and the headers have the event's own id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from itertools import chain, pairwise
from operator import itemgetter

from atlas_avro.varints import long, read_long

# group, id, key hash, topic, key, value, headers: what a claim gives. Plain tuples, because there are thousands.
Row = tuple[int, int, int, str, bytes, bytes | None, bytes]

_DIGEST_BYTES = 16
_ID, _KEY, _HEADERS = 1, 4, 6


@dataclass(frozen=True, slots=True)
class Sent:
    """The rows of a batch, in its order."""

    ids: tuple[int, ...]
    digest: bytes

    def is_all_of(self, rows: Mapping[int, tuple[bytes, bytes]]) -> bool:
        """Whether each of its rows is there, by id with key and headers, and is the very row that was sent."""
        return all(row_id in rows for row_id in self.ids) and self.digest == _digest([rows[i] for i in self.ids])


def sent_of(rows: Sequence[Row]) -> Sent:
    """The name of these rows, claimed and not empty."""
    return Sent(tuple(map(itemgetter(_ID), rows)), _digest(list(map(itemgetter(_KEY, _HEADERS), rows))))


def pack_sent(batches: Sequence[Sent]) -> bytes:
    """As bytes: of each batch the digest, how many ids, and the difference of each id to the one before it."""
    small = _small()
    many, parts = len(small), []
    for batch in batches:
        steps = [batch.ids[0], *(later - earlier for earlier, later in pairwise(batch.ids))]
        parts += [batch.digest, long(len(steps))]
        parts += [small[step] if 0 <= step < many else long(step) for step in steps]
    return b"".join(parts)


def unpack_sent(packed: bytes) -> list[Sent]:
    """The batches that pack_sent was given. Raises ValueError when the bytes are none of its own."""
    batches, at = [], 0
    try:
        while at < len(packed):
            digest = packed[at : at + _DIGEST_BYTES]
            count, at = read_long(packed, at + _DIGEST_BYTES)
            ids, last = [], 0
            for _ in range(count):
                step, at = read_long(packed, at)
                ids.append(last := last + step)
            batches.append(Sent(tuple(ids), digest))
    except IndexError:
        raise ValueError("a mark ends early") from None
    return batches


def _digest(rows: Sequence[tuple[bytes, bytes]]) -> bytes:
    return blake2b(b"".join(chain.from_iterable(rows)), digest_size=_DIGEST_BYTES).digest()


@cache
def _small() -> tuple[bytes, ...]:
    return tuple(long(number) for number in range(1 << 10))

"""The decisions of the batch protocol, without any I/O."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from atlas_outbox.parking import Key
from atlas_outbox.relaying.sent import Row

_ROWS_MIN = 50
_WIRE_BYTES_MIN = 1024
# A server's error without a name is taken for the records' own fault when it comes so often in a row.
_NAMELESS_MAX = 3


class Refused(Exception):
    """The broker won't take some record batches. `batches` has the row ids of each one with the broker's error.

    `delivered` are rows of the same send that arrived nevertheless; in a transaction there are none. `denied` are
    topics that take nothing at all, with the broker's error.
    """

    def __init__(
        self,
        batches: Collection[tuple[list[int], str]],
        delivered: Collection[int] = (),
        denied: Collection[str] = (),
    ) -> None:
        super().__init__("; ".join(sorted({*denied, *(error for _ids, error in batches)})))
        self.batches = batches
        self.delivered = delivered


def rows_to_park(
    rows: Iterable[Row], parked: Mapping[int, Mapping[Key, int]], reason_against: Callable[[Row], str | None]
) -> dict[int, dict[int, str | None]]:
    """By group, the rows that must not be sent: those with a reason against them (their error), and those behind a
    parked row of their key (None). `parked` has the lowest parked id of each key of a group.

    Rows come in id order within a group, so within a key in commit order. A row before the parked one is sent.
    """
    aside: dict[int, dict[int, str | None]] = {}
    blocked = {group: dict(keys) for group, keys in parked.items() if keys}
    for row in rows:
        if blocked:
            first = blocked.get(row[0], {}).get((row[3], row[4]))
            if first is not None and row[1] > first:
                aside.setdefault(row[0], {})[row[1]] = None
                continue
        if (error := reason_against(row)) is not None:
            aside.setdefault(row[0], {})[row[1]] = error
            blocked.setdefault(row[0], {})[row[3], row[4]] = row[1]
    return aside


@dataclass(slots=True)
class Caution:
    """What a lane has learned from refusals; it outlives the producer, which does not survive one.

    A record batch that is refused is halved, transaction after transaction, until the one row is found; then that row
    is condemned, and parked by the next claim. Every batch that arrives doubles what may be tried again.
    """

    rows_max: int
    wire_bytes_max: int = 900_000
    rows: int = 0
    wire_rows: int = 0
    condemned: dict[int, str] = field(default_factory=dict)
    _wire_bytes: dict[str, int] = field(default_factory=dict)
    _nameless: int = 0

    def __post_init__(self) -> None:
        self.rows = self.wire_rows = self.rows_max

    def wire_bytes(self, topic: str) -> int:
        """The largest record batch to send to the topic."""
        return self._wire_bytes.get(topic, self.wire_bytes_max)

    def too_large(self, topic: str, size: int) -> None:
        """The topic refused a batch of this size, of more than one record, for its size: it is remembered."""
        self._wire_bytes[topic] = max(_WIRE_BYTES_MIN, min(size, self.wire_bytes(topic)) // 2)

    def nameless(self) -> bool:
        """The broker could not say what is wrong; True when that was so often in a row that it is the records."""
        self._nameless += 1
        return self._nameless >= _NAMELESS_MAX

    def refused(self, refusal: Refused) -> None:
        """Condemn single rows; try fewer where there are more."""
        largest = 1
        for ids, error in refusal.batches:
            if len(ids) == 1:
                self.condemned[ids[0]] = error
            largest = max(largest, len(ids))
        if largest > 1:
            self.wire_rows = max(1, min(self.wire_rows, largest) // 2)
            self.rows = max(min(_ROWS_MIN, self.rows_max), self.rows // 2)

    def arrived(self) -> None:
        """A batch arrived."""
        self._nameless = 0
        self.rows = min(self.rows_max, self.rows * 2)
        self.wire_rows = min(self.rows_max, self.wire_rows * 2)

    def parked(self, ids: Iterable[int]) -> None:
        """Condemned rows are parked now; what becomes of them later is judged anew."""
        for row_id in ids:
            self.condemned.pop(row_id, None)

"""What has been folded and not been written yet."""

from dataclasses import dataclass, field

from aiokafka import TopicPartition
from atlas_projection.change import Key
from atlas_projection.fold import Folded
from atlas_projection.projection import Row
from atlas_readmodel.postgres.writer import Advance, Batch
from atlas_readmodel.waiting.parking import Parked, Place, Ruling

from atlas_projector.waiting.aside import Aside


@dataclass(slots=True)
class Pending:
    """The batch to come. `advances`: expected offset, next offset, events, by partition. `hurried`: it is written
    however few rows it has. `oldest_ms`: the least timestamp that its events were found to have; `trace` leads to one.
    """

    rows: dict[Key, Row | None] = field(default_factory=dict)
    advances: dict[TopicPartition, tuple[int, int, int]] = field(default_factory=dict)
    parked: list[Parked] = field(default_factory=list)
    released: list[Place] = field(default_factory=list)
    rulings: list[Ruling] = field(default_factory=list)
    hurried: bool = False
    oldest_ms: int | None = None
    trace: dict[str, str] | None = None

    @property
    def events(self) -> int:
        """How many records it moves the positions over."""
        return sum(events for _, _, events in self.advances.values())

    def is_due(self, rows: int) -> bool:
        """Whether it is to be written, where a batch is to have so many rows. It is not while it moves no position."""
        return bool(self.advances) and (self.hurried or len(self.rows) >= rows)

    def add(self, folded: Folded, aside: Aside) -> None:
        """Rows, and what waits or no longer does, to be written together."""
        if self.rows:
            self.rows.update(folded.rows)
        else:
            self.rows = folded.rows
        self.released += folded.released + aside.released
        self.parked += aside.parked
        self.rulings += aside.rulings

    def advance(self, partition: TopicPartition, expected: int, next_offset: int, events: int) -> None:
        """Move a partition's position; several moves become one."""
        if partition in self.advances:
            expected, _, before = self.advances[partition]
            events += before
        self.advances[partition] = (expected, next_offset, events)

    def note_age(self, first_ms: int, trace: dict[str, str] | None) -> None:
        """Events of a partition were added, of which the first has this timestamp; negative: it has none."""
        if first_ms >= 0:
            self.oldest_ms = first_ms if self.oldest_ms is None else min(self.oldest_ms, first_ms)
            self.trace = trace or self.trace

    def batch(self) -> Batch:
        """All of it, as the writer takes it; records that came and went within it never waited."""
        gone = set(self.released)
        return Batch(
            advances=[
                Advance(partition.topic, partition.partition, *moved) for partition, moved in self.advances.items()
            ],
            rows=self.rows,
            parked=[record for record in self.parked if record.place not in gone],
            released=self.released,
            rulings=self.rulings,
        )


def trim(rows: dict[Key, Row | None], most: int, *written: dict[Key, Row | None]) -> None:
    """Forget the rows known longest until `most` are left; not those that PostgreSQL may not have yet."""
    if (surplus := len(rows) - most) <= 0:
        return
    oldest = [key for key, _ in zip(rows, range(surplus), strict=False)]
    for key in oldest:
        if not any(key in pending for pending in written):
            del rows[key]

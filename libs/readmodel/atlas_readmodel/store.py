"""What whoever fills a read model needs of the place where it is kept, PostgreSQL or Redis.

`atlas_readmodel.stores` gives the store of a read model. One contract suite runs over both kinds.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from atlas_readmodel.postgres.comparison import Comparison
from atlas_readmodel.postgres.generations import Generation
from atlas_readmodel.postgres.topic_ids import Partition, Renewal
from atlas_readmodel.postgres.writer import Batch, Key, Row, Waits
from atlas_readmodel.waiting.parking import Decision, Dropped, Parked, Place, Ruling

# The live generation is held no longer than this; then it goes on and the holder tries again.
HOLD_MAX_S = 5.0

Positions = Mapping[tuple[str, int], int]
# Brings the generation that is being built to these positions, those at which the live one is held.
Level = Callable[[Positions], Awaitable[None]]


class Busy(Exception):
    """The live generation could not be held, or not for long enough; try again."""


class Unsuitable(Exception):
    """The server is not set up to keep a read model; the reason says what to change."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Records that wait in the live generation: some of them, how many there are, of how many something is asked."""

    records: Sequence[Parked]
    count: int
    asked: int = 0


class Rows(Protocol):
    """Loads and writes the rows of one generation, with the position of each partition they come from."""

    generation: int

    async def load(self, keys: Collection[Key]) -> dict[Key, Row]:
        """The rows of these keys that exist. A key has its columns in the order of `primary_key`."""

    async def positions(self) -> dict[tuple[str, int], int]:
        """The next offset of every (topic, partition) that has one."""

    async def topic_ids(self) -> dict[Partition, str | None]:
        """The topic id of each position; None where it is not known."""

    async def adopt(self, ids: Mapping[str, str], ends: Mapping[Partition, int]) -> None:
        """Give positions without an id the one that their topic has now, where they lie within the partition."""

    async def renew(self, renewals: Collection[Renewal]) -> None:
        """Begin at 0 of the topics that are there now, in one step; see atlas_readmodel.postgres.topic_ids."""

    async def add_positions(self, partitions: Iterable[tuple[str, int]], ids: Mapping[str, str] | None = None) -> None:
        """Begin partitions that have no position yet at 0, of topics with these ids: this writer moves no others."""

    async def drop_asked(self, expected: Mapping[tuple[str, int], int], most: int) -> Dropped:
        """Give up at most so many of the records that an operator wants dropped, of the partitions at these positions;
        what waited behind them is asked to be retried. Raises Fenced.
        """

    async def skipped(self) -> Collection[Place]:
        """The records that are to be stepped over."""

    async def take_over(self, reader: str, partitions: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """From now on `reader` reads these partitions. Gives how many before it ended there without letting go of the
        partition or getting on in it.
        """

    async def let_go(self, reader: str, partitions: Collection[tuple[str, int]]) -> None:
        """`reader` ends in order, or others read these partitions from now on."""

    async def mark(self, place: Place, records: int, reader: str) -> None:
        """`reader` is about to handle so many records from there on."""

    async def unmark(self, places: Collection[Place]) -> None:
        """What was marked there has been handled."""

    async def empty(self) -> bool:
        """Whether there is no row."""

    async def waiting(self, partitions: Iterable[tuple[str, int]]) -> Waits:
        """What waits of these partitions, and every decision about records of the projection."""

    async def asked(self) -> Collection[str]:
        """What an operator wants done with some of the records that wait: retry, drop."""

    async def requests(self) -> list[list[Parked]]:
        """What an operator wants done: for each record asked for, all that waits of its key, in offset order."""

    async def write(self, batch: Batch) -> None:
        """Make a batch durable, all of it or nothing; raises Fenced when another writer has moved a position."""

    async def try_each(self, rows: Mapping[Key, Row | None]) -> Mapping[Key, str]:
        """Of rows that were refused together, those that are refused by themselves, with the server's reason; nothing
        is changed. Empty where that can't be told at once.
        """

    async def explain(self, rows: Mapping[Key, Row | None], error: str) -> str:
        """Why rows were refused, whose `error` that was: with field and value, where one of them is the reason."""


class Store(Protocol):
    """The generations of one read model. See atlas_readmodel.postgres.generations for their states."""

    async def ensure_live(self) -> Generation:
        """The live generation; the first one is made when there is none. Any number may call. Raises Unsuitable."""

    async def in_state(self, state: str) -> Generation | None:
        """The generation in this state (building, live, previous)."""

    async def begin(self) -> Generation:
        """The generation to build: the unfinished one of this version, as far as it is, or a new one."""

    async def discard(self) -> None:
        """Give up the unfinished generation, if there is one."""

    async def begin_side(self) -> Generation | None:
        """Make this read model anew as a side table: one generation, empty. None if a projection has its name."""

    def rows(self, generation: int) -> Rows:
        """Reads and writes one generation."""

    async def compare(self, number: int, level: Level) -> Comparison | None:
        """Hold the live generation, have generation `number` brought level with it, and compare the two as they are
        then; None if they are of different versions. Raises Busy.
        """

    async def missing(self, number: int, level: Level) -> int:
        """Hold the live generation, have generation `number` brought level with it, and count the rows of the live
        one that it does not have as they are; 0 if they are of different versions. Raises Busy.
        """

    async def swap(self, number: int, level: Level) -> int:
        """Hold the live generation, have `number` brought level with it, and let readers see it from then on, in one
        step. The one replaced stays as the previous one. Returns the new epoch. Raises Busy, generations.NotCaughtUp.
        """

    async def tidy(self, number: int) -> int:
        """Remove what earlier swaps left behind; returns how many rows generation `number` has."""

    async def rollback(self) -> tuple[Generation, int]:
        """Let readers see the previous generation again, in one step; gives that and the new epoch.

        Raises generations.NoSuchGeneration.
        """

    async def raise_epoch(self) -> int:
        """The new epoch: rows cached under an older one no longer count."""

    async def ruling(self, place: Place) -> Decision | None:
        """What was decided about a record."""

    async def rule(self, rulings: Collection[Ruling]) -> None:
        """Note decisions about records, whether they wait or not; whoever begins to read from now on follows them."""

    async def overview(self) -> list[dict[str, Any]]:
        """The generations as people are shown them: number, version, state, times, events handled."""

    async def parked(self, states: Collection[str], limit: int) -> Waiting:
        """Records that wait in these states, by topic, partition and offset."""

    async def parked_at(self, place: Place) -> Parked | None:
        """One record that waits."""

    async def ask(self, what: str, places: Collection[Place] | None) -> list[Place]:
        """Note that these records (None: all that are dead or early) should be retried or dropped; those that wait."""

"""What one caller sends together, and how it hears of each record."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from atlas_kafka.producing.outgoing import Delivery, Outgoing

Results = list[Delivery | Exception]


@dataclass(eq=False, slots=True)
class Call:
    """`done` has a result a record, in order, once every one has its own. `dropped`: nobody waits for it any more."""

    records: Sequence[Outgoing]
    done: "asyncio.Future[Results]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    dropped: bool = False
    _results: list[Delivery | Exception | None] = field(init=False)
    _left: int = field(init=False)

    def __post_init__(self) -> None:
        self._left = len(self.records)
        self._results = [None] * self._left

    def settle(self, index: int, result: Delivery | Exception) -> None:
        """The record's result; a second one is ignored."""
        if self._results[index] is not None:
            return
        self._results[index] = result
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result([each for each in self._results if each is not None])

    def fail(self, error: Exception) -> None:
        """`error` for every record that has no result yet."""
        for index in range(len(self.records)):
            self.settle(index, error)


# A record by its place in its call.
Entry = tuple[Call, int]

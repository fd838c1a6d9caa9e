"""`atlas lag --watch`: look at lag again and again, with what it was in the last minutes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atlas_cli.mesh.lag_history import Item, start_of
from atlas_cli.terminal.output import CommandError

EVERY_S = 2.0
# A bar of the line; a multiple of the finest step that the aggregator keeps.
BAR_S = 20
BARS_KEPT = 30
# A group and a topic.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found at one look, worst first: a row for each group and topic.

    A row has `group`, `topic`, `records`, `seconds`, `state` and, where the aggregator tells, `status`. `read` is the
    sum of each one's committed offsets, where it has any; `at` a monotonic time.
    """

    rows: Sequence[Mapping[str, Any]]
    read: Mapping[Key, int]
    at: float


@dataclass(frozen=True, slots=True)
class Frame:
    """What is shown of a look: each row has `read_per_s` too. `trouble`: why it is not of now."""

    rows: Sequence[Mapping[str, Any]]
    trails: Mapping[Key, Sequence[float | None]]
    trouble: str | None = None


class Trails:
    """The most that each group and topic was behind, by bars of BAR_S seconds, of the last BARS_KEPT bars."""

    def __init__(self) -> None:
        self._most: dict[Key, dict[int, float]] = {}

    def add(self, key: Key, at_s: float, records: float) -> None:
        """Take what was seen at a time (seconds since the epoch)."""
        of_key = self._most.setdefault(key, {})
        bar = int(at_s // BAR_S)
        of_key[bar] = max(records, of_key.get(bar, 0.0))

    def add_history(self, items: Sequence[Item]) -> None:
        """Take what the aggregator has kept."""
        for item in items:
            for point in item["points"]:
                self.add((item["group"], item["topic"]), start_of(point), point["records_max"])

    def shown(self, now_s: float) -> dict[Key, list[float | None]]:
        """The bars up to now, oldest first, None where nothing was seen; older ones are forgotten."""
        first = int(now_s // BAR_S) - BARS_KEPT + 1
        self._most = {
            key: kept
            for key, of_key in self._most.items()
            if (kept := {bar: most for bar, most in of_key.items() if bar >= first})
        }
        return {key: [kept.get(first + bar) for bar in range(BARS_KEPT)] for key, kept in self._most.items()}


def with_rates(looked: Looked, before: Looked | None) -> list[dict[str, Any]]:
    """The rows with `read_per_s`: by how much the committed offsets rose since `before`; None where nobody knows."""
    rows = []
    for row in looked.rows:
        key = (row["group"], row["topic"])
        rate = None
        if before is not None and looked.at > before.at and key in looked.read and key in before.read:
            risen = looked.read[key] - before.read[key]
            # They fall when a group is set back or its topic is made again.
            rate = None if risen < 0 else round(risen / (looked.at - before.at), 1)
        rows.append({**row, "read_per_s": rate})
    return rows


async def watch(
    look: Callable[[], Awaitable[Looked]],
    past: Callable[[], Awaitable[list[Item]]],
    show: Callable[[Frame], None],
    stop: asyncio.Event,
) -> None:
    """Show a frame every EVERY_S seconds until `stop`.

    Raises the CommandError of the first look. Later ones are shown beside the frame before, and tried again. Without
    an answer to `past` the lines begin with what is seen from now on; it is asked again as long as it has none.
    """
    trails, before, frame = Trails(), None, None
    told = False
    while not stop.is_set():
        try:
            looked = await look()
            if not told:
                told = await _add_past(past, trails)
            now_s = time.time()
            for row in looked.rows:
                trails.add((row["group"], row["topic"]), now_s, row["records"] or 0)
            frame = Frame(with_rates(looked, before), trails.shown(now_s))
            before = looked
        except CommandError as error:
            if frame is None:
                raise
            frame = Frame(frame.rows, frame.trails, str(error))
            told = False  # what is missed now is asked for afterwards
        show(frame)
        try:
            async with asyncio.timeout(EVERY_S):
                await stop.wait()
        except TimeoutError:
            continue


async def _add_past(past: Callable[[], Awaitable[list[Item]]], trails: Trails) -> bool:
    try:
        trails.add_history(await past())
    except CommandError:
        return False
    return True

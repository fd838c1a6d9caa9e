"""Values of one schema read as a run: taken apart by one regular expression, converted by columns.

Two thirds of what the generated reader (binary_reader.py) takes one by one, with the same results: what the expression
does not match, byte for byte, is left to that.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import count, repeat
from typing import Any

from atlas_contracts.reading.columns import VALUES_MAX
from atlas_contracts.reading.run_pattern import RunPattern, run_pattern

# Below this many values converting by columns costs more than it saves.
RUN_FROM = 24
# An expression takes up to 0.1 s to compile: not for those who see a few runs in a day.
_COMPILE_AFTER = 500
# A stretch of fewer values than this, between two that do not match, is left to be read one by one.
_STRETCH_FROM = 12


class RunReader:
    """Reads framed values that all begin with `prefix`, of a definition that fastavro has parsed.

    `irregular`: it is known that no value of this schema can be read in a run.
    """

    def __init__(self, prefix: bytes, parsed: Any) -> None:
        self._prefix = prefix
        self._parsed = parsed
        self._met = 0
        self._compiled = False
        self.irregular = False
        self._taker: _Taker | None = None

    def read(self, framed: Sequence[bytes]) -> list[Any]:
        """The values in order; None for each that has to be read alone: what the expression does not know, what is
        broken, all of a run that is too short.
        """
        values: list[Any] = []
        for start in range(0, len(framed), VALUES_MAX):
            part = framed[start : start + VALUES_MAX]
            taker = self._ready(len(part))
            values += [None] * len(part) if taker is None else _read(taker, part)
        return values

    def _ready(self, values: int) -> "_Taker | None":
        if values < RUN_FROM:
            return None
        if not self._compiled:
            self._met += values
            if self._met >= _COMPILE_AFTER:
                pattern = run_pattern(self._prefix, self._parsed)
                self._taker = None if pattern is None else _Taker(pattern)
                self._compiled = True
                self.irregular = pattern is None
        return self._taker


def _read(taker: "_Taker", framed: Sequence[bytes]) -> list[Any]:
    """Stretch by stretch. The fewer values are taken at a time, the more are left alone before the next attempt."""
    data = b"".join(framed).decode("latin-1")
    sizes = list(map(len, framed))
    values: list[Any] = []
    at, alone = 0, 1
    while len(values) < len(sizes):
        left = sizes[len(values) :]
        taken = taker.take(data, at, left)
        alone = 1 if len(taken) >= _STRETCH_FROM else alone * 2
        some = len(taken) + alone
        values += taken
        values += repeat(None, min(alone, len(left) - len(taken)))
        at += sum(left[:some])
    return values


class _Taker:
    """Takes values off the beginning of a run."""

    def __init__(self, pattern: RunPattern) -> None:
        self._findall = pattern.regex.findall
        self._converts = pattern.converts
        names = "".join(f"c{number}, " for number in range(len(pattern.converts)))
        each = f"({names}) in zip(*columns)" if names else "_ in range(rows)"
        # Made of the words of run_pattern and of quoted names.
        self._build: Callable[[list[Iterable[object]], int], list[Any]] = eval(  # nosec B307
            f"lambda columns, rows: [{pattern.built} for {each}]"
        )

    def take(self, data: str, at: int, sizes: Sequence[int]) -> list[Any]:
        """The values at `at` of these sizes, up to the first that does not match or is not of its size."""
        rows = self._findall(data, at)
        if rows and rows[-1][-1]:
            rows.pop()
        whole, *columns, _ = zip(*rows, strict=True) if rows else ((), ())
        found = list(map(len, whole))
        if found != sizes[: len(found)]:
            fit = next(place for place in count() if found[place : place + 1] != sizes[place : place + 1])
            columns = [column[:fit] for column in columns]
            found = found[:fit]
        if len(found) < _STRETCH_FROM:
            return [None] * len(found)
        try:
            converted = [convert(column) for convert, column in zip(self._converts, columns, strict=True)]
        except ValueError:  # text that is no UTF-8, bytes that mean nothing
            return [None] * len(found)
        return self._build(converted, len(found))

"""What is said again and again is counted, and the count is said when its window ends."""

import threading
from typing import Any

import pytest
from atlas_runtime.observing import repeats
from atlas_runtime.observing.repeats import AT_MOST, WITHIN_S, Repeats
from hypothesis import given
from hypothesis import strategies as st


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Told:
    """A `Repeats` with its clock, and what it has told."""

    def __init__(self, kinds_max: int = 1000) -> None:
        self.clock = Clock()
        self.lines: list[Any] = []
        self.repeats = Repeats(self.lines.append, self.clock, kinds_max)

    def take(self, kind: str, at_most: int = AT_MOST, **line: Any) -> bool:
        return self.repeats.take(kind, {"event": kind, **line}, at_most)


@pytest.fixture(autouse=True)
def _no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Never:
        daemon = False

        def __init__(self, *_arguments: Any) -> None: ...
        def start(self) -> None: ...
        def cancel(self) -> None: ...

    monkeypatch.setattr(repeats.threading, "Timer", Never)


def test_more_than_so_many_are_held_back_and_the_last_is_said_with_their_number() -> None:
    told = Told()
    assert [told.take("a", number=n) for n in range(AT_MOST + 5)] == [True] * AT_MOST + [False] * 5
    told.repeats.sweep()
    assert told.lines == [], "the window has not ended"
    told.clock.now = WITHIN_S
    told.repeats.sweep()
    assert told.lines == [{"event": "a", "number": AT_MOST + 4, "held_back": 4}]
    assert told.take("a"), "a window of its own again"


def test_the_only_one_that_was_held_back_is_said_as_it_is() -> None:
    told = Told()
    assert [told.take("a", 1, number=n) for n in range(2)] == [True, False]
    told.clock.now = WITHIN_S
    assert told.take("b"), "said with whatever comes next"
    assert told.lines == [{"event": "a", "number": 1}]


def test_another_kind_is_never_held_back() -> None:
    told = Told()
    for _ in range(1000):
        told.take("a")
    assert told.take("b")


def test_of_more_kinds_than_are_counted_the_rest_is_written() -> None:
    told = Told(kinds_max=3)
    for kind in "abc":
        told.take(kind, 1)
    assert all(told.take(f"kind {n}", 1) for n in range(1000))
    assert not told.take("a", 1)
    assert len(told.repeats._windows) == 3


def test_the_end_says_all() -> None:
    told = Told()
    for kind in "aab":
        told.take(kind, 1)
    told.repeats.close()
    assert [line["event"] for line in told.lines] == ["a"]


def test_the_count_is_said_though_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # with the real timer
    monkeypatch.setattr(repeats, "WITHIN_S", 0.05)
    said = threading.Event()
    own = Repeats(lambda _line: said.set())
    assert [own.take("a", {}, 1) for _ in range(3)] == [True, False, False]
    assert said.wait(30), "nobody said what was held back"
    assert own._timer is None or not own._windows


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 4)), max_size=80), st.integers(1, 5))
def test_every_line_is_written_or_counted(lines: list[tuple[str, float]], at_most: int) -> None:
    told = Told(kinds_max=3)
    taken = 0
    for kind, later_s in lines:
        told.clock.now += later_s
        taken += told.take(kind, at_most)
    told.repeats.close()
    assert taken + sum(1 + line.get("held_back", 0) for line in told.lines) == len(lines)

"""Which partitions are paused, for how long, and what is said of them."""

from aiokafka import TopicPartition
from atlas_kafka.consuming.paused import RETRY_MAX_S, Paused
from atlas_kafka.metrics import PAUSED

A, B = TopicPartition("a", 0), TopicPartition("b", 3)
ERROR = ValueError("so it is")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_is_tried_again_later_and_later() -> None:
    clock = Clock()
    paused = Paused("g", clock)
    waits = []
    for _ in range(8):
        paused.pause(A, 5, ERROR)
        began = clock.now
        while not paused.due():
            assert paused.waits(A)
            clock.now += 0.5
        waits.append(clock.now - began)
    assert waits == [1, 2, 4, 8, 16, RETRY_MAX_S, RETRY_MAX_S, RETRY_MAX_S]


def test_it_goes_on() -> None:
    clock = Clock()
    paused = Paused("g", clock)
    paused.pause(A, 5, ERROR)
    clock.now = 1
    paused.resume(A, 7)
    assert paused.due() == []
    assert paused.take_resumed() == {A: 7}
    assert paused.take_resumed() == {}
    assert paused.places == {A}
    paused.go_on(A)
    assert (paused.places, paused.reason()) == (set(), None)
    paused.go_on(A)


def test_what_may_fail_again_stands_until_it_is_passed() -> None:
    paused = Paused("g")
    paused.pause(A, 5, ERROR, until_passed=True)
    paused.passed(A, 9)  # not while it is paused
    paused.go_on(A)
    assert paused.places == set()
    paused.passed(A, 5)
    assert paused.reason() == "a/0 is paused at offset 5 (ValueError: so it is), tried 1 times"
    paused.passed(B, 9)
    paused.passed(A, 6)
    assert paused.reason() is None


def test_what_is_said() -> None:
    paused = Paused("said")
    paused.pause(B, None, ERROR)
    paused.pause(A, 5, ERROR)
    assert str(paused.reason()).split("; ")[1].startswith("b/3 is paused at offset ? (")
    for number in range(4):
        paused.pause(TopicPartition("c", number), 1, ERROR)
    assert str(paused.reason()).endswith("; and 3 more")
    assert PAUSED.labels("a", 0, "said")._value.get() == 1
    paused.keep([B])
    assert paused.places == {B}
    assert ("a", "0", "said") not in PAUSED._metrics
    paused.forget([A, B])
    assert paused.reason() is None

"""What a loop says of itself, and when that means that it stands still."""

from atlas_runtime.observing.loops import WITHIN_S, Loop, Loops, show
from prometheus_client import REGISTRY, generate_latest


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_one_that_does_the_same_for_too_long_is_stuck() -> None:
    clock = Clock()
    loop = Loop("lane 0", now=clock)
    loop.does("send rows")
    clock.now += WITHIN_S
    assert not loop.standing().stuck
    clock.now += 1
    standing = loop.standing()
    assert (standing.stuck, standing.told, standing.progress_s) == (True, "stuck: send rows for 11 s", None)
    loop.does("send rows")  # the next batch
    assert not loop.standing().stuck


def test_one_that_waits_for_somebody_else_is_not() -> None:
    clock = Clock()
    loop = Loop("lane 0", now=clock)
    clock.now += 60
    assert not loop.standing().stuck  # not begun
    loop.waits("Kafka is away")
    clock.now += 3600
    loop.waits("Kafka is away")
    standing = loop.standing()
    assert (standing.stuck, standing.waits, standing.doing, standing.since_s) == (False, True, "Kafka is away", 3600)
    loop.does("connect")
    assert loop.standing().since_s == 0


def test_progress_is_what_came_of_it() -> None:
    clock = Clock()
    loop = Loop("lane 0", now=clock)
    loop.moved()
    clock.now += 5
    loop.does("look for rows")
    assert loop.standing().progress_s == 5


def test_a_loop_may_be_given_more_time() -> None:
    clock = Clock()
    loop = Loop("lag", within_s=25, now=clock)
    loop.does("read lag")
    clock.now += 20
    assert not loop.standing().stuck


def test_loops_are_told_by_name_and_shown_in_metrics() -> None:
    loops = Loops()
    hide = show(loops)
    try:
        assert "atlas_loop" not in generate_latest(REGISTRY).decode()
        late = loops.add("b", within_s=-1)
        late.does("hang")
        loops.add("a").moved()
        assert [each.name for each in loops.standing()] == ["a", "b"]
        assert loops.stuck() == {"b": "stuck: hang for 0 s"}
        text = generate_latest(REGISTRY).decode()
    finally:
        hide()
    assert 'atlas_loop_stuck{loop="b"} 1.0' in text
    assert 'atlas_loop_progress_age_seconds{loop="a"}' in text
    assert 'atlas_loop_progress_age_seconds{loop="b"}' not in text
    assert "atlas_loop" not in generate_latest(REGISTRY).decode()


def test_a_loop_that_begins_again_takes_the_place_of_the_one_before() -> None:
    loops = Loops()
    loops.add("a", within_s=-1).does("hang")
    loops.add("a")
    assert loops.stuck() == {}

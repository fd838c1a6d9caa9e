"""Status from a window of observations: each rule by a story, and what holds for any."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count, islice

import pytest
from atlas_health_aggregator.judging.status import WINDOW, Observation, Status, Track, status_of, worst
from hypothesis import given
from hypothesis import strategies as st

LONG = 3 * WINDOW


def seen(
    committed: int, end: int, members: int | None = 1, *, blocked: bool = False, held: bool = False
) -> Observation:
    """Of a topic without markers: what is not committed waits."""
    return Observation(committed, max(committed, 0), end, members, blocked, held)


def told(story: Iterable[Observation], track: Track | None = None) -> tuple[list[Status | None], Track]:
    """The status after each observation."""
    track = track or Track()
    statuses = []
    for each in story:
        track = track.follow(each)
        statuses.append(track.status)
    return statuses, track


def turns(statuses: Iterable[Status | None]) -> list[Status | None]:
    """Without those that are as the one before."""
    found: list[Status | None] = []
    for each in statuses:
        if not found or found[-1] is not each:
            found.append(each)
    return found


def quiet() -> Iterator[Observation]:
    return (seen(100, 100) for _ in count())


def quiet_and_dead() -> Iterator[Observation]:
    return (seen(100, 100, 0) for _ in count())


def busy() -> Iterator[Observation]:
    """Never caught up when it is looked at, and never far behind."""
    return (seen(100 * n, 100 * n + 70) for n in count(1))


def busy_in_steps() -> Iterator[Observation]:
    """It commits only every third time."""
    return (seen(100 * (n - n % 3), 100 * n + 7) for n in count(3))


def waiting_on_purpose() -> Iterator[Observation]:
    return (seen(1000 * (n // 25), 40 * n + 9, held=True) for n in count(1))


def stopped() -> Iterator[Observation]:
    return (seen(100, 150 + n, 0) for n in count())


def stopped_and_quiet() -> Iterator[Observation]:
    return (seen(100, 150, 0) for _ in count())


def stalled() -> Iterator[Observation]:
    return (seen(100, 150 + n) for n in count())


def stalled_before_anything() -> Iterator[Observation]:
    return (seen(-1, 150, None) for _ in count())


def blocked() -> Iterator[Observation]:
    return (seen(100, 150 + n, blocked=True) for n in count())


def falling_behind() -> Iterator[Observation]:
    return (seen(100 + n, 5_000 + 3 * n) for n in count())


def as_far_behind_as_ever() -> Iterator[Observation]:
    return (seen(100 + n, 5_000 + n) for n in count())


def catching_up() -> Iterator[Observation]:
    return (seen(100 + 30 * n, 50_000 + n) for n in count())


def read_without_joining() -> Iterator[Observation]:
    return (seen(100 * n, 100 * n + 70, 0) for n in count(1))


STEADY = {
    quiet: Status.OK,
    quiet_and_dead: Status.OK,
    busy: Status.OK,
    busy_in_steps: Status.OK,
    waiting_on_purpose: Status.OK,
    read_without_joining: Status.OK,
    stopped: Status.STOPPED,
    stopped_and_quiet: Status.STOPPED,
    stalled: Status.STALLED,
    stalled_before_anything: Status.STALLED,
    blocked: Status.BLOCKED,
    falling_behind: Status.FALLING_BEHIND,
    as_far_behind_as_ever: Status.FALLING_BEHIND,
    catching_up: Status.CATCHING_UP,
}


@pytest.mark.parametrize("story", STEADY, ids=lambda story: story.__name__)
def test_what_goes_on_as_it_is_has_one_status(story: type[Iterator[Observation]]) -> None:
    statuses, _ = told(islice(story(), LONG))
    assert [each for each in turns(statuses) if each is not None] == [STEADY[story]]
    assert statuses[WINDOW + 2] is STEADY[story]


def test_a_life() -> None:
    ok = [seen(n * 10, n * 10) for n in range(1, 6)]
    dead = [seen(50, 50 + 10 * n, 0) for n in range(1, 8)]
    back = [seen(50 + 20 * n, 120 + 10 * n) for n in range(1, 7)]
    then = [seen(180, 180), seen(190, 195), seen(200, 205)]
    statuses, _ = told([*ok, *dead, *back, *then])
    assert turns(statuses) == [Status.OK, Status.STOPPED, Status.CATCHING_UP, Status.OK]
    assert statuses.index(Status.STOPPED) == len(ok) + 1, "at the second observation"


def test_a_consumer_that_hangs_and_is_freed() -> None:
    ok, hangs = [seen(10, 10)] * 3, [seen(10, 10 + n) for n in range(1, 15)]
    freed = [seen(12, 25), seen(15, 26), seen(19, 27), seen(28, 28)]
    assert turns(told([*ok, *hangs, *freed])[0]) == [Status.OK, Status.STALLED, Status.CATCHING_UP, Status.OK]


def test_a_transaction_that_is_left_open_and_ends() -> None:
    before, held_up = [seen(10, 10)] * 3, [seen(10, 10 + n, blocked=True) for n in range(1, 5)]
    statuses, _ = told([*before, *held_up, seen(15, 15)])
    assert turns(statuses) == [Status.OK, Status.BLOCKED, Status.OK]


def test_a_dead_group_behind_a_transaction_is_stopped() -> None:
    statuses, _ = told([seen(10, 10 + n, 0, blocked=True) for n in range(5)])
    assert turns(statuses) == [Status.OK, Status.STOPPED]


def test_a_reader_that_goes_back_to_the_start_is_catching_up() -> None:
    at_end, again = [seen(1000, 1000)] * 12, [seen(30 * n, 1000 + n) for n in range(12)]
    assert turns(told([*at_end, *again])[0]) == [Status.OK, Status.CATCHING_UP]


def test_retention_that_eats_what_a_dead_group_has_not_read_moves_nobody() -> None:
    eaten = [Observation(100, 200 + 50 * n, 260 + 50 * n, 0) for n in range(LONG)]
    assert turns(told(eaten)[0]) == [None, Status.STOPPED]


def test_a_record_that_has_just_come_to_a_quiet_topic_is_no_matter() -> None:
    statuses, _ = told([*islice(quiet(), LONG), *[seen(100, 101)] * (WINDOW - 2), seen(101, 101)])
    assert turns(statuses) == [Status.OK]


def test_too_little_says_nothing() -> None:
    assert status_of([seen(1, 5)], None) is None
    assert status_of([seen(1, 5, 0)], None) is None
    assert status_of([seen(1, 5)] * (WINDOW - 1), None) is None


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], None),
        ([Status.OK, None], None),
        ([Status.OK, Status.OK], Status.OK),
        ([Status.OK, None, Status.CATCHING_UP], Status.CATCHING_UP),
        ([Status.BLOCKED, Status.STOPPED, Status.STALLED], Status.STOPPED),
        ([Status.FALLING_BEHIND, Status.BLOCKED], Status.BLOCKED),
    ],
)
def test_of_several_the_worst(statuses: list[Status | None], expected: Status | None) -> None:
    assert worst(statuses) is expected


OBSERVATIONS = st.builds(
    lambda committed, skipped, lag, members, blocked, held: Observation(
        committed, committed + 1 + skipped, committed + 1 + skipped + lag, members, blocked, held
    ),
    st.integers(-1, 10_000),
    st.integers(0, 50),
    st.one_of(st.just(0), st.integers(0, 10_000)),
    st.sampled_from([None, 0, 1, 7]),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(OBSERVATIONS, max_size=LONG), OBSERVATIONS)
def test_caught_up_is_ok_whatever_was(story: list[Observation], last: Observation) -> None:
    _, track = told(story)
    assert track.follow(replace(last, end=last.read)).status is Status.OK


@given(st.lists(OBSERVATIONS, max_size=LONG), st.lists(st.integers(1, 500), min_size=7, max_size=LONG), OBSERVATIONS)
def test_a_stopped_group_whose_lag_grows_is_not_ok(
    before: list[Observation], growth: list[int], last: Observation
) -> None:
    """Whatever was before, also offsets that somebody set for it."""
    _, track = told(before)
    at = replace(last, members=0, held=False)
    for number, more in enumerate(growth):
        at = replace(at, end=at.end + more)
        track = track.follow(at)
        assert number < WINDOW // 2 or track.status is Status.STOPPED


@given(st.lists(st.integers(1, 500), min_size=2, max_size=LONG), st.sampled_from([quiet, busy, falling_behind]))
def test_one_whose_last_member_has_gone_is_stopped_at_once(
    growth: list[int], story: type[Iterator[Observation]]
) -> None:
    observations = list(islice(story(), LONG))
    _, track = told(observations)
    at = replace(observations[-1], members=0)
    for number, more in enumerate(growth):
        at = replace(at, end=at.end + more)
        track = track.follow(at)
        assert number < 1 or track.status is Status.STOPPED


@given(st.lists(OBSERVATIONS, max_size=LONG))
def test_stalled_and_stopped_are_only_said_where_records_wait(story: list[Observation]) -> None:
    track = Track()
    for each in story:
        track = track.follow(each)
        assert each.lag > 0 or track.status is Status.OK
        assert track.status is not None or track.candidate is None or len(track.window) < WINDOW


@given(st.sampled_from(list(STEADY)), st.integers(0, 2 * WINDOW), OBSERVATIONS.filter(lambda each: each.lag > 0))
def test_a_single_odd_observation_changes_nothing(
    story: type[Iterator[Observation]], at: int, odd: Observation
) -> None:
    observations = list(islice(story(), 5 * WINDOW))
    _, track = told(observations[: WINDOW + 3 + at])
    statuses, _ = told([odd, *observations[WINDOW + 3 + at :]], track)
    assert turns(statuses) == [STEADY[story]]


@given(
    st.lists(st.integers(0, 500), min_size=LONG, max_size=LONG), st.lists(st.booleans(), min_size=LONG, max_size=LONG)
)
def test_a_topic_that_is_read_as_it_is_written_is_ok(written: list[int], looked_late: list[bool]) -> None:
    """However unevenly: each observation sees all of what was there at the one before read."""
    end, story = 1000, []
    for more, late in zip(written, looked_late, strict=True):
        committed = end if late else end + more
        end += more
        story.append(seen(committed, end))
    statuses, _ = told([seen(1000, 1000), *story])
    assert turns(statuses) == [Status.OK]


def commits_every(rounds: int, times: int) -> list[Observation]:
    """A group that reads what comes in, and commits it once in so many observations."""
    return [
        Observation(committed := number // rounds * rounds, committed, number + 1, 1)
        for number in range(rounds * times)
    ]


@pytest.mark.parametrize("rounds", [3, 9, 12, 30])
def test_who_commits_seldom_but_as_ever_is_not_stalled(rounds: int) -> None:
    """What a stand-still means is known from the second commit on."""
    track = Track()
    found = []
    for each in commits_every(rounds, 8):
        track = track.follow(each)
        found.append(track.status)
    assert Status.STALLED not in found[2 * rounds + 1 :]


def test_who_stops_to_commit_is_stalled_after_twice_as_long_as_ever() -> None:
    track = Track()
    before = commits_every(12, 5)
    for each in before:
        track = track.follow(each)
    still = []
    for number in range(30):
        track = track.follow(Observation(before[-1].committed, before[-1].committed, before[-1].end + number, 1))
        still.append(track.status)
    assert still.index(Status.STALLED) in range(11, 15)


def test_one_long_stand_still_makes_no_habit() -> None:
    track = Track()
    for each in [*commits_every(2, 10), *[Observation(18, 18, 400, 1)] * 100, *commits_every(2, 10)]:
        track = track.follow(each)
    for number in range(WINDOW + 2):
        track = track.follow(Observation(18, 18, 600 + number, 1))
    assert track.status is Status.STALLED


def test_what_is_fresh_is_ok_at_once() -> None:
    """All that was there when a window would have begun has been read: nobody has to wait for one."""
    assert Track().follow(Observation(5, 5, 9, 1, fresh=True)).status is Status.OK
    assert Track().follow(Observation(5, 5, 9, None, fresh=True)).status is Status.OK
    assert Track().follow(Observation(5, 5, 9, 0, fresh=True)).status is None
    assert Track().follow(Observation(5, 5, 9, 1)).status is None

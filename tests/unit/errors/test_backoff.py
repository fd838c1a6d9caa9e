"""The back-off: its bounds, its jitter, and that a stop ends every wait."""

import asyncio
import random
from statistics import mean

import pytest
from atlas_errors.backoff import BACKOFF_FIRST_S, BACKOFF_MAX_S, Backoff, backoff_s, retrying
from hypothesis import given, settings
from hypothesis import strategies as st

FAILURES = st.integers(0, 10_000)
SECONDS = st.floats(0.001, 1_000)


@given(FAILURES, SECONDS, SECONDS)
def test_a_wait_is_between_a_quarter_of_its_bound_and_the_bound(failures: int, first_s: float, most_s: float) -> None:
    bound = min(most_s, first_s * 2 ** min(failures, 30))
    assert bound / 4 <= backoff_s(failures, first_s, most_s) <= bound


@given(FAILURES)
def test_the_bound_doubles_until_it_is_reached(failures: int) -> None:
    bound = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(failures, 60))
    assert bound / 4 <= backoff_s(failures) <= bound


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(0, 20))
def test_the_wait_is_drawn_evenly(seed: int, failures: int) -> None:
    """In each quarter of the range lie as many draws as in any other, roughly, and their mean is the middle."""
    bound = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(failures, 60))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("atlas_errors.backoff.random", random.Random(seed))
        drawn = [(backoff_s(failures) - bound / 4) / (bound * 3 / 4) for _ in range(2_000)]
    quarters = [sum(part / 4 <= each <= (part + 1) / 4 for each in drawn) for part in range(4)]
    assert all(400 <= count <= 600 for count in quarters), quarters
    assert 0.45 < mean(drawn) < 0.55


def test_waits_grow_with_each_failure_until_it_went_well() -> None:
    backoff = Backoff(first_s=1.0, most_s=8.0)
    for bound in (1.0, 2.0, 4.0, 8.0, 8.0):
        assert bound / 4 <= backoff.next_s() <= bound
    assert backoff.failures == 5
    backoff.reset()
    assert backoff.next_s() <= 1.0


async def test_a_stop_ends_a_wait() -> None:
    stop, backoff = asyncio.Event(), Backoff(first_s=3600.0, most_s=3600.0)
    waiting = asyncio.create_task(backoff.wait(stop))
    stop.set()
    async with asyncio.timeout(5):
        assert await waiting
    assert backoff.failures == 1


async def test_a_wait_ends_by_itself() -> None:
    assert not await Backoff(first_s=0.001).wait(asyncio.Event())


async def test_retrying_reports_each_failure_and_the_recovery() -> None:
    failures = [ConnectionRefusedError(), TimeoutError("slow")]
    heard: list[str | None] = []

    async def operation() -> int:
        if failures:
            raise failures.pop(0)
        return 7

    assert await retrying(operation, what="database", stop=asyncio.Event(), on_retry=heard.append) == 7
    assert heard == ["database: ConnectionRefusedError", "database: TimeoutError: slow", None]


async def test_retrying_raises_what_will_not_pass() -> None:
    async def operation() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await retrying(operation, what="x", stop=asyncio.Event())


async def test_retrying_gives_up_when_stopped() -> None:
    stop = asyncio.Event()

    async def operation() -> None:
        stop.set()
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        await retrying(operation, what="x", stop=stop)

"""Circuit breakers: open after failures, half open after a while, their state a metric."""

import pytest
from atlas_local.waiting import wait_until
from atlas_runtime.breakers import OpenedState, open_breaker
from prometheus_client import REGISTRY


def _state(name: str) -> float | None:
    return REGISTRY.get_sample_value("atlas_breaker_state", {"name": name})


async def test_a_breaker_opens_and_recovers() -> None:
    breaker = await open_breaker("unit", failures=2, retry_after_s=0.1)
    assert _state("unit") == 0
    for _attempt in range(2):
        with pytest.raises(ConnectionError):
            async with breaker:
                raise ConnectionError
    assert _state("unit") == 2

    entered = False
    with pytest.raises(OpenedState):
        async with breaker:
            entered = True
    assert not entered

    async def works() -> bool:
        try:
            async with breaker:
                return True
        except OpenedState:
            return False

    await wait_until("the breaker lets an attempt through", works, 3)
    assert _state("unit") == 0


async def test_a_failed_attempt_opens_it_again() -> None:
    breaker = await open_breaker("unit2", failures=1, retry_after_s=0.05)
    with pytest.raises(ConnectionError):
        async with breaker:
            raise ConnectionError

    async def attempt() -> str:
        try:
            async with breaker:
                raise ConnectionError
        except OpenedState:
            return ""
        except ConnectionError:
            return "let through"

    await wait_until("an attempt is let through", attempt, 3)
    assert _state("unit2") == 2

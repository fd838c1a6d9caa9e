"""A clock that is off is said, with how far and which way; a server that is away changes nothing."""

import asyncio
import threading
import time

import pytest
from atlas_runtime.observing.clock import OFF_MAX_S, Clock
from atlas_runtime.serving.probes import Health


@pytest.mark.parametrize(
    ("off_s", "reason"),
    [
        (0.0, None),
        (OFF_MAX_S - 1, None),
        (1 - OFF_MAX_S, None),
        (3600.0, "this machine's clock is 3600 s ahead of PostgreSQL's"),
        (-7200.0, "this machine's clock is 7200 s behind PostgreSQL's"),
    ],
)
async def test_how_far_it_is_off(off_s: float, reason: str | None) -> None:
    async def theirs() -> float:
        return time.time()

    health = Health("gateway")
    health.add("clock", Clock("PostgreSQL", theirs, lambda: time.time() + off_s).check)
    assert await health.reasons() == ({} if reason is None else {"clock": reason})


async def test_a_slow_answer_is_no_wrong_clock() -> None:
    async def slow() -> float:
        at = time.time()
        await asyncio.to_thread(threading.Event().wait, 0.2)
        return at - OFF_MAX_S + 0.05

    assert await Clock("PostgreSQL", slow).check() is None


async def test_it_asks_now_and_then_and_keeps_what_it_knows_while_nobody_answers() -> None:
    asked = []
    away = False

    async def theirs() -> float:
        asked.append(1)
        if away:
            raise ConnectionRefusedError
        return time.time() - 5000

    clock = Clock("PostgreSQL", theirs, ask_every_s=600)
    first = await clock.check()
    assert first is not None
    assert await clock.check() == first
    assert len(asked) == 1
    clock = Clock("PostgreSQL", theirs, ask_every_s=0)
    assert await clock.check() == first
    away = True
    assert await clock.check() == first
    assert await Clock("PostgreSQL", theirs).check() is None


async def test_silence_is_not_waited_for() -> None:
    async def silent() -> float:
        await asyncio.sleep(60)
        return 0.0

    began = time.monotonic()
    assert await Clock("PostgreSQL", silent).check() is None
    assert time.monotonic() - began < 2

"""A check that many ask: how often it is really asked, and what is told of it."""

import asyncio
from collections.abc import Callable

import pytest
from atlas_runtime.serving import dependencies
from atlas_runtime.serving.dependencies import Dependency

Now = Callable[[float], None]


class Server:
    """Something that can be asked, and counts how often."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: str | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def check(self) -> str | None:
        self.asked += 1
        await self.open.wait()
        return self.answer


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Now:
    """Moves the clock of the module on by so many seconds."""
    passed = 1000.0
    monkeypatch.setattr(dependencies.time, "monotonic", lambda: passed)

    def move(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    return move


async def test_a_thousand_probes_at_once_are_one_question() -> None:
    server = Server()
    server.open.clear()
    one = Dependency("database", server.check)
    asking = [asyncio.create_task(one.ask()) for _ in range(1000)]
    await asyncio.sleep(0)
    server.open.set()
    assert set(await asyncio.gather(*asking)) == {None}
    assert server.asked == 1


async def test_an_answer_stands_for_a_moment(later: Now) -> None:
    server = Server()
    one = Dependency("database", server.check)
    for _ in range(100):
        assert await one.ask() is None
    server.answer = "away"
    assert await one.ask() is None
    assert server.asked == 1
    later(dependencies.FRESH_S)
    assert await one.ask() == "away"
    assert server.asked == 2


async def test_who_gives_up_takes_the_answer_from_nobody_else() -> None:
    server = Server()
    server.open.clear()
    one = Dependency("database", server.check)
    impatient, patient = asyncio.create_task(one.ask()), asyncio.create_task(one.ask())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait({impatient})
    server.open.set()
    assert await patient is None
    assert server.asked == 1


async def test_latencies_are_those_of_the_last_minutes(later: Now) -> None:
    async def slow(seconds: float) -> str | None:
        later(seconds)
        return None

    wanted = 0.5
    one = Dependency("database", lambda: slow(wanted))
    assert one.detail() == {"state": "up", "needed": True, "last_ms": None, "p99_ms": None}
    await one.ask()
    wanted = 0.002
    for _ in range(50):
        later(1)
        await one.ask()
    assert one.detail() == {"state": "up", "needed": True, "last_ms": 2.0, "p99_ms": 500.0}
    later(dependencies.WINDOW_S)
    await one.ask()
    assert one.detail()["p99_ms"] == 2.0


async def test_a_worry_is_what_failed_lately_or_is_slow(later: Now) -> None:
    server = Server()
    one = Dependency("database", server.check)
    await one.ask()
    assert one.worry() is None
    server.answer = "postgresql://u:hunter2@h/x is away"
    later(1)
    assert await one.ask() == "postgresql://u:***@h/x is away"
    assert one.worry() is None, "then it is a reason"
    server.answer = None
    later(12)
    await one.ask()
    assert one.worry() == "failed 12 s ago: postgresql://u:***@h/x is away"
    later(dependencies.LATELY_S)
    await one.ask()
    assert one.worry() is None


async def test_a_slow_one_is_a_worry(later: Now) -> None:
    async def slow() -> str | None:
        later(1.5)
        return None

    one = Dependency("database", slow)
    await one.ask()
    assert one.worry() == "slow: 1.5 s"


async def test_what_is_remembered_is_bounded(later: Now) -> None:
    one = Dependency("database", Server().check)
    for _ in range(2000):
        later(0.6)
        await one.ask()
    assert len(one._seconds) <= 600

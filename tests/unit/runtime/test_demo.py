"""What contexts build their demo on."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from atlas_runtime.demo import AT_ONCE, Answer, Check, Demo, DemoFailed, Gateway, Proof, ask_all


class Silent:
    async def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        raise AssertionError(f"{method} {path}")


def test_nothing_compared_proves_nothing() -> None:
    assert Check("x", 1).holds
    assert not Check("x", 0).holds
    assert not Check("x", 1, ("a: 1, expected 2",)).holds


def test_a_header_that_is_missing_is_named() -> None:
    answer = Answer({"title": "no"}, {"ETag": '"1"'})
    assert answer.header("ETag") == '"1"'
    with pytest.raises(DemoFailed, match="answers without Atlas-Token"):
        answer.header("Atlas-Token")


async def test_every_request_is_made_once_and_some_at_a_time() -> None:
    running, most, done = 0, 0, []

    async def request(number: int, _gateway: Gateway) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(number)

    await ask_all(Silent(), (partial(request, number) for number in range(100)))
    assert sorted(done) == list(range(100))
    assert most == AT_ONCE


async def test_the_first_that_fails_ends_it() -> None:
    asked = []

    async def request(number: int, _gateway: Gateway) -> None:
        asked.append(number)
        raise DemoFailed("refused")

    with pytest.raises(ExceptionGroup):
        await ask_all(Silent(), (partial(request, number) for number in range(100)))
    assert len(asked) <= AT_ONCE


async def test_what_a_demo_does_not_say_is_nothing() -> None:
    class Still(Demo):
        demo_size = seed_size = 1

        async def prove(self, gateway: Gateway) -> Proof:
            return Proof((), {}, 0)

    demo = Still(3)
    assert (demo.size, demo.events(), demo.commands(), list(demo.probes())) == (3, {}, {}, [])
    assert (demo.look, demo.rebuilds) == ((), ())

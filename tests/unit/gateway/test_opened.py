"""Waiting for the requests in flight."""

import asyncio

from atlas_gateway.opened import Requests


async def test_a_drain_waits_for_the_last_request() -> None:
    requests = Requests()
    requests.enter()
    requests.enter()
    draining = asyncio.create_task(requests.drain(5))
    requests.leave()
    await asyncio.sleep(0)
    assert requests.draining
    assert not draining.done()
    requests.leave()
    assert await draining


async def test_a_drain_ends_when_its_time_is_over() -> None:
    requests = Requests()
    requests.enter()
    assert not await requests.drain(0.01)


async def test_nothing_in_flight_is_nothing_to_wait_for() -> None:
    assert await Requests().drain(0)

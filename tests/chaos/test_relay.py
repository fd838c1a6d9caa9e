"""The short version of `make chaos WHAT=relay`: each thing happens at least once."""

import pytest

from tests.chaos.relay import Plan, is_clean, run

pytestmark = pytest.mark.chaos


async def test_every_event_arrives_once_and_in_order_whatever_is_killed() -> None:
    summary = await run(Plan(kills=3, kills_of_two=2, pauses=1, kafka=1, postgres=1), seed=1)
    assert (summary["killed"], summary["paused"]) == (5, 1)
    assert is_clean(summary), summary

"""The short version of `make chaos WHAT=projector`."""

import pytest

from tests.chaos.projector import failed, run

ROUNDS = 6

pytestmark = pytest.mark.chaos


async def test_projectors_are_killed_live_and_in_rebuilds() -> None:
    summary = await run(ROUNDS)
    assert not failed(summary), summary
    assert summary["kills"] == ROUNDS
    assert summary["records"] > 1000
    assert summary["reads"] > 100

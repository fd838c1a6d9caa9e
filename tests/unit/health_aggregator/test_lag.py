"""What a round of lag waits for."""

from typing import Any

import pytest
from aiokafka.errors import GroupLoadInProgressError, KafkaError, NotCoordinatorForGroupError
from atlas_health_aggregator import lag
from atlas_health_aggregator.lag import LagReader
from atlas_health_aggregator.settings import HealthAggregatorSettings

NOBODY: Any = type("Clients", (), {"admin": None})()


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> LagReader:
    monkeypatch.setattr(lag, "COORDINATOR_WAIT_S", 0.0)
    return LagReader(HealthAggregatorSettings(_env_file=None))


async def test_coordinators_that_have_just_become_such_are_waited_for(
    reader: LagReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a start of the brokers: a round that failed there made the aggregator unready for a moment."""
    answers: list[Any] = [GroupLoadInProgressError(), NotCoordinatorForGroupError(), ([], 3)]

    async def read_groups(*_asked: object) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(lag, "read_groups", read_groups)
    assert await reader._found(NOBODY) == ([], 3)
    assert answers == []


async def test_any_other_error_ends_the_round(reader: LagReader, monkeypatch: pytest.MonkeyPatch) -> None:
    async def read_groups(*_asked: object) -> Any:
        raise KafkaError("away")

    monkeypatch.setattr(lag, "read_groups", read_groups)
    with pytest.raises(KafkaError, match="away"):
        await reader._found(NOBODY)

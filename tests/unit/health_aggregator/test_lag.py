"""What a round of lag waits for."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import GroupLoadInProgressError, KafkaError, NotCoordinatorForGroupError
from atlas_health_aggregator import lag
from atlas_health_aggregator.lag import LagReader
from atlas_health_aggregator.settings import HealthAggregatorSettings

NOBODY: Any = None


def reader_of(answers: list[Any]) -> LagReader:
    """Whose brokers answer so, in turn, when they are asked for groups."""

    async def read(*_asked: object) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    reader = LagReader(HealthAggregatorSettings(_env_file=None))
    groups: Any = SimpleNamespace(read=read)
    reader._groups = groups
    return reader


async def test_coordinators_that_have_just_become_such_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a start of the brokers: a round that failed there made the aggregator unready for a moment."""
    monkeypatch.setattr(lag, "COORDINATOR_WAIT_S", 0.0)
    answers = [GroupLoadInProgressError(), NotCoordinatorForGroupError(), ([], 3)]
    assert await reader_of(answers)._found(NOBODY) == ([], 3)
    assert answers == []


async def test_any_other_error_ends_the_round() -> None:
    with pytest.raises(KafkaError, match="away"):
        await reader_of([KafkaError("away")])._found(NOBODY)

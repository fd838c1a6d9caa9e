"""A dead letter that can't be written is never taken for written."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaConnectionError
from atlas_kafka import deadletters
from atlas_kafka.deadletters import DeadLetters
from atlas_kafka.producer import Outgoing, RecordTooLarge

RECORD: Any = ConsumerRecord("t", 0, 7, 1, 0, b"k", b"v", None, 1, 1, ())


@pytest.mark.parametrize("error", [KafkaConnectionError("away"), RecordTooLarge(2, 1)])
async def test_what_the_broker_answers_is_raised(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    sent: list[Outgoing] = []

    async def send_all(_producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> list[Exception]:
        sent.extend(records)
        return [error]

    monkeypatch.setattr(deadletters, "send_all", send_all)
    with pytest.raises(type(error)):
        await DeadLetters(cast(AIOKafkaProducer, None)).send(RECORD, group="g", error="bad")
    if isinstance(error, RecordTooLarge):
        assert [record.value for record in sent] == [b"v", None], "a second time without the value"

"""A dead letter that can't be written is never taken for written."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError
from atlas_errors.policy import Transient
from atlas_kafka.producing.deadletters import DeadLetters
from atlas_kafka.producing.outgoing import Outgoing, RecordRefused, RecordTooLarge
from atlas_kafka.producing.producer import Producer

RECORD: Any = ConsumerRecord("t", 0, 7, 1, 0, b"k", b"v", None, 1, 1, ())


ERRORS = (
    KafkaConnectionError("away"),
    RecordTooLarge(2, 1),
    RecordRefused("odd"),
    UnknownTopicOrPartitionError("no topic t.dlq"),
    TopicAuthorizationFailedError("t.dlq"),
)


@pytest.mark.parametrize("error", ERRORS)
async def test_what_is_not_written_is_tried_again_and_ends_nothing(error: Exception) -> None:
    sent: list[Outgoing] = []

    class Refusing:
        async def send_all(self, records: Sequence[Outgoing]) -> list[Exception]:
            sent.extend(records)
            return [error]

    with pytest.raises(Transient, match=r"t\.dlq"):
        await DeadLetters(cast(Producer, Refusing())).send(RECORD, group="g", error="bad")
    if isinstance(error, RecordTooLarge | RecordRefused):
        assert [record.value for record in sent] == [b"v", None], "a second time without the value"

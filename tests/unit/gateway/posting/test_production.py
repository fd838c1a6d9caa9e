"""Sending group after group: the order, the results, the bound on waiting."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError, UnknownTopicOrPartitionError
from atlas_gateway.posting.envelopes import INVALID_RECORD, Refused
from atlas_gateway.posting.production import Production
from atlas_kafka.producing.outgoing import Delivery, Outgoing, RecordRefused, RecordTooLarge
from atlas_kafka.producing.producer import Producer


def record(number: int) -> Outgoing:
    return Outgoing("t", str(number).encode(), b"v")


class Broker:
    """Stands for the producer: keeps what it was given, answers with offsets or with what `failing` says of a key."""

    def __init__(self, failing: dict[bytes, Exception] | None = None) -> None:
        self.sent: list[bytes] = []
        self.calls = 0
        self.hangs = asyncio.Event()
        self._failing = failing or {}

    async def send_all(self, records: list[Outgoing]) -> list[Any]:
        self.calls += 1
        if self.hangs.is_set():
            await asyncio.Event().wait()
        results: list[Any] = []
        for one in records:
            key = one.key or b""
            self.sent.append(key)
            results.append(self._failing.get(key) or Delivery("t", 0, len(self.sent) - 1))
        await asyncio.sleep(0)
        return results


async def until(true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0)
    pytest.fail("it did not become true")


@pytest.fixture
def broker() -> Broker:
    failing: dict[bytes, Exception] = {
        b"-1": RecordTooLarge(2, 1),
        b"-2": KafkaConnectionError("away"),
        b"-3": RecordRefused("INVALID_RECORD: no key"),
        b"-4": ValueError("unheard of"),
        b"-5": UnknownTopicOrPartitionError("there is no topic t"),
    }
    return Broker(failing)


def through(broker: Broker, timeout_s: float) -> Production:
    return Production(cast(Producer, broker), timeout_s)


async def test_results_are_in_the_order_of_the_records(broker: Broker) -> None:
    sending = through(broker, 1)
    refused = Refused(INVALID_RECORD, "no")
    for start in range(0, 1000, 100):
        await sending.put([record(number) for number in range(start, start + 100)])
    await sending.put([refused, record(1000)])
    await sending.finish()
    assert broker.sent == [str(number).encode() for number in range(1001)]
    assert [result.get("offset") for result in sending.results[:1000]] == list(range(1000))
    assert sending.results[1000] == {"error": refused.error}
    assert (sending.succeeded, sending.highest) == (1001, {("t", 0): 1000})


async def test_groups_that_wait_are_sent_together(broker: Broker) -> None:
    sending = through(broker, 1)
    for number in range(8):
        await sending.put([record(number)])
    await sending.finish()
    assert broker.calls < 8


async def test_each_failure_has_its_kind(broker: Broker) -> None:
    sending = through(broker, 1)
    await sending.put([record(number) for number in (1, -1, -2, -3, -4, -5, 2)])
    await sending.finish()
    kinds = [result["error"]["type"].rpartition(":")[2] for result in sending.results if "error" in result]
    assert kinds == ["record-too-large", "not-sent", "refused-by-kafka", "not-accepted", "not-sent"]
    assert sending.succeeded == 2


async def test_what_follows_a_stall_is_not_waited_for(broker: Broker) -> None:
    sending = through(broker, 0.05)
    await sending.put([record(0)])
    await until(lambda: bool(broker.sent))
    broker.hangs.set()
    await sending.put([record(1)])
    await until(lambda: broker.calls == 2)
    for number in range(2, 6):
        await sending.put([record(number)])
    async with asyncio.timeout(2):
        await sending.finish()
    kinds = [result["error"]["type"].rpartition(":")[2] for result in sending.results[1:]]
    assert kinds == ["not-acknowledged", *["not-sent"] * 4]
    assert "offset" in sending.results[0]
    assert broker.calls == 2

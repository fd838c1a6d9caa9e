"""The queue of one partition against a broker in memory that refuses, forgets and stays silent as it likes."""

import asyncio
import struct
from dataclasses import dataclass, field

import pytest
from aiokafka.errors import NotEnoughReplicasError, TopicAuthorizationFailedError
from atlas_errors.policy import Transient
from atlas_kafka.producing import partition_queue
from atlas_kafka.producing.calls import Call
from atlas_kafka.producing.outgoing import Delivery, Outgoing, RecordRefused, RecordTooLarge
from atlas_kafka.producing.partition_queue import Batch, Identity, Next, PartitionQueue
from atlas_kafka.producing.produce_answers import Answer
from hypothesis import given, settings
from hypothesis import strategies as st

OK, TOO_EARLY, TOO_LARGE, INVALID_TIMESTAMP, OUT_OF_ORDER, NAMELESS = 0, 6, 10, 32, 45, -1
NOT_ENOUGH_REPLICAS, DENIED = 19, 29
# id, epoch and first sequence number in the head of a record batch.
_PRODUCER = struct.Struct(">qhi")
_PRODUCER_AT = 43


@dataclass
class Broker:
    """Validates first and looks at sequence numbers then, like the real one; knows a producer's last batch."""

    log: list[bytes] = field(default_factory=list)
    expected: dict[int, int] = field(default_factory=dict)
    last: dict[int, tuple[int, int]] = field(default_factory=dict)

    def produce(self, batch: Batch) -> Answer:
        values = [call.records[index].value or b"" for call, index in batch.entries]
        if any(value.startswith(b"large") for value in values):
            return Answer(TOO_LARGE)
        if faults := [(n, "out of range") for n, value in enumerate(values) if value.startswith(b"ahead")]:
            return Answer(INVALID_TIMESTAMP, faults=faults)
        if any(value.startswith(b"odd") for value in values):
            return Answer(NAMELESS)
        producer, _epoch, sequence = _PRODUCER.unpack_from(batch.packed, _PRODUCER_AT)
        if self.last.get(producer, (-1, 0))[0] == sequence:
            return Answer(OK, self.last[producer][1])
        if self.expected.get(producer, sequence) != sequence:
            return Answer(OUT_OF_ORDER)
        self.last[producer] = sequence, len(self.log)
        self.expected[producer] = sequence + len(values)
        self.log += values
        return Answer(OK, len(self.log) - len(values))

    def forget(self) -> None:
        """Any number but the right one is expected of the producers that are known."""
        self.expected = {producer: number + 7 for producer, number in self.expected.items()}
        self.last.clear()


def pump(queue: PartitionQueue, broker: Broker, faults: list[str], max_records: int = 7) -> int:
    """Send until nothing is left; the number of requests."""
    requests, identities = 0, 100
    while not queue.idle:
        requests += 1
        assert requests < 10_000, "no end to it"
        if queue.identity is None:
            identities += 1
            queue.renew(Identity(identities, 0))
        batch = queue.next_batch(1 << 20, max_records)
        if batch is None:
            continue
        match faults.pop() if faults else "none":
            case "early":
                queue.answered(Answer(TOO_EARLY))
            case "not sent":
                queue.unanswered(sent=False)
            case "lost before":
                queue.unanswered(sent=True)
            case "lost after":
                broker.produce(batch)
                queue.unanswered(sent=True)
            case "forgets":
                broker.forget()
                queue.answered(broker.produce(batch))
            case "nameless":
                queue.answered(Answer(NAMELESS))
            case _:
                queue.answered(broker.produce(batch))
    return requests


def queue_with(values: list[bytes]) -> tuple[PartitionQueue, Call]:
    call = Call([Outgoing("t", b"k", value) for value in values])
    queue = PartitionQueue("t", 0, Identity(1, 0))
    for index in range(len(values)):
        queue.add((call, index))
    return queue, call


KINDS = st.sampled_from(["good", "good", "good", "large", "ahead", "odd"])
FAULTS = st.sampled_from(["early", "not sent", "lost before", "lost after", "forgets", "none"])


@settings(max_examples=300, deadline=None)
@given(st.lists(KINDS, min_size=1, max_size=30), st.lists(FAULTS, max_size=12), st.integers(1, 9))
async def test_each_good_record_once_in_order_and_each_bad_one_its_answer(
    kinds: list[str], faults: list[str], max_records: int
) -> None:
    values = [b"%s %03d" % (kind.encode(), number) for number, kind in enumerate(kinds)]
    queue, call = queue_with(values)
    broker = Broker()
    forgetful = "forgets" in faults
    pump(queue, broker, faults, max_records)
    results = await asyncio.wait_for(call.done, 1)
    for kind, value, result in zip(kinds, values, results, strict=True):
        if kind == "large":
            assert isinstance(result, RecordTooLarge)
        elif kind != "good":
            assert isinstance(result, RecordRefused)
            assert ("out of range" in result.reason) == (kind == "ahead")
        elif isinstance(result, Delivery):
            assert broker.log[result.offset] == value
        else:
            assert forgetful, "only a broker that forgets leaves a record's fate open"
            assert isinstance(result, Transient)
    assert broker.log == sorted(set(broker.log), key=lambda value: value[-3:]), "each once, in order"


async def test_a_refusal_takes_few_requests() -> None:
    """One bad record of a thousand is found by halving; the others go on in large batches."""
    values = [b"good"] * 1000
    values[613] = b"large"
    queue, call = queue_with(values)
    assert pump(queue, Broker(), [], 1000) <= 2 * 10 + 1
    assert sum(isinstance(result, Delivery) for result in await call.done) == 999


async def test_what_is_dropped_is_not_sent_unless_it_may_be_there_already() -> None:
    queue, call = queue_with([b"1", b"2"])
    other = Call([Outgoing("t", b"k", b"3")])
    queue.add((other, 0))
    assert queue.next_batch(1 << 20, 1)
    queue.unanswered(sent=True)
    call.dropped = True
    queue.forget_dropped()
    broker = Broker()
    pump(queue, broker, [])
    assert broker.log == [b"1", b"3"]
    assert await other.done == [Delivery("t", 0, 1)]


async def test_too_few_replicas_are_an_answer_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, call = queue_with([b"1", b"2"])
    assert queue.next_batch(1 << 20, 9)
    assert queue.answered(Answer(NOT_ENOUGH_REPLICAS)) is Next.LOOK
    assert not call.done.done()
    monkeypatch.setattr(partition_queue, "WITHHELD_S", 0.0)
    assert queue.next_batch(1 << 20, 9)
    queue.answered(Answer(NOT_ENOUGH_REPLICAS))
    assert [type(result) for result in await call.done] == [NotEnoughReplicasError] * 2
    assert queue.idle
    assert queue.identity is not None, "nothing of it was taken, so its number is free"


async def test_who_may_not_write_hears_it_at_once() -> None:
    queue, call = queue_with([b"1", b"2"])
    assert queue.next_batch(1 << 20, 9)
    assert queue.answered(Answer(DENIED)) is Next.GO_ON
    assert [type(result) for result in await call.done] == [TopicAuthorizationFailedError] * 2


async def test_after_giving_up_what_may_be_there_the_number_is_not_used_again() -> None:
    queue, call = queue_with([b"1"])
    assert queue.next_batch(1 << 20, 9)
    queue.unanswered(sent=True)
    queue.fail(Transient("closed"))
    assert isinstance((await call.done)[0], Transient)
    assert queue.identity is None


async def test_a_servers_error_without_a_name_may_pass() -> None:
    queue, call = queue_with([b"1"])
    pump(queue, Broker(), ["nameless", "nameless"])
    assert await call.done == [Delivery("t", 0, 0)]


async def test_what_was_dropped_before_it_was_packed_is_left_out() -> None:
    queue, call = queue_with([b"1", b"2"])
    other = Call([Outgoing("t", b"k", b"3")])
    queue.add((other, 0))
    call.dropped = True
    broker = Broker()
    pump(queue, broker, [])
    assert broker.log == [b"3"]

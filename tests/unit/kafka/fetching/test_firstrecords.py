"""The first record at or after each offset, out of answers of a broker that holds these batches."""

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from atlas_kafka.fetching import firstrecords
from atlas_kafka.fetching.firstrecords import First, Sought, first_records
from atlas_kafka.internals.fetching import READ_COMMITTED
from atlas_kafka.internals.records import DefaultRecordBatchBuilder

ID = str(uuid.UUID(int=7))
PLACE = TopicPartition("t", 0)
AT = 1_700_000_000_000


def batch(first: int, times: Sequence[int], *, size: int = 10) -> bytes:
    """Records from this offset on."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 10**7)
    for number, stamp in enumerate(times):
        builder.append(number, stamp, None, b"x" * size, [])
    built = bytearray(builder.build())
    built[:8] = first.to_bytes(8, "big")  # which the checksum is not of
    return bytes(built)


class Broker:
    """Answers a fetch with the batches from an offset on, as many bytes as it may; of one alone a whole batch."""

    def __init__(self, batches: dict[int, bytes], stable: int) -> None:
        self._batches, self._stable = batches, stable
        self.asked: list[tuple[int, bool]] = []
        self.code = 0

    async def send(self, _node: int, request: Any) -> Any:
        made = request.prepare({1: (0, 13)})
        committed = made.isolation_level == READ_COMMITTED
        ((topic_id, partitions, _tags),) = made.topics
        answers = []
        for number, _epoch, offset, _last, _start, limit, _more in partitions:
            self.asked.append((offset, committed))
            found = b""
            for first, data in self._batches.items():
                after = first + int.from_bytes(data[57:61], "big")
                if after <= offset or (committed and first >= self._stable):
                    continue
                if len(found) + len(data) > limit and not (limit == firstrecords.ALONE_BYTES and not found):
                    break
                found += data
            answers.append((number, self.code, 0, 0, 0, [], -1, found, {}))
        return made.RESPONSE_TYPE(0, 0, 0, [(topic_id, answers, {})], {})


async def look(broker: Broker, offsets: Sequence[int], stable: int, end: int) -> dict[int, First]:
    sought = [Sought(PLACE, ID, offsets, stable, end)]
    ((place, found),) = [each async for each in first_records(broker, sought, lambda _place: 1)]  # type: ignore[arg-type]
    assert place == PLACE
    return found


async def test_many_offsets_of_a_partition_in_one_request() -> None:
    broker = Broker({0: batch(0, [AT, AT + 1, AT + 2]), 7: batch(7, [AT + 50, AT + 60])}, 9)
    found = await look(broker, [1, 2, 4, 8], 9, 9)
    assert found == {1: First(1, AT + 1), 2: First(2, AT + 2), 4: First(7, AT + 50), 8: First(8, AT + 60)}
    assert broker.asked == [(1, True)]


async def test_a_batch_that_is_too_large_is_asked_for_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firstrecords, "PARTITION_BYTES", 500)
    broker = Broker({0: batch(0, [AT] * 3, size=1000), 3: batch(3, [AT + 9])}, 4)
    assert await look(broker, [2, 3], 4, 4) == {2: First(2, AT), 3: First(3, AT + 9)}
    assert broker.asked == [(2, True), (2, True)]


async def test_what_an_open_transaction_holds_back_is_read_as_it_is() -> None:
    broker = Broker({0: batch(0, [AT]), 1: batch(1, [AT + 5])}, 1)
    assert await look(broker, [0, 1], 1, 2) == {0: First(0, AT), 1: First(1, AT + 5, open=True)}
    assert broker.asked == [(0, True), (1, False)]


async def test_what_was_written_since_is_none_of_it() -> None:
    broker = Broker({0: batch(0, [AT]), 1: batch(1, [AT + 5])}, 2)
    assert await look(broker, [0], 1, 1) == {0: First(0, AT)}
    gap = Broker({5: batch(5, [AT])}, 6)
    assert await look(gap, [2, 3], 5, 5) == {2: First(5, None), 3: First(5, None)}


@pytest.mark.parametrize("code", [3, 6, 100])
async def test_what_can_not_be_read_now_is_left_out(code: int) -> None:
    broker = Broker({0: batch(0, [AT])}, 1)
    broker.code = code
    assert await look(broker, [0], 1, 1) == {}


async def test_what_is_damaged_is_left_out() -> None:
    data = bytearray(batch(0, [AT] * 3))
    data[-5] ^= 0xFF
    data[65:70] = b"\xff" * 5
    assert await look(Broker({0: bytes(data)}, 3), [1], 3, 3) == {}


async def test_a_partition_without_a_leader_is_left_out() -> None:
    sought = [Sought(PLACE, ID, [0], 1, 1)]
    broker: Any = Broker({}, 0)
    assert [each async for each in first_records(broker, sought, lambda _place: None)] == []

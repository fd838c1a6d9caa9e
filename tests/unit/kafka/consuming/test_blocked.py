"""When a consumer says that it waits behind an open transaction."""

from collections.abc import Callable

import pytest
from aiokafka import TopicPartition
from atlas_kafka.consuming.blocked import BlockedWatch

ONE = TopicPartition("t", 0)


class Consumer:
    """What a consumer's fetches say of its partitions: position, last stable offset, high watermark."""

    def __init__(self) -> None:
        self.at: dict[TopicPartition, tuple[int, int | None, int | None]] = {}

    def assignment(self) -> set[TopicPartition]:
        return set(self.at)

    def highwater(self, partition: TopicPartition) -> int | None:
        return self.at[partition][2]

    def last_stable_offset(self, partition: TopicPartition) -> int | None:
        return self.at[partition][1]

    async def position(self, partition: TopicPartition) -> int:
        return self.at[partition][0]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Call it to let seconds pass."""
    now = [1000.0]
    monkeypatch.setattr("atlas_kafka.consuming.blocked.time.monotonic", lambda: now[0])

    def pass_by(seconds: float) -> None:
        now[0] += seconds

    return pass_by


async def _look(watch: BlockedWatch, consumer: Consumer) -> str | None:
    return await watch.look(consumer)  # type: ignore[arg-type]


async def test_it_is_told_when_it_has_lasted_and_no_longer_than_it_lasts(later: Callable[[float], None]) -> None:
    watch, consumer = BlockedWatch(), Consumer()
    consumer.at[ONE] = (5, 5, 9)
    assert await _look(watch, consumer) is None
    later(4.9)
    assert await _look(watch, consumer) is None
    later(1.1)
    reason = await _look(watch, consumer)
    assert reason == "waiting: blocked by an open transaction on t/0 for 6 s; atlas lag says whose"
    consumer.at[ONE] = (9, 9, 9)
    later(0.5)
    assert await _look(watch, consumer) == reason, "looked at once a second"
    later(0.5)
    assert await _look(watch, consumer) is None


@pytest.mark.parametrize(
    "at",
    [(3, 5, 9), (5, None, 9), (5, -1, 9), (5, 5, None), (9, 9, 9)],
    ids=["something to read", "old broker", "reads uncommitted", "not fetched yet", "nothing open"],
)
async def test_who_is_not_blocked_does_not_say_so(
    at: tuple[int, int | None, int | None], later: Callable[[float], None]
) -> None:
    watch, consumer = BlockedWatch(), Consumer()
    consumer.at[ONE] = at
    for _ in range(20):
        later(1)
        assert await _look(watch, consumer) is None


async def test_one_transaction_after_the_other_is_ordinary(later: Callable[[float], None]) -> None:
    watch, consumer = BlockedWatch(), Consumer()
    for offset in range(100):
        consumer.at[ONE] = (offset, offset, offset + 5)
        later(1)
        assert await _look(watch, consumer) is None


async def test_many_partitions_are_counted(later: Callable[[float], None]) -> None:
    watch, consumer = BlockedWatch(), Consumer()
    consumer.at = {TopicPartition("t", number): (0, 0, 1) for number in range(7)}
    await _look(watch, consumer)
    later(10)
    assert "on t/0, t/1, t/2 and 4 more for 10 s" in (await _look(watch, consumer) or "")

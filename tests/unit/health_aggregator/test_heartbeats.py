"""What becomes of one heartbeat."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_health_aggregator.heartbeats import HEARTBEATS_SET_ASIDE, LETTERS_AT_ONCE, Receiver
from atlas_health_aggregator.judging.admission import Heartbeat

from tests.contexts import SCHEMAS
from tests.unit.health_aggregator.foreign import foreign

BEAT: dict[str, Any] = {
    "service": "relay",
    "instance": "relay-1",
    "state": "READY",
    "reasons": {},
    "started_at": time.time_ns() // 1_000_000 - 60_000,
    "sent_at": time.time_ns() // 1_000_000,
    "interval_ms": 2000,
    "version": "1",
}


class Letters:
    def __init__(self) -> None:
        self.sent: list[tuple[ConsumerRecord, str, str]] = []

    async def send(self, record: ConsumerRecord, *, group: str, error: str) -> None:
        self.sent.append((record, group, error))


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(Registry.load(SCHEMAS))


def _message(value: bytes | None) -> Any:
    return SimpleNamespace(
        topic="health.heartbeats",
        partition=0,
        offset=7,
        timestamp=time.time(),
        timestamp_type=0,
        key=b"relay",
        value=value,
        headers={"ce_id": b"1"},
    )


async def test_a_heartbeat_is_handed_on(codec: Codec) -> None:
    letters, heard = Letters(), list[Heartbeat]()
    receive = Receiver(codec, letters, "g", heard.append)  # type: ignore[arg-type]
    await receive(_message(codec.encode("health.Heartbeat", BEAT)))
    assert heard == [Heartbeat(**BEAT)]
    assert letters.sent == []


async def test_what_is_no_heartbeat_is_a_dead_letter_with_the_reason(codec: Codec) -> None:
    letters, heard = Letters(), list[Heartbeat]()
    receive = Receiver(codec, letters, "g", heard.append)  # type: ignore[arg-type]
    other = codec.encode("hauls.CarrierListed", {"carrier": "UA", "name": "United"})
    framed = codec.encode("health.Heartbeat", BEAT)
    for value in (None, b"", b"junk", b"\x00\xff\xff\xff\xffx", framed[:-3], other):
        await receive(_message(value))
    assert heard == []
    assert len(letters.sent) == 6
    record, group, error = letters.sent[-1]
    assert (record.topic, record.offset, record.key, record.value) == ("health.heartbeats", 7, b"relay", other)
    assert record.headers == (("ce_id", b"1"),)
    assert (group, error) == ("g", "hauls.CarrierListed is no health.Heartbeat")
    assert all(error for _, _, error in letters.sent)


def _counted(reason: str) -> float:
    return HEARTBEATS_SET_ASIDE.labels(reason)._value.get()


@pytest.mark.parametrize(
    ("field", "value", "reason", "text"),
    [
        ("started_at", -(2**63), "time", "started_at: -9223372036854775808, expected 0 to a day after"),
        ("started_at", 2**45, "time", "started_at: 35184372088832, expected 0 to a day after"),
        ("interval_ms", 0, "interval", "interval_ms: 0, expected 100 to 30000"),
    ],
)
async def test_an_odd_heartbeat_is_set_aside_with_what_is_odd(
    codec: Codec, field: str, value: int, reason: str, text: str
) -> None:
    letters, heard = Letters(), list[Heartbeat]()
    receive = Receiver(codec, letters, "g", heard.append)  # type: ignore[arg-type]
    before = _counted(reason)
    await receive(_message(foreign("health.Heartbeat", {**BEAT, field: value})))
    assert heard == []
    assert text in letters.sent[0][2]
    assert _counted(reason) == before + 1


async def test_an_error_of_ours_over_a_heartbeat_sets_that_one_aside(codec: Codec) -> None:
    def breaks(heartbeat: Heartbeat) -> None:
        if heartbeat.version == "bad":
            raise ZeroDivisionError("a bug")
        heard.append(heartbeat)

    letters, heard = Letters(), list[Heartbeat]()
    receive = Receiver(codec, letters, "g", breaks)  # type: ignore[arg-type]
    await receive(_message(codec.encode("health.Heartbeat", {**BEAT, "version": "bad"})))
    await receive(_message(codec.encode("health.Heartbeat", BEAT)))
    assert len(heard) == 1
    assert [error for _, _, error in letters.sent] == ["ZeroDivisionError: a bug"]


async def test_a_flood_is_counted_and_makes_few_dead_letters(codec: Codec) -> None:
    letters = Letters()
    receive = Receiver(codec, letters, "g", lambda _heartbeat: None)  # type: ignore[arg-type]
    before = _counted("undecodable")
    for _ in range(500):
        await receive(_message(b"junk"))
    assert _counted("undecodable") == before + 500
    assert LETTERS_AT_ONCE <= len(letters.sent) <= LETTERS_AT_ONCE + 5


async def test_a_dead_letter_that_can_not_be_written_stops_nobody(codec: Codec) -> None:
    class Refuses:
        tried = 0

        async def send(self, _record: ConsumerRecord, **_why: str) -> None:
            self.tried += 1
            raise KeyError("no such topic")

    letters, heard = Refuses(), list[Heartbeat]()
    receive = Receiver(codec, letters, "g", heard.append)  # type: ignore[arg-type]
    for _ in range(3):
        await receive(_message(b"junk"))
    await receive(_message(codec.encode("health.Heartbeat", BEAT)))
    assert letters.tried == 1, "the next is not tried at once: the living would wait"
    assert len(heard) == 1

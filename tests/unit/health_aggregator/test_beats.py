"""What becomes of one heartbeat."""

import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_health_aggregator.beats import Receiver

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas"
BEAT = {
    "service": "relay",
    "instance": "relay-1",
    "state": "READY",
    "reasons": {},
    "started_at": 1,
    "sent_at": 2,
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
    letters, heard = Letters(), list[Mapping[str, Any]]()
    receive = Receiver(codec, letters, "g", heard.append)  # type: ignore[arg-type]
    await receive(_message(codec.encode("health.Heartbeat", BEAT)))
    assert heard == [BEAT]
    assert letters.sent == []


async def test_what_is_no_heartbeat_is_a_dead_letter_with_the_reason(codec: Codec) -> None:
    letters, heard = Letters(), list[Mapping[str, Any]]()
    receive = Receiver(codec, letters, "g", heard.append)  # type: ignore[arg-type]
    other = codec.encode("flights.AirlineListed", {"carrier": "UA", "name": "United"})
    framed = codec.encode("health.Heartbeat", BEAT)
    for value in (None, b"", b"junk", b"\x00\xff\xff\xff\xffx", framed[:-3], other):
        await receive(_message(value))
    assert heard == []
    assert len(letters.sent) == 6
    record, group, error = letters.sent[-1]
    assert (record.topic, record.offset, record.key, record.value) == ("health.heartbeats", 7, b"relay", other)
    assert record.headers == (("ce_id", b"1"),)
    assert (group, error) == ("g", "flights.AirlineListed is no health.Heartbeat")
    assert all(error for _, _, error in letters.sent)

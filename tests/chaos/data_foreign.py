"""Hostile records as any producer can put them on a topic, past the gateway.

Each kind says how its records may end. A record that has an id of its own and decodes to a haul is VISIBLE; all else
on a projected topic is DEAD; what no projection reads is archived and no more.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from atlas_avro.varints import long as zigzag
from atlas_contracts.codec import Codec

from tests.chaos.data_good import DEPARTED, TOPIC, haul
from tests.chaos.data_ledger import End, Ledger

DEAD, VISIBLE, UNREAD, REPEATED = {End.DEAD}, {End.VISIBLE}, {End.UNREAD}, {End.REPEATED}
EITHER = {End.DEAD, End.VISIBLE}

Headers = list[tuple[str, bytes | None]]


def own_key() -> bytes:
    return f"H{uuid.uuid4().hex}".encode()


@dataclass
class Hostile:
    """A record and how it may end; `row` as in Accepted."""

    ends: set[End]
    value: bytes | None
    key: bytes | None = field(default_factory=own_key)
    topic: str = TOPIC
    headers: Headers = field(default_factory=list)
    timestamp_ms: int | None = None
    partition: int | None = None
    row: str | None = None


def visible(codec: Codec, changed: dict[str, Any] | None = None, **how: Any) -> Hostile:
    """A haul that is odd in a way that no column minds."""
    value = haul("H") | (changed or {})
    return Hostile(VISIBLE, codec.encode(DEPARTED, value), value["haul_id"].encode(), row=value["haul_id"], **how)


def _dead(codec: Codec, **changed: Any) -> Hostile:
    """A haul with a value that some column refuses."""
    value = haul("H") | changed
    return Hostile(DEAD, codec.encode(DEPARTED, value))


def _body(codec: Codec) -> bytes:
    return codec.encode(DEPARTED, haul("H"))


def _yard(sequence: bytes | None, codec: Codec) -> Hostile:
    """An event of a yard that nobody registered, with a version that no relay wrote."""
    yard_id = str(uuid.uuid4())
    value = {"yard_id": yard_id, "deactivated_at": 1_357_035_300_000, "reason": "forged"}
    body = codec.encode("yards.YardDeactivated", value)
    headers: Headers = [] if sequence is None else [("ce_sequence", sequence)]
    return Hostile(DEAD, body, yard_id.encode(), topic="yards.events", headers=headers)


def _odd_bytes(codec: Codec) -> list[Hostile]:
    whole = _body(codec)
    prefix = whole[:5]
    return [
        Hostile(DEAD, random.randbytes(random.randrange(1, 400))),
        Hostile(DEAD, b""),
        Hostile(DEAD, None),
        Hostile(DEAD, b"", None),
        Hostile(DEAD, prefix),
        Hostile(DEAD, b"\x00\x00\x0f\x42\x40" + whole[5:]),  # an id that no registry gave
        Hostile(DEAD, b"\x00\xff\xff\xff\xff" + whole[5:]),
        Hostile(DEAD, b'{"type": "hauls.HaulDeparted", "value": {}}'),
        Hostile(DEAD, whole[: random.randrange(6, len(whole))]),
        Hostile(DEAD, whole + random.randbytes(3)),
        Hostile(DEAD, prefix + zigzag(2**62)),  # a text of 2^62 bytes
        Hostile(DEAD, prefix + b"\xff" * 11),
        Hostile(DEAD, prefix + zigzag(4) + b"\xff\xfe\xfd\xfc" + whole[10:]),
        Hostile(DEAD, whole.replace(b"IAH", b"\xed\xa0\x80")),  # a lone surrogate
        Hostile(DEAD, b"\x01" + whole[1:]),
    ]


def _odd_values(codec: Codec) -> list[Hostile]:
    number = zigzag(1400)
    whole = _body(codec)
    return [
        _dead(codec, haul_id=f"H{uuid.uuid4().hex}\x00"),
        _dead(codec, carrier="\x00"),
        _dead(codec, origin="\x00", destination="\x00"),
        _dead(codec, truck_number="N\x00"),
        _dead(codec, haul_id="H" + random.randbytes(6000).hex()),  # too large for an index
        _dead(codec, carrier=random.randbytes(6000).hex()),
        Hostile(DEAD, whole.replace(number, zigzag(2**31), 1)),  # beyond the type's 32 bits
        Hostile(DEAD, whole.replace(number, zigzag(-(2**63)), 1)),
        visible(codec, {"truck_number": "\x1b]0;owned\x07[/red]\r\n\u202e"}),
        visible(codec, {"truck_number": "x" * 150_000}),
        visible(codec, {"truck_number": "\ufffe\ud7ff\U0010ffff"}),
        visible(codec, {"departure_delay_minutes": 2**31 - 1, "arrival_delay_minutes": -(2**31)}),
    ]


def _odd_frames(codec: Codec) -> list[Hostile]:
    """Keys, headers and times of every kind around a good value."""
    many: Headers = [("h", b"1")] * random.choice((1_000, 20_000))
    return [
        visible(codec, headers=many),
        visible(codec, headers=[(f"h{number}", b"") for number in range(300)]),
        visible(codec, headers=[("", b""), ("", None), ("a" * 30_000, b"\xff"), ("\x00", b"\x00"), ("\x1b[2J", None)]),
        visible(codec, headers=[("traceparent", b"\xff" * 100), ("ce_time", b"\xff"), ("ce_id", random.randbytes(99))]),
        visible(codec, headers=[("ce_sequence", b"9" * 5_000), ("atlas_dlq_topic", b"x"), ("atlas_dlq_offset", b"y")]),
        visible(codec, timestamp_ms=0),
        visible(codec, timestamp_ms=1_356_998_400_000),
        Hostile(EITHER, _body(codec), None),
        Hostile(EITHER, _body(codec), b""),
        Hostile(EITHER, _body(codec), b"\x1b[2J\x00\xff" + random.randbytes(8)),
        Hostile(EITHER, _body(codec), random.randbytes(100_000)),
    ]


def _odd_histories(codec: Codec) -> list[Hostile]:
    versions = (None, b"", b"0", b"-1", b"x", b"\xff", b"2147483648", b"9" * 19, b"9" * 5_000, b"1e3", b" 1", b"1_0")
    return [_yard(version, codec) for version in versions]


def _for_nobody(codec: Codec) -> list[Hostile]:
    """On topics that no projection reads: the archive keeps them all, heartbeats apart."""
    beat: dict[str, Any] = {"topic": "health.heartbeats", "key": random.randbytes(4)}
    return [
        Hostile(UNREAD, random.randbytes(300), topic="hauls.reference"),
        Hostile(UNREAD, None, None, topic="hauls.roads"),
        Hostile(UNREAD, random.randbytes(50), topic="hauls.roads", headers=[("\x7f", None)] * 50),
        Hostile(UNREAD, random.randbytes(99), **beat),
        Hostile(UNREAD, None, **beat),
        Hostile(UNREAD, b"", **beat),
        Hostile(UNREAD, b"\x00\x00\x00\x00\x0b" + random.randbytes(60), **beat),
    ]


KINDS: dict[str, Callable[[Codec], Sequence[Hostile]]] = {
    "odd bytes": _odd_bytes,
    "odd values": _odd_values,
    "odd frames": _odd_frames,
    "odd histories": _odd_histories,
    "records for nobody": _for_nobody,
}


class ForeignProducer:
    """Sends hostile records with every compression, some in transactions that are aborted or left open a moment."""

    def __init__(self, brokers: str, codec: Codec, ledger: Ledger) -> None:
        self._brokers = brokers
        self._codec = codec
        self._ledger = ledger

    async def send(self, turns: int) -> None:
        """So many times a record of each form of each kind, in random order."""
        compression: Any = random.choice((None, "gzip", "snappy", "lz4", "zstd"))
        async with AIOKafkaProducer(
            bootstrap_servers=self._brokers, acks="all", compression_type=compression, max_request_size=4_000_000
        ) as producer:
            for _ in range(turns):
                records = [(kind, record) for kind, make in KINDS.items() for record in make(self._codec)]
                random.shuffle(records)
                await asyncio.gather(*(self._put(producer, kind, record) for kind, record in records))

    async def _put(self, producer: AIOKafkaProducer, kind: str, record: Hostile) -> None:
        try:
            put = await producer.send_and_wait(
                record.topic,
                record.value,
                record.key,
                record.partition,
                record.timestamp_ms,
                record.headers,
            )
        except (KafkaError, AssertionError):
            self._ledger.refuse(kind)  # the broker's own refusal
            return
        self._ledger.accept(kind, (put.topic, put.partition, put.offset), record.ends, record.row)

    async def abort(self, held_s: float) -> None:
        """A transaction over good values that stays open a moment and is aborted: nobody may ever see them."""
        async with AIOKafkaProducer(
            bootstrap_servers=self._brokers, transactional_id=f"hostile-{uuid.uuid4().hex}"
        ) as producer:
            await producer.begin_transaction()
            begun = time.monotonic()
            await asyncio.gather(*(self._held(producer) for _ in range(20)))
            await asyncio.sleep(held_s)  # how long it stays open is the subject
            await producer.abort_transaction()
            self._ledger.withheld.append((begun, time.monotonic()))
        self._ledger.refuse("aborted transaction", 20)

    async def _held(self, producer: AIOKafkaProducer) -> None:
        value = haul("ABORTED")
        await producer.send_and_wait(TOPIC, self._codec.encode(DEPARTED, value), value["haul_id"].encode())

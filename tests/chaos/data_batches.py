"""Batches made byte by byte, as no client library would make them: each kind once a round, a random partition each."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cramjam
from atlas_contracts.codec import Codec

from tests.chaos.data_foreign import DEAD, Hostile, own_key, visible
from tests.chaos.data_good import DEPARTED, TOPIC, haul
from tests.chaos.data_ledger import Ledger
from tests.integration.foreign import Foreign, batch, batch_of, gzip, packed, put

ODD_NAMES = (b"\xe9", b"\xff\xfe", b"ok\x80", b"\xc3\x28")
# Above what a batch may hold, and a few kilobytes when it is compressed.
_BOMB_BYTES = 66 * 1024 * 1024
# Of 4 MiB that a document may have, in two fields that an index still takes.
_BOARD_FIELD = 150_000
_BOARD_TAKES = 13
# Within what the broker takes, and above it once the reasons of a dead letter are added.
_FULL_BYTES = 1_048_400
_PARTITIONS = 4


@dataclass
class Made:
    """A batch, and how each of its records may end."""

    kind: str
    records: list[Hostile]
    data: bytes
    topic: str = TOPIC


def _header_names(codec: Codec) -> Made:
    records = [visible(codec) for _ in ODD_NAMES]
    named = [Foreign(record.key, record.value, [(name, b"1")]) for record, name in zip(records, ODD_NAMES, strict=True)]
    return Made("header names", records, batch_of(named))


def _offsets(codec: Codec) -> Made:
    """What the records say of their offsets is beyond the end, and the broker leaves it."""
    steps = (2**30, 0, 0, -4)
    records = [visible(codec) for _ in steps]
    told = [Foreign(record.key, record.value, step=step) for record, step in zip(records, steps, strict=True)]
    return Made("offsets of their own", records, batch_of(told))


def _twins(codec: Codec) -> Made:
    """Of two records of a key the server refuses the second: by the rows alone nobody can tell which it was."""
    first = visible(codec)
    value = haul("H") | {"haul_id": first.row, "carrier": random.randbytes(6000).hex()}
    records = [first, Hostile(DEAD, codec.encode(DEPARTED, value), first.key)]
    return Made("twins", records, batch_of([Foreign(record.key, record.value) for record in records]))


def _board(codec: Codec) -> Made:
    """Hauls of one depot, until its board is too large a document; the last ones are none of it."""
    large = {"origin": random.randbytes(4).hex(), "carrier": "x" * _BOARD_FIELD, "destination": "y" * _BOARD_FIELD}
    records = []
    for number in range(_BOARD_TAKES + 3):
        record = visible(codec, large | {"scheduled_departure": 1_400_000_000_000 + number})
        if number >= _BOARD_TAKES:
            record.ends = DEAD
        records.append(record)
    data = batch_of([Foreign(record.key, record.value) for record in records], 1, gzip)
    return Made("board too large", records, data)


def _bomb(codec: Codec) -> Made:
    """A haul that nothing is wrong with, but for what its batch holds."""
    record = visible(codec, {"truck_number": "x" * _BOMB_BYTES})
    record.ends = DEAD
    data = batch(bytes(cramjam.zstd.compress(packed(Foreign(record.key, record.value), 0))), 1, codec=4)
    return Made("batch that holds too much", [record], data)


def _full(_codec: Codec) -> Made:
    """No event, and as large as a record can be: its dead letter can't hold it."""
    record = Hostile(DEAD, random.randbytes(_FULL_BYTES), own_key())
    return Made("full record", [record], batch_of([Foreign(record.key, record.value)]), "yards.events")


KINDS: tuple[Callable[[Codec], Made], ...] = (_header_names, _offsets, _twins, _bomb, _full)


async def send_batches(brokers: str, codec: Codec, ledger: Ledger) -> None:
    """One batch of each kind."""
    await _send(brokers, codec, ledger, random.sample(KINDS, len(KINDS)))


async def send_board(brokers: str, codec: Codec, ledger: Ledger) -> None:
    """The board that gets too large. Once, as rows whose indexed texts are so large keep a server busy for seconds."""
    await _send(brokers, codec, ledger, [_board])


async def _send(brokers: str, codec: Codec, ledger: Ledger, kinds: Sequence[Callable[[Codec], Made]]) -> None:
    for make in kinds:
        made = await asyncio.to_thread(make, codec)
        partition = random.randrange(_PARTITIONS)
        error, offset = await put(brokers, made.topic, made.data, partition)
        if error:
            ledger.note_broken(made.kind, f"the broker's error {error}: it should take this batch")
            continue
        for place, record in enumerate(made.records, start=offset):
            ledger.accept(made.kind, (made.topic, partition, place), record.ends, record.row)

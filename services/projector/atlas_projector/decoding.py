"""Records into events on their way to their rows."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from atlas_contracts.binary_reader import BROKEN, Reader
from atlas_contracts.codec import PREFIX_BYTES, Codec
from atlas_contracts.errors import Undecodable
from atlas_contracts.events import Meta

from atlas_projector.change import Change, key_getter
from atlas_projector.fold import HandlerFailed
from atlas_projector.projection import Handler, Projection, Rejected, Value
from atlas_projector.source import Record
from atlas_projector.waiting import Waiting, place_of


@dataclass(slots=True)
class Decoded:
    """Events with a handler as `changes`; what no event can be made of as `poison`, what waits behind such a one."""

    changes: list[Change] = field(default_factory=list)
    poison: list[tuple[Meta, str]] = field(default_factory=list)
    behind: list[Meta] = field(default_factory=list)
    passed_over: int = 0

    def in_order(self, waiting: Waiting) -> None:
        """After the fold: what is no event and comes after one of its key that a handler refused waits behind that.

        All of a batch is decoded before any of it is folded. What a record is set aside for must not depend on the
        batch it came in: a rebuild, whose batches are others, would find records that live did not set aside.
        """
        self.behind += [meta for meta, _ in self.poison if waiting.blocks(meta)]
        self.poison = [(meta, reason) for meta, reason in self.poison if not waiting.blocks(meta)]


class Decoder:
    """Reads the records of one projection; of a type without a handler nothing is read."""

    def __init__(self, projection: Projection, codec: Codec) -> None:
        self._projection = projection
        self._codec = codec
        self._key_of = key_getter(projection)
        self._kinds: dict[bytes, tuple[Handler | None, Reader]] = {
            prefix: (projection.handlers.get(event_type), read) for prefix, (event_type, read) in codec.newest.items()
        }

    def decode(self, partition: TopicPartition, records: Iterable[Record], waiting: Waiting, into: Decoded) -> None:
        """Add what the records of a partition come to. Raises HandlerFailed for an event whose row can't be found."""
        kinds, key_of, each, append = self._kinds, self._key_of, self._projection.each, into.changes.append
        new, blocked = tuple.__new__, waiting.blocked
        topic, number = partition
        for record in records:
            framed: Any = record.value
            meta: Meta = new(Meta, (topic, number, record.offset, record.timestamp, record.key, record.headers))
            if blocked and waiting.blocks(meta):
                into.behind.append(meta)
                continue
            try:
                handler, read = kinds[framed[:PREFIX_BYTES]]  # no value: TypeError
                if handler is None:
                    into.passed_over += 1
                    continue
                value = read(framed, PREFIX_BYTES)
            except (TypeError, *BROKEN):
                found = self._slowly(framed, meta, waiting, into)
                if found is None:
                    continue
                handler, value = found
            try:
                if each is None:
                    append(new(Change, (key_of(value, meta), handler, value, meta)))
                else:
                    into.changes += [Change(key_of(part, meta), handler, part, meta) for part in each(value, meta)]
            except Exception as error:  # noqa: BLE001 - becomes its fate
                self._unfit(meta, error, waiting, into)

    def _slowly(
        self, framed: bytes | None, meta: Meta, waiting: Waiting, into: Decoded
    ) -> tuple[Handler, Value] | None:
        """An older schema's event in the shape of the newest; or what is wrong with it."""
        try:
            if framed is None:
                raise Undecodable("the record has no value")
            event = self._codec.decode(framed)
        except Undecodable as error:
            into.poison.append((meta, str(error)))
            waiting.block(meta)
            return None
        handler = self._projection.handlers.get(event.type)
        if handler is None:
            into.passed_over += 1
            return None
        return handler, event.value

    def _unfit(self, meta: Meta, error: Exception, waiting: Waiting, into: Decoded) -> None:
        if isinstance(error, Rejected):
            reason = str(error)
        elif (attempts := waiting.given_up(meta)) is not None:
            reason = f"its row could not be found, {attempts} times: {type(error).__name__}: {error}"
        else:
            raise HandlerFailed(self._projection.name, meta, error) from error
        into.poison.append((meta, reason))
        waiting.block(meta)


def at(meta: Meta) -> str:
    """Its place in words."""
    topic, partition, offset = place_of(meta)
    return f"{topic}/{partition}@{offset}"

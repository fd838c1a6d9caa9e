"""Records into events on their way to their rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import repeat
from operator import attrgetter
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from atlas_contracts.codec import PREFIX_BYTES, Codec
from atlas_contracts.errors import Undecodable
from atlas_contracts.events import Meta
from atlas_contracts.reading.binary_reader import BROKEN, Reader
from atlas_contracts.reading.run_reader import RUN_FROM, RunReader
from atlas_projection.change import Change, key_getter, keys_getter
from atlas_projection.fold import plainly, why_not
from atlas_projection.projection import Handler, Projection, Value
from atlas_projection.waiting import Waiting, place_of
from atlas_readmodel.table import Table

from atlas_projector.source import Record

# In the order of Meta, and then the value.
_PARTS = attrgetter("offset", "timestamp", "key", "headers", "value")
# What the __new__ of a named tuple does, at a third of its cost.
_NEW: Callable[..., Any] = tuple.__new__


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


class _Kind(NamedTuple):
    """What is done with an event of a type's newest schema."""

    handler: Handler | None
    read: Reader
    runs: RunReader

    def values(self, framed: Sequence[bytes]) -> list[Any]:
        """The values of many; None for what is broken."""
        values = self.runs.read(framed)
        return values if all(values) else [*map(self._filled, values, framed)]

    def _filled(self, value: Any, framed: bytes) -> Any:
        try:
            return value or self.read(framed, PREFIX_BYTES)
        except BROKEN:
            return None


class Decoder:
    """Reads the records of one projection; of a type without a handler nothing is read."""

    def __init__(self, projection: Projection, codec: Codec) -> None:
        self._projection = projection
        self._codec = codec
        self._key_of = key_getter(projection)
        self._keys_of = keys_getter(projection)
        # A document holds what JSON has; of an event that has nothing else, neither has its row.
        self._handlers = {
            name: handler if isinstance(projection.table, Table) or codec.is_plain(name) else plainly(handler)
            for name, handler in projection.handlers.items()
        }
        self._kinds: dict[bytes | None, _Kind] = {
            prefix: _Kind(self._handlers.get(newest.type), newest.read, newest.runs)
            for prefix, newest in codec.newest.items()
        }

    def decode(self, partition: TopicPartition, records: Sequence[Record], waiting: Waiting, into: Decoded) -> None:
        """Add what the records of a partition come to.

        The values of a run are read together. Where each of them is an event that makes one change, so are the changes
        made; else each record is looked at.
        """
        if records and (unread := waiting.unread_in(partition, records[0].offset, records[-1].offset)):
            records = self._pass_over(partition, records, unread, waiting, into)
        values: Iterable[Value | None] = repeat(None)
        if len(records) >= RUN_FROM and not waiting.blocked and self._is_regular(records[0].value):
            *columns, framed = zip(*map(_PARTS, records), strict=True)
            handlers, values = self._read(framed)
            if self._projection.each is None and all(values):
                with suppress(Exception):  # an event without its key raises again below, where it is known which
                    keys = [*self._keys_of(values, partition.partition)]
                    metas = map(_NEW, repeat(Meta), zip(*map(repeat, partition), *columns, strict=False))
                    into.changes += map(_NEW, repeat(Change), zip(keys, handlers, values, metas, strict=False))
                    return
        self._one_by_one(partition, zip(records, values, strict=False), waiting, into)

    def _pass_over(
        self,
        partition: TopicPartition,
        records: Sequence[Record],
        unread: Mapping[int, str | None],
        waiting: Waiting,
        into: Decoded,
    ) -> Sequence[Record]:
        """Those to be read; of the others, those with a reason wait as poison and the rest is passed over."""
        for record in records:
            if record.offset not in unread:
                continue
            meta = meta_at(partition, record)
            reason = unread[record.offset]
            if reason is None:
                into.passed_over += 1
            elif waiting.blocks(meta):
                into.behind.append(meta)
            else:
                into.poison.append((meta, reason))
                waiting.block(meta)
        return [record for record in records if record.offset not in unread]

    def _is_regular(self, framed: bytes | None) -> bool:
        """Whether reading a run that begins with this is worth an attempt."""
        kind = None if framed is None else self._kinds.get(framed[:PREFIX_BYTES])
        return kind is None or not kind.runs.irregular

    def _read(self, framed: Sequence[Any]) -> tuple[Iterable[Handler | None], list[Any]]:
        """Of each its handler and its value: None where it is not known from its first bytes, or has no handler, or is
        broken.
        """
        prefixes = [None if value is None else value[:PREFIX_BYTES] for value in framed]
        found = {prefix: kind for prefix in set(prefixes) if (kind := self._kinds.get(prefix)) and kind.handler}
        if len(found) == len(set(prefixes)) == 1:
            (kind,) = found.values()
            return repeat(kind.handler), kind.values(framed)
        handlers: list[Handler | None] = [None] * len(framed)
        values: list[Any] = [None] * len(framed)
        for prefix, kind in found.items():
            places = [place for place, other in enumerate(prefixes) if other == prefix]
            for place, value in zip(places, kind.values([framed[place] for place in places]), strict=True):
                handlers[place], values[place] = kind.handler, value
        return handlers, values

    def _one_by_one(
        self,
        partition: TopicPartition,
        records: Iterable[tuple[Record, Value | None]],
        waiting: Waiting,
        into: Decoded,
    ) -> None:
        """Records and, as far as they are known, their values."""
        kinds, key_of, each, append = self._kinds, self._key_of, self._projection.each, into.changes.append
        blocked = waiting.blocked
        topic, number = partition
        for record, known in records:
            framed: Any = record.value
            meta: Meta = _NEW(Meta, (topic, number, record.offset, record.timestamp, record.key, record.headers))
            if blocked and waiting.blocks(meta):
                into.behind.append(meta)
                continue
            try:
                handler, read, _ = kinds[framed[:PREFIX_BYTES]]  # no value: TypeError
                if handler is None:
                    into.passed_over += 1
                    continue
                value = known or read(framed, PREFIX_BYTES)
            except (TypeError, *BROKEN):
                found = self._slowly(framed, meta, waiting, into)
                if found is None:
                    continue
                handler, value = found
            try:
                if each is None:
                    append(_NEW(Change, (key_of(value, meta), handler, value, meta)))
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
        except (Undecodable, RecursionError, OverflowError) as error:
            into.poison.append((meta, str(error) or type(error).__name__))
            waiting.block(meta)
            return None
        handler = self._handlers.get(event.type)
        if handler is None:
            into.passed_over += 1
            return None
        return handler, event.value

    def _unfit(self, meta: Meta, error: Exception, waiting: Waiting, into: Decoded) -> None:
        into.poison.append((meta, why_not(error).replace("its handler failed", "its row could not be found")))
        waiting.block(meta)


def meta_at(partition: tuple[str, int], record: Record) -> Meta:
    """What is around the record's event."""
    topic, number = partition
    return Meta(topic, number, record.offset, record.timestamp, record.key, record.headers)


def at(meta: Meta) -> str:
    """Its place in words."""
    topic, partition, offset = place_of(meta)
    return f"{topic}/{partition}@{offset}"

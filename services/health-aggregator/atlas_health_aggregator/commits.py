"""What groups have committed, out of the brokers' answers, a topic's partitions at a time. Pure.

Where all partitions of a topic are written alike (no metadata, or a topic's id as Atlas' own consumers have it), they
lie evenly in the answer and are taken as columns: a million of them are read in a fraction of a second.
"""

import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

UUID_CHARS = 36
_PARTITION = struct.Struct(">iqi")
_LONG_FORM = 0x80


@dataclass(frozen=True, slots=True)
class Commits:
    """Of one topic: partitions, the offsets committed there, and the topic's id of each commit (None: none says so).

    `lag`: how many records wait, where the brokers say so, -1 where they don't.
    """

    partitions: NDArray[np.int64]
    offsets: NDArray[np.int64]
    ids: tuple[str | None, ...] | str | None = None
    lag: NDArray[np.int64] | None = None

    def ids_of(self) -> tuple[str | None, ...]:
        """The id of each."""
        return self.ids if isinstance(self.ids, tuple) else (self.ids,) * len(self.partitions)


@dataclass(frozen=True, slots=True)
class Committed:
    """A group's commits by topic, or why it can't be looked at (Kafka's error code)."""

    group: str
    commits: dict[str, Commits]
    error_code: int


class Before:
    """What was read of each group and topic the last time, by its bytes: most commits are as they were."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[bytes, Commits]] = {}
        self._now: dict[tuple[str, str], tuple[bytes, Commits]] = {}

    def begin(self) -> None:
        """A new round: what the one before has not met is gone."""
        self._last, self._now = self._now, {}

    def of(self, group: str, topic: str) -> tuple[bytes, Commits] | None:
        """The last time."""
        return self._last.get((group, topic))

    def note(self, group: str, topic: str, found: tuple[bytes, Commits]) -> None:
        """This time."""
        self._now[group, topic] = found


def committed(answer: bytes, before: Before | None = None) -> Iterator[Committed]:
    """The groups of an answer to OffsetFetch, version 8. Offsets below 0 are left out: nothing is committed there."""
    reader, before = _Reader(answer), before or Before()
    for _ in range(reader.length()):
        group = reader.text()
        commits = {}
        for _ in range(reader.length()):
            topic = reader.text()
            raw, found = reader.partitions(before.of(group, topic))
            if raw:
                before.note(group, topic, (raw, found))
            reader.tags()
            if len(found.partitions):
                commits[topic] = found
        code = reader.int16()
        reader.tags()
        yield Committed(group, commits, code)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            if not byte & _LONG_FORM:
                return value
            shift += 7

    def length(self) -> int:
        return max(0, self.unsigned() - 1)

    def text(self) -> str:
        return self.chars().decode()

    def chars(self) -> bytes:
        size = self.length()
        self._at += size
        return self._data[self._at - size : self._at]

    def int16(self) -> int:
        self._at += 2
        return int.from_bytes(self._data[self._at - 2 : self._at], "big", signed=True)

    def tags(self) -> None:
        for _ in range(self.unsigned()):
            self.unsigned()
            size = self.unsigned()
            self._at += size

    def partitions(self, before: tuple[bytes, Commits] | None) -> tuple[bytes, Commits]:
        """With the bytes, where all partitions are written alike."""
        count = self.length()
        if count == 0:
            return b"", _NONE
        form = self._data[self._at + _PARTITION.size]
        if form < _LONG_FORM:
            kind = _columns(max(0, form - 1))
            end = self._at + count * kind.itemsize
            raw = self._data[self._at : end]
            if before is not None and before[0] == raw:
                self._at = end
                return before
            if end <= len(self._data):
                rows = np.frombuffer(raw, kind, count)
                if (rows["form"] == form).all() and not rows["tags"].any():
                    self._at = end
                    return raw, _of_columns(rows)
        return b"", self._one_by_one(count)

    def _one_by_one(self, count: int) -> Commits:
        partitions, offsets, ids = [], [], []
        for _ in range(count):
            partition, offset, _epoch = _PARTITION.unpack_from(self._data, self._at)
            self._at += _PARTITION.size
            metadata = self.chars()
            code = self.int16()
            self.tags()
            if offset >= 0 and code == 0:
                partitions.append(partition)
                offsets.append(offset)
                ids.append(_id_in(metadata))
        return Commits(np.array(partitions, np.int64), np.array(offsets, np.int64), tuple(ids))


def _of_columns(rows: "np.ndarray[tuple[int], np.dtype[np.void]]") -> Commits:
    there = (rows["offset"] >= 0) & (rows["code"] == 0)
    if not there.all():
        rows = rows[there]
    ids: tuple[str | None, ...] | str | None = None
    if rows.dtype["metadata"].itemsize == UUID_CHARS and len(rows):
        texts = rows["metadata"]
        are_one = (texts == texts[0]).all()
        ids = _id_in(bytes(texts[0])) if are_one else tuple(_id_in(bytes(text)) for text in texts)
    return Commits(rows["partition"].astype(np.int64), rows["offset"].astype(np.int64), ids)


@cache
def _columns(metadata: int) -> "np.dtype[np.void]":
    text = ("metadata", f"V{metadata}") if metadata != UUID_CHARS else ("metadata", f"S{metadata}")
    fields = [("partition", ">i4"), ("offset", ">i8"), ("epoch", ">i4"), ("form", "u1"), text]
    return np.dtype([*fields, ("code", ">i2"), ("tags", "u1")])


def _id_in(metadata: bytes) -> str | None:
    """The topic's id that Atlas' own consumers commit beside each offset; other clients put there what they like."""
    try:
        return str(uuid.UUID(metadata.decode())) if len(metadata) == UUID_CHARS else None
    except ValueError:
        return None


_NONE = Commits(np.array([], np.int64), np.array([], np.int64))

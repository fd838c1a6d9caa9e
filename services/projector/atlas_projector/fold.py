"""Events folded into rows, in memory: no I/O, the same code live, in a rebuild and in tests."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

from atlas_contracts.events import Meta
from atlas_readmodel.table import OFFSET_COLUMN, PARTITION_COLUMN

from atlas_projector.projection import Handler, Projection, Rejected, Row, Value

Key = tuple[Any, ...]


class Change(NamedTuple):
    """An event on its way to its row."""

    key: Key
    handler: Handler
    value: Value
    meta: Meta


@dataclass(slots=True)
class Folded:
    """What some events come to: the rows that changed (None: deleted), the events no handler took, counts."""

    rows: dict[Key, Row | None] = field(default_factory=dict)
    rejected: list[tuple[Meta, str]] = field(default_factory=list)
    applied: int = 0
    repeated: int = 0
    missing: int = 0


def key_getter(projection: Projection) -> Callable[[Value, Meta], Key]:
    """A function from an event to the key of its row, in the order of `Table.primary_key`."""
    fields = itemgetter(*projection.key)
    single = len(projection.key) == 1
    if projection.table.per_partition:
        if single:
            return lambda value, meta: (fields(value), meta.partition)
        return lambda value, meta: (*fields(value), meta.partition)
    if single:
        return lambda value, _meta: (fields(value),)
    return lambda value, _meta: fields(value)


def fold(projection: Projection, changes: Iterable[Change], row_before: Callable[[Key], Row | None]) -> Folded:
    """Run the handlers over the events in order; `row_before` gives the row of a key as it was before all of them.

    A handler's own error, other than Rejected, is raised with the event's place in its notes.
    """
    folded = Folded()
    rows = folded.rows
    versioned = projection.versioned
    per_partition = projection.table.per_partition
    for key, handler, value, meta in changes:
        row = rows[key] if key in rows else row_before(key)
        version = None
        try:
            if versioned is not None:
                version = _next_version(row, versioned, meta, folded)
                if version is None:
                    continue
            after = handler(row, value, meta)
        except Rejected as rejection:
            folded.rejected.append((meta, str(rejection)))
            continue
        except Exception as error:
            error.add_note(f"in projection {projection.name} at {meta.topic}/{meta.partition}@{meta.offset}")
            raise
        folded.applied += 1
        if after is row and version is None:
            continue
        if after is not None:
            if after is row:
                after = dict(after)
            after[OFFSET_COLUMN] = meta.offset
            if per_partition:
                after[PARTITION_COLUMN] = meta.partition
            if versioned is not None:
                after[versioned] = version
        rows[key] = after
    return folded


def _next_version(row: Row | None, column: str, meta: Meta, folded: Folded) -> int | None:
    """The version this event brings its row to; None if the row has it already."""
    sequence = meta.sequence
    if sequence is None:
        raise Rejected("it has no ce_sequence header, so its place in the entity's history is unknown")
    known = 0 if row is None else row[column]
    if sequence <= known:
        folded.repeated += 1
        return None
    folded.missing += sequence - known - 1
    return sequence

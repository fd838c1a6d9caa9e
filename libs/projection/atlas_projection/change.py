"""An event on its way to its row."""

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any, NamedTuple

from atlas_contracts.events import Meta
from atlas_readmodel.columns.column_types import ColumnType
from atlas_readmodel.documents import Documents

from atlas_projection.projection import Handler, Projection, Value

Key = tuple[Any, ...]


class Change(NamedTuple):
    """An event, the row it changes and the handler that says how."""

    key: Key
    handler: Handler
    value: Value
    meta: Meta


def key_getter(projection: Projection) -> Callable[[Value, Meta], Key]:
    """A function from an event to the key of its row, in the order of `Table.primary_key`."""
    getter, held = _key_getter(projection), key_form(projection)
    return getter if held is None else lambda value, meta: held(getter(value, meta))


def keys_getter(projection: Projection) -> Callable[[Sequence[Value], int], Iterable[Key]]:
    """The same for many events of one partition: a function from these and its number."""
    getter, held = _keys_getter(projection), key_form(projection)
    return getter if held is None else lambda values, partition: map(held, getter(values, partition))


def key_form(projection: Projection) -> Callable[[Key], Key] | None:
    """A function from a key as an event has it to the one that its row holds; None where these are the same.

    What can't be a value of its column stays as it is: what is wrong with it is said where its row is looked for.
    """
    if isinstance(projection.table, Documents):
        return None
    columns = [projection.table.column_types[name] for name in projection.table.primary_key]
    if all(column.take is None for column in columns):
        return None

    return lambda key: tuple(map(as_held, key, columns))


def as_held(value: Any, column: ColumnType) -> Any:
    """What a row holds of a value; one that its column can't have stays as it is."""
    if column.take is None or value is None:
        return value
    try:
        return column.take(value)
    except (ValueError, OverflowError, RecursionError):
        return value


def _key_getter(projection: Projection) -> Callable[[Value, Meta], Key]:
    fields = itemgetter(*projection.key)
    single = len(projection.key) == 1
    if projection.table.per_partition:
        if single:
            return lambda value, meta: (fields(value), meta.partition)
        return lambda value, meta: (*fields(value), meta.partition)
    if single:
        return lambda value, _meta: (fields(value),)
    return lambda value, _meta: fields(value)


def _keys_getter(projection: Projection) -> Callable[[Sequence[Value], int], Iterable[Key]]:
    fields = itemgetter(*projection.key)
    single = len(projection.key) == 1
    if projection.table.per_partition:
        if single:
            return lambda values, partition: zip(map(fields, values), repeat(partition), strict=False)
        return lambda values, partition: [(*fields(value), partition) for value in values]
    if single:
        return lambda values, _partition: zip(map(fields, values), strict=True)
    return lambda values, _partition: map(fields, values)

"""An event on its way to its row."""

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any, NamedTuple

from atlas_contracts.events import Meta

from atlas_projector.projection import Handler, Projection, Value

Key = tuple[Any, ...]


class Change(NamedTuple):
    """An event, the row it changes and the handler that says how."""

    key: Key
    handler: Handler
    value: Value
    meta: Meta


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


def keys_getter(projection: Projection) -> Callable[[Sequence[Value], int], Iterable[Key]]:
    """The same for many events of one partition: a function from these and its number."""
    fields = itemgetter(*projection.key)
    single = len(projection.key) == 1
    if projection.table.per_partition:
        if single:
            return lambda values, partition: zip(map(fields, values), repeat(partition), strict=False)
        return lambda values, partition: [(*fields(value), partition) for value in values]
    if single:
        return lambda values, _partition: zip(map(fields, values), strict=True)
    return lambda values, _partition: map(fields, values)

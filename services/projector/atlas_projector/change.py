"""An event on its way to its row."""

from collections.abc import Callable
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

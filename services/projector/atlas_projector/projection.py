"""What a projection is: a read model, and pure functions that say how events change its rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from atlas_contracts.events import Meta
from atlas_readmodel.table import ReadModel, Table

Row = dict[str, Any]
Value = dict[str, Any]
Handler = Callable[[Row | None, Value, Meta], Row | None]


class Rejected(Exception):
    """A handler can't take this event: it goes to the dead-letter topic with this reason, the rest goes on."""


@dataclass(frozen=True, kw_only=True)
class Projection:
    """A read model `name`, filled from `topics` by `handlers` (by event type; other types are passed over).

    A handler gets the row as it is (None: there is none) and answers the row as it will be (None: delete it; the very
    same object: no change). It must not change its arguments, look at a clock or do I/O, and may raise Rejected.
    `key` names the fields of the event that find the row; the table's key columns have the same names.

    Raise `version` whenever the table or what a handler does changes: the projector then builds a new generation.

    `versioned`: the column that holds the entity's version (`ce_sequence`). It is set by the projector, a repeated
    event is ignored by it and a missing one is counted.
    `replaces`: no handler looks at the row, so it need not be read.
    `cached`: readers cache rows of this projection by their key.
    """

    name: str
    version: int
    topics: tuple[str, ...]
    table: Table
    handlers: Mapping[str, Handler]
    versioned: str | None = None
    replaces: bool = False
    cached: bool = False

    def __post_init__(self) -> None:
        _ = self.model  # checks the names
        if self.versioned is not None and (self.versioned not in self.table.columns or self.replaces):
            raise ValueError("`versioned` names a column of the table, and its rows are read")
        if self.cached and (len(self.table.key) != 1 or self.table.per_partition):
            raise ValueError("only rows with a key of one column can be cached")

    @property
    def key(self) -> tuple[str, ...]:
        """The fields of an event that find its row."""
        return self.table.key

    @property
    def model(self) -> ReadModel:
        """The read model as PostgreSQL knows it."""
        return ReadModel(self.name, self.version, self.topics, self.table)

"""What a projection is: a read model, and pure functions that say how events change its rows."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from atlas_contracts.events import Meta
from atlas_readmodel.documents import DocumentModel, Documents
from atlas_readmodel.table import ReadModel, Table

from atlas_projection.reads import Reads

Row = dict[str, Any]
Value = dict[str, Any]
Handler = Callable[[Row | None, Value, Meta], Row | None]


class Rejected(Exception):
    """A handler can't take this event: it is set aside with this reason, the rest goes on."""


@dataclass(frozen=True)
class Owner:
    """A table of state: `table` as schema.name; in `names` its column by that of the read model, where they differ.

    `columns` may be fewer than the read model has; None stands for all of them. They are compared as text, and only
    where the read model is a table too, not documents.
    """

    table: str
    names: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Projection:
    """A read model `name`, filled from `topics` by `handlers` (by event type; other types are passed over).

    A handler gets the row as it is (None: there is none) and answers the row as it will be (None: delete it; the very
    same object: no change). It must not change its arguments, look at a clock or do I/O, and may raise Rejected.
    `table.key` names the fields of the event that find the row. With a `Table` the rows are in PostgreSQL, with
    `Documents` in Redis and nowhere else; all else is the same.

    Raise `version` whenever the table or what a handler does changes: the projector then builds a new generation.

    `each`: for events that change several rows, or a row whose key is not in the event as it stands (a time window,
    see `windows`): what each of the rows is given as its event. All of them change, or none.
    `versioned`: the column of integers that holds the entity's version (`ce_sequence`). It is set by the projector; a
    repeated event is ignored by it, and one that comes before an earlier one waits for that. Only for topics whose
    `source` is `outbox`: the projector does not start otherwise, because anybody could give such an event its version.
    `replaces`: no handler looks at the row, so it need not be read.
    `owner`: the table whose rows the events tell of, so that `atlas compare` can hold the read model against it.
    `cached`: readers cache rows of this projection by their key.
    `reads`: how the gateway serves it; without, a context has queries of its own, or nobody reads it over HTTP.
    """

    name: str
    version: int
    topics: tuple[str, ...]
    table: Table | Documents
    handlers: Mapping[str, Handler]
    each: Callable[[Value, Meta], Iterable[Value]] | None = None
    versioned: str | None = None
    owner: Owner | None = None
    replaces: bool = False
    cached: bool = False
    reads: Reads | None = None

    def __post_init__(self) -> None:
        _ = self.model  # checks the names
        stated = isinstance(self.table, Documents) or self.versioned in self.table.columns
        if self.versioned is not None and (not stated or self.replaces or self.each):
            raise ValueError("`versioned` names a column of the table, its rows are read, and an event has one row")
        if self.cached and (len(self.table.key) != 1 or self.table.per_partition or isinstance(self.table, Documents)):
            raise ValueError("only rows of a table with a key of one column can be cached")

    @property
    def key(self) -> tuple[str, ...]:
        """The fields of an event that find its row."""
        return self.table.key

    @property
    def ordered(self) -> bool:
        """Whether the order of a record key's events matters: not where each partition adds up what it sees."""
        return not self.table.per_partition

    @cached_property
    def last_version(self) -> int | None:
        """The greatest version that the column `versioned` holds; None where rows have no version."""
        if self.versioned is None:
            return None
        whole = None if isinstance(self.table, Documents) else self.table.check()
        return next(
            last
            for bits in (63, 31, 15)
            if (last := 2**bits - 1) and (whole is None or whole.wrong_in(self.versioned, last) is None)
        )

    @property
    def take(self) -> Callable[[Any], Any] | None:
        """From a row as a handler makes it to the row as it is held, or ValueError; None where these are the same."""
        return None if isinstance(self.table, Documents) else self.table.taker

    @property
    def model(self) -> ReadModel | DocumentModel:
        """The read model as the place that keeps it knows it."""
        if isinstance(self.table, Documents):
            return DocumentModel(self.name, self.version, self.topics, self.table)
        return ReadModel(self.name, self.version, self.topics, self.table)

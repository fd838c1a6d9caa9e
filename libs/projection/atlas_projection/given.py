"""Given some events, when one more comes, then the row is: tests of a projection without any I/O.

    given(ORDERS).events(placed).when(changed).then({"order_id": "o1", "total": 7})

An event is `event("orders.OrderPlaced", order_id="o1", …, sequence=1)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self

from atlas_contracts.events import Meta
from atlas_readmodel.documents import Documents
from atlas_readmodel.table import OFFSET_COLUMN, PARTITION_COLUMN

from atlas_projection.change import Change, Key, as_held, key_form, key_getter
from atlas_projection.checks import RowChecks
from atlas_projection.fold import Folded, fold, plainly
from atlas_projection.projection import Projection, Row, Value
from atlas_projection.waiting import Waiting


@dataclass(frozen=True, slots=True)
class Given:
    """An event as a test states it."""

    type: str
    value: Value
    partition: int = 0
    sequence: int | None = None


def event(event_type: str, /, *, partition: int = 0, sequence: int | None = None, **value: Any) -> Given:
    """An event of this type; `sequence` is its ce_sequence."""
    return Given(event_type, value, partition, sequence)


@dataclass
class Scenario:
    """The rows of a projection as events come; each step returns itself."""

    projection: Projection
    rows: dict[Key, Row] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)
    repeated: int = 0
    missing: int = 0
    reordered: int = 0
    waiting: Waiting = field(init=False)
    _offsets: "count[int]" = field(default_factory=count)

    def __post_init__(self) -> None:
        self.waiting = Waiting(self.projection.ordered, last_version=self.projection.last_version)

    def events(self, *events: Given) -> Self:
        """Fold the events as one batch; those of one key have the same record key."""
        key_of, each = key_getter(self.projection), self.projection.each
        checks, document = RowChecks(self.projection), isinstance(self.projection.table, Documents)
        changes = []
        for given_event in events:
            handler = self.projection.handlers.get(given_event.type)
            if handler is not None:
                if document and not _has_json(given_event.value):
                    handler = plainly(handler)
                handler = checks.checked(handler)
                meta = self._meta(given_event)
                parts = [given_event.value] if each is None else each(given_event.value, meta)
                changes += [Change(key_of(part, meta), handler, part, meta) for part in parts]
        return self._take(fold(self.projection, changes, self.rows.get, self.waiting))

    def waited_long_enough(self) -> Self:
        """Events that came before an earlier version of their entity wait for it no longer."""
        early = [change for changes in self.waiting.early.values() for change in changes]
        early.sort(key=lambda change: change.meta.sequence or 0)
        self.waiting.early.clear()
        return self._take(fold(self.projection, early, self.rows.get, self.waiting, accept=True))

    def _take(self, folded: Folded) -> Self:
        for key, row in folded.rows.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        self.rejected += [reason for _meta, reason in folded.rejected]
        self.repeated += folded.repeated
        self.missing += folded.missing
        self.reordered += folded.reordered
        return self

    when = events

    def then(self, expected: Mapping[str, Any] | None, *key: Any) -> Self:
        """The row of `key` has the expected columns (others are not looked at); None: there is no such row.

        Without a key, the only row there is. What is expected of a column may be in any form that a handler may give.
        """
        row = self.row(*key)
        if expected is None or row is None:
            assert row is expected, f"expected {expected}, the row is {row}"
            return self
        actual = {column: row.get(column, "no such column") for column in expected}
        wanted = self._held(expected)
        # A number that is none is not equal to itself.
        same = all(actual[name] == wanted[name] or repr(actual[name]) == repr(wanted[name]) for name in wanted)
        assert same, f"expected {wanted}, the row has {actual}"
        return self

    def row(self, *key: Any) -> Row | None:
        """The row of a key without the columns every table has; of one kept by partition, the key ends with it."""
        if not key:
            assert len(self.rows) <= 1, f"say which row: {list(self.rows)}"
            key = next(iter(self.rows), ())
        held = key_form(self.projection)
        row = self.rows.get(key if held is None else held(key))
        if row is None:
            return None
        return {name: row[name] for name in row if name not in (OFFSET_COLUMN, PARTITION_COLUMN)}

    def _held(self, expected: Mapping[str, Any]) -> dict[str, Any]:
        table = self.projection.table
        types = {} if isinstance(table, Documents) else table.column_types
        return {name: as_held(value, types[name]) if name in types else value for name, value in expected.items()}

    def _meta(self, given_event: Given) -> Meta:
        headers = [("ce_type", given_event.type.encode())]
        if given_event.sequence is not None:
            headers.append(("ce_sequence", str(given_event.sequence).encode()))
        return Meta(
            topic=self.projection.topics[0],
            partition=given_event.partition,
            offset=next(self._offsets),
            timestamp_ms=0,
            # As on the topics, whose key is the first field of their events.
            key=repr(next(iter(given_event.value.values()), None)).encode(),
            headers=headers,
        )


def _has_json(value: Any) -> bool:
    """Whether JSON has all that is in it."""
    if isinstance(value, dict):
        return all(map(_has_json, value.values()))
    if type(value) is list:
        return all(map(_has_json, value))
    return type(value) in (str, int, bool, type(None))


def given(projection: Projection) -> Scenario:
    """A projection without rows."""
    return Scenario(projection)

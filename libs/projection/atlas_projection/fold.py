"""Events folded into rows, in memory: no I/O, the same code live, in a rebuild and in tests."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from atlas_contracts.events import Meta
from atlas_readmodel.documents import plain_row
from atlas_readmodel.table import OFFSET_COLUMN, PARTITION_COLUMN
from atlas_readmodel.waiting.parking import Place

from atlas_projection.change import Change, Key
from atlas_projection.projection import Handler, Projection, Rejected, Row, Value
from atlas_projection.waiting import Waiting, place_of

RowBefore = Callable[[Key], Row | None]
NO_SEQUENCE = "it has no ce_sequence header, so its place in the entity's history is unknown"
NO_VERSION = "its ce_sequence header is {found}, expected a version up to {last}, so it is no part of a history"


@dataclass(slots=True)
class Folded:
    """What some events come to: the rows that changed (None: deleted), what has to wait, counts.

    `rejected`: no handler took it. `behind`: a record of its key waits already. `early`: a version before it is
    missing. `accepted`: taken without the versions before it. `released`: those of earlier calls that waited and were
    handled now.
    """

    rows: dict[Key, Row | None] = field(default_factory=dict)
    rejected: list[tuple[Meta, str]] = field(default_factory=list)
    behind: list[Meta] = field(default_factory=list)
    early: list[Meta] = field(default_factory=list)
    accepted: list[tuple[Meta, str]] = field(default_factory=list)
    released: list[Place] = field(default_factory=list)
    applied: int = 0
    repeated: int = 0
    missing: int = 0
    reordered: int = 0


def fold(
    projection: Projection,
    changes: Iterable[Change],
    row_before: RowBefore,
    waiting: Waiting,
    *,
    accept: bool = False,
) -> Folded:
    """Run the handlers over the events in order; `row_before` gives the row of a key as it was before all of them.

    With `accept`, no event waits for the versions before it. Notes in `waiting` which keys have records that wait.
    Whatever a handler raises or returns is its record's; only MemoryError is raised, and what a key raises that can't
    be one. `waiting` is then good for nothing.
    """
    folder = _Folder(projection, row_before, waiting)
    if projection.versioned is not None:
        folder.versioned(changes, projection.versioned, accept)
    elif projection.each is not None:
        folder.several(changes)
    else:
        folder.plain(changes)
    return folder.folded


class _Folder:
    """One fold under way."""

    def __init__(self, projection: Projection, row_before: RowBefore, waiting: Waiting) -> None:
        self._projection = projection
        self._row_before = row_before
        self._waiting = waiting
        self._per_partition = projection.table.per_partition
        self._take = projection.take
        self.folded = Folded()

    def plain(self, changes: Iterable[Change]) -> None:
        folded, row_before, blocked = self.folded, self._row_before, self._waiting.blocked
        rows, per_partition, take = folded.rows, self._per_partition, self._take
        applied = 0
        for key, handler, value, meta in changes:
            if blocked and self._is_behind(meta):
                continue
            row = rows[key] if key in rows else row_before(key)
            try:
                after = handler(row, value, meta)
                if after is not row and after is not None:
                    if take is not None:
                        after = taken(take, after)
                    after[OFFSET_COLUMN] = meta.offset
                    if per_partition:
                        after[PARTITION_COLUMN] = meta.partition
            except Exception as error:  # noqa: BLE001 - becomes its fate
                self._failed(meta, error)
                continue
            applied += 1
            if after is not row:
                rows[key] = after
        folded.applied += applied

    def several(self, changes: Iterable[Change]) -> None:
        """As plain, but the changes of one record are made together or not at all."""
        whole, row_before = self.folded, self._row_before
        for _, of_record in groupby(changes, key=lambda change: place_of(change.meta)):
            group = list(of_record)
            self.folded = Folded()
            self._row_before = lambda key: whole.rows[key] if key in whole.rows else row_before(key)
            self.plain(group)
            part, self.folded = self.folded, whole
            whole.behind += part.behind[:1]
            whole.rejected += part.rejected[:1]
            if not part.rejected and not part.behind:
                whole.rows.update(part.rows)
                whole.applied += 1

    def versioned(self, changes: Iterable[Change], column: str, accept: bool) -> None:
        """As plain, for rows that carry their entity's version."""
        folded, waiting = self.folded, self._waiting
        rows, row_before = folded.rows, self._row_before
        last = self._projection.last_version or 0
        for change in changes:
            key, meta = change.key, change.meta
            if waiting.blocked and self._is_behind(meta):
                continue
            row = rows[key] if key in rows else row_before(key)
            sequence = meta.sequence
            if sequence is None:
                self._failed(meta, Rejected(NO_SEQUENCE))
                continue
            if sequence > last:
                self._failed(meta, Rejected(NO_VERSION.format(found=sequence, last=last)))
                continue
            known = 0 if row is None else row[column]
            if sequence <= known:
                folded.repeated += 1
                continue
            if sequence > known + 1:
                if accept:
                    folded.accepted.append((meta, f"versions {known + 1} to {sequence - 1} never came"))
                elif waiting.waits(meta):
                    waiting.add_early(change)
                    folded.early.append(meta)
                    continue
                folded.missing += sequence - known - 1
            if self._step(change, row, column, sequence) and waiting.early:
                self._catch_up(change, column)

    def _step(self, change: Change, row: Row | None, column: str, version: int) -> bool:
        key, handler, value, meta = change
        try:
            after = handler(row, value, meta)
            if after is not None:
                if after is row:
                    after = dict(after)
                elif self._take is not None:
                    after = taken(self._take, after)
                after[OFFSET_COLUMN] = meta.offset
                after[column] = version
        except Exception as error:  # noqa: BLE001 - becomes its fate
            self._failed(meta, error)
            return False
        self.folded.applied += 1
        self.folded.rows[key] = after
        return True

    def _catch_up(self, change: Change, column: str) -> None:
        """Handle the events of this entity that came early and are next now."""
        folded = self.folded
        for early in self._waiting.early_of(change.meta):
            row = folded.rows[change.key]
            known = 0 if row is None else row[column]
            sequence = early.meta.sequence or 0
            if sequence > known + 1:
                break
            self._waiting.drop_early(early)
            if sequence <= known:
                folded.repeated += 1
            elif self._step(early, row, column, sequence):
                folded.reordered += 1
            else:
                break  # it waits on, as one that can't be handled
            folded.released.append(place_of(early.meta))

    def _is_behind(self, meta: Meta) -> bool:
        if not self._waiting.blocks(meta):
            return False
        self.folded.behind.append(meta)
        return True

    def _failed(self, meta: Meta, error: Exception) -> None:
        """Note what a handler can't take, and why."""
        self.folded.rejected.append((meta, why_not(error)))
        self._waiting.block(meta)


def taken(take: Callable[[Any], Any], row: Any) -> Any:
    """The row as it is held. Raises Rejected with column and value where it can't be."""
    try:
        return take(row)
    except ValueError as error:
        raise Rejected(str(error)) from None


def plainly(handler: Handler) -> Handler:
    """The same for a document: its row with each value as JSON has it."""

    def plain(row: Row | None, event: Value, meta: Meta) -> Row | None:
        after = handler(row, event, meta)
        return after if after is None or after is row else taken(plain_row, after)

    return plain


def why_not(error: Exception) -> str:
    """In words why a record can't be handled. MemoryError is the process's fault, so it is raised."""
    if isinstance(error, MemoryError):
        raise error
    if isinstance(error, Rejected):
        return str(error)
    if error.__traceback__ is not None and error.__traceback__.tb_next is None:
        return f"its handler returned no row, expected a dict or None: {error}"  # raised here, not by the handler
    return f"its handler failed: {type(error).__name__}: {error}"

"""Finding the one record that many failed for.

Records are written together. Where that is refused for what one of them holds, they are done again in halves, those
that can be written at the speed of batches, until the one is left that can't; and before that each row is looked at
here, so that most such records are found without a round trip.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from aiokafka import TopicPartition
from atlas_errors.policy import is_over_content
from atlas_projection.change import Change, Key
from atlas_projection.checks import RowChecks
from atlas_projection.projection import Projection
from atlas_projection.waiting import Waiting, place_of
from atlas_readmodel.columns.row_check import shown
from atlas_readmodel.documents import Documents, field_of
from atlas_readmodel.waiting.parking import Place

from atlas_projector.apply.decoding import Decoded

T = TypeVar("T")
# Records looked at one by one after one that was refused: such records seldom come alone.
CAREFUL_RECORDS = 5_000


async def bisect(
    items: Sequence[T],
    attempt: Callable[[Sequence[T]], Awaitable[None]],
    condemn: Callable[[T, Exception], Awaitable[None]],
    learn: Callable[[], Awaitable[bool]] | None = None,
) -> None:
    """Attempt the items in order, all of them or, where their content is refused, half by half; condemn single ones.

    An attempt that raises must have changed nothing. Other errors are raised. `learn` is called after the first that
    fails: whether it is known now what was wrong, so that another attempt at all of them may go well.
    """
    if not items:
        return
    try:
        await attempt(items)
    except Exception as error:
        if not is_over_content(error):
            raise
        if len(items) == 1:
            await condemn(items[0], error)
            return
        if learn is not None and await learn():
            await bisect(items, attempt, condemn)
            return
        half = len(items) // 2
    else:
        return
    await bisect(items[:half], attempt, condemn)
    await bisect(items[half:], attempt, condemn)


class Doubts:
    """Up to which offsets records are applied carefully."""

    def __init__(self) -> None:
        self._until: dict[TopicPartition, int] = {}
        self._begun_at: Mapping[TopicPartition, int] | None = None

    def begin(self, durable: Mapping[TopicPartition, int], expected: Mapping[TopicPartition, int]) -> bool:
        """From what is durable up to some way behind what was taken. False if nothing has become durable since the
        last time, so that care does not help.
        """
        if self._begun_at == durable:
            return False
        self._begun_at = dict(durable)
        for tp, offset in expected.items():
            self.further(tp, offset)
        return True

    def further(self, tp: TopicPartition, offset: int) -> None:
        """Some way behind this offset too."""
        self._until[tp] = max(offset + CAREFUL_RECORDS, self._until.get(tp, 0))

    def covers(self, tp: TopicPartition, offset: int) -> bool:
        """Whether the record there is applied carefully."""
        return offset < self._until.get(tp, 0)


class Checks:
    """Looks at keys and rows before they get to a server, as far as their types are known here."""

    def __init__(self, projection: Projection) -> None:
        self._versioned = projection.versioned
        self._key = projection.key
        table = projection.table
        self._table = None if isinstance(table, Documents) else table
        self._rows = RowChecks(projection)
        self._whole = None if isinstance(table, Documents) else table.check()
        # The one record that touched a key, None where there were several, when these were last looked at.
        self._touched: dict[Key, Place | None] = {}
        self._refused: dict[Place, str] = {}

    def look_at(self, decoded: Decoded, waiting: Waiting) -> None:
        """Make poison of events whose key can't be one; have the handlers of the others looked at."""
        changes: list[Change] = []
        unfit: dict[Place, str] = {}
        self._touched = {}
        for change in decoded.changes:
            if (reason := self._refused.get(place_of(change.meta)) or self._unfit(change)) is not None:
                unfit.setdefault(place_of(change.meta), reason)
            else:
                changes.append(change._replace(handler=self._rows.checked(change.handler)))
                place = place_of(change.meta)
                alone = self._touched.setdefault(change.key, place) == place and not waiting.early_of(change.meta)
                self._touched[change.key] = place if alone else None
        for change in decoded.changes:
            if (found := unfit.pop(place_of(change.meta), None)) is not None:
                decoded.poison.append((change.meta, found))
                waiting.block(change.meta)
        bad = {place_of(meta) for meta, _ in decoded.poison}
        decoded.changes = [change for change in changes if place_of(change.meta) not in bad]

    def learn(self, refused: Mapping[Key, str]) -> bool:
        """From now on the records that alone touched these keys, when some were last looked at, are poison. False where
        there are none.
        """
        self._refused = {place: why for key, why in refused.items() if (place := self._touched.get(key)) is not None}
        return bool(self._refused)

    def forget(self) -> None:
        """What was learned."""
        self._refused = {}

    def _unfit(self, change: Change) -> str | None:
        if self._versioned is not None and self._whole is not None and change.meta.sequence is not None:
            reason = self._whole.wrong_in(self._versioned, change.meta.sequence)
            if reason is not None:
                return reason
        try:
            hash(change.key)
            if self._table is None:
                field_of(change.key)
        except (TypeError, ValueError, RecursionError) as error:
            return f"{', '.join(self._key)}: {error}, found {shown(change.key)}"
        if self._whole is None:
            return None
        for name, value in zip(self._key, change.key, strict=False):
            if (reason := self._whole.wrong_in(name, value)) is not None:
                return reason
            if value is None:
                return f"column {name}: a key must not be null"
        return None

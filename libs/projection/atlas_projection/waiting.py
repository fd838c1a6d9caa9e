"""Which records wait, kept in memory beside the rows: what the table `readmodel.parked` says, ready to be asked.

A record that can't be handled blocks its key: later ones of that key wait behind it. A record that comes before an
earlier version of its entity waits for that, so long as `EARLY_WAIT_S`; then it is taken as it is, and the versions
that never came are counted as missing.
"""

import time
from collections.abc import Mapping
from copy import copy

from atlas_contracts.events import Meta
from atlas_readmodel.waiting.parking import Decision, Place

from atlas_projection.change import Change

# Longer than a relay or a producer is away in a restart, shorter than anyone looks at a stale row without wondering.
EARLY_WAIT_S = 30.0
# Early events are held decoded: some 2 KB each. Above this the oldest are taken as they are.
EARLY_MAX = 5_000
# What a record is set aside for that was decided about before and is not read again.
UNREAD = "it is not read: the process died over it"
KNOWN = "the live projection set it aside"

Entity = tuple[str, int, bytes | None]


def place_of(meta: Meta) -> Place:
    """Topic, partition, offset."""
    return meta[:3]


class Waiting:
    """What waits in one generation.

    `ordered`: whether a record blocks the later ones of its key. `last_version`: only those do that carry a version of
    their entity, up to this one. One without is no part of the entity's history and blocks nobody; should it have been
    one after all, the next has a version that is ahead and waits for that reason.

    Of what was decided before, records that were dropped, stepped over or left unread are not read; with `strict` those
    that were set aside are not either, as what comes to light about a record may depend on the records around it.
    """

    def __init__(
        self, ordered: bool, rulings: Mapping[Place, Decision] | None = None, *,
        reasons: Mapping[Place, str] | None = None, last_version: int | None = None, strict: bool = False,
    ) -> None:  # fmt: skip
        self._ordered = ordered
        self._last_version = last_version
        self._rulings = dict(rulings or {})
        self._unread: dict[tuple[str, int], dict[int, str | None]] = {}
        for place, decision in self._rulings.items():
            self._not_read(place, decision, strict, (reasons or {}).get(place))
        # The offset of the first record that waits; those before it were handled.
        self.blocked: dict[Entity, int] = {}
        self.early: dict[Entity, list[Change]] = {}
        self._since: dict[Place, float] = {}

    def copy(self) -> "Waiting":
        """The same, to go back to."""
        twin = copy(self)
        twin.blocked = dict(self.blocked)
        twin.early = {entity: list(changes) for entity, changes in self.early.items()}
        twin._since = dict(self._since)
        return twin

    def step_over(self, place: Place) -> None:
        """From now on this record is not read."""
        if self._rulings.get(place) is not Decision.SKIPPED:
            self._rulings[place] = Decision.SKIPPED
            self._not_read(place, Decision.SKIPPED)

    def leave_unread(self, place: Place, reason: str) -> None:
        """From now on this record is set aside as it is."""
        self._rulings[place] = Decision.UNREAD
        self._not_read(place, Decision.UNREAD, reason=reason)

    def read_again(self, place: Place) -> None:
        """Whatever was decided about this record: it is read."""
        self._unread.get(place[:2], {}).pop(place[2], None)

    def unread_in(self, partition: tuple[str, int], first: int, last: int) -> Mapping[int, str | None]:
        """The records of a run that are not read: of each why it is set aside, or None where it is passed over."""
        known = self._unread.get(tuple(partition)) if self._unread else None  # type: ignore[arg-type]
        if not known:
            return {}
        if len(known) < last - first:
            return {offset: reason for offset, reason in known.items() if first <= offset <= last}
        return {offset: known[offset] for offset in range(first, last + 1) if offset in known}

    def _not_read(self, place: Place, decision: Decision, strict: bool = False, reason: str | None = None) -> None:
        if decision in (Decision.DROPPED, Decision.SKIPPED):
            self._unread.setdefault(place[:2], {})[place[2]] = None
        elif decision is Decision.UNREAD or (strict and decision is Decision.SET_ASIDE):
            self._unread.setdefault(place[:2], {})[place[2]] = reason or (
                UNREAD if decision is Decision.UNREAD else KNOWN
            )

    def blocks(self, meta: Meta) -> bool:
        """Whether a record of this key waits that has to be handled first."""
        first = self.blocked.get(_entity(meta))
        return first is not None and meta.offset > first

    def block(self, meta: Meta) -> None:
        """From now on records of this key wait; nothing without a key or an order does, nor behind what is no part of
        the entity's history.
        """
        if not self._ordered or meta.key is None or not self._in_a_history(meta):
            return
        if self.ruling(place_of(meta)) is not Decision.DROPPED:
            entity = _entity(meta)
            self.blocked[entity] = min(meta.offset, self.blocked.get(entity, meta.offset))

    def _in_a_history(self, meta: Meta) -> bool:
        return self._last_version is None or ((version := meta.sequence) is not None and version <= self._last_version)

    def unblock(self, meta: Meta) -> None:
        """Records of this key are handled again."""
        self.blocked.pop(_entity(meta), None)

    def ruling(self, place: Place) -> Decision | None:
        """What was decided about this record before."""
        return self._rulings.get(place)

    def waits(self, meta: Meta) -> bool:
        """Whether this event, whose entity is not that far yet, should wait."""
        return meta.key is not None and self.ruling(place_of(meta)) is not Decision.ACCEPTED

    def add_early(self, change: Change, since: float | None = None) -> None:
        """This event waits for the ones before it; `since` is a monotonic time."""
        self.early.setdefault(_entity(change.meta), []).append(change)
        self._since[place_of(change.meta)] = time.monotonic() if since is None else since

    def early_of(self, meta: Meta) -> list[Change]:
        """The early events of this record's key, in the order of their versions."""
        return sorted(self.early.get(_entity(meta), ()), key=lambda change: change.meta.sequence or 0)

    def take_early(self, meta: Meta) -> list[Change]:
        """The early events of this record's key, which wait no longer."""
        found = self.early_of(meta)
        for change in found:
            self.drop_early(change)
        return found

    def drop_early(self, change: Change) -> None:
        """This one waits no longer."""
        entity = _entity(change.meta)
        rest = [other for other in self.early[entity] if other is not change]
        if rest:
            self.early[entity] = rest
        else:
            del self.early[entity]
        self._since.pop(place_of(change.meta), None)

    def is_early(self, meta: Meta) -> bool:
        """Whether it still waits for the ones before it."""
        return place_of(meta) in self._since

    def forget_early(self, place: Place) -> None:
        """It waits no longer, if it does."""
        if place not in self._since:
            return
        for changes in list(self.early.values()):
            for change in changes:
                if place_of(change.meta) == place:
                    self.drop_early(change)

    def overdue(self) -> list[Change]:
        """The early events of every key that has waited long enough, or of the oldest where there are too many."""
        if not self._since:
            return []
        limit = time.monotonic() - EARLY_WAIT_S
        surplus = len(self._since) - EARLY_MAX
        late = {place for place, since in self._since.items() if since <= limit}
        if surplus > 0:
            late.update(sorted(self._since, key=self._since.__getitem__)[:surplus])
        found = []
        for changes in list(self.early.values()):
            if any(place_of(change.meta) in late for change in changes):
                found += self.early_of(changes[0].meta)
        return found


def _entity(meta: Meta) -> Entity:
    return (meta.topic, meta.partition, meta.key)

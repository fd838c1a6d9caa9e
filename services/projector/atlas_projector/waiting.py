"""Which records wait, kept in memory beside the rows: what the table `readmodel.parked` says, ready to be asked.

A record that can't be handled blocks its key: later ones of that key wait behind it. A record that comes before an
earlier version of its entity waits for that, so long as `EARLY_WAIT_S`; then it is taken as it is, and the versions
that never came are counted as missing.
"""

import time
from collections.abc import Mapping

from atlas_contracts.events import Meta
from atlas_readmodel.parking import Decision, Place

from atlas_projector.change import Change

# Longer than a relay or a producer is away in a restart, shorter than anyone looks at a stale row without wondering.
EARLY_WAIT_S = 30.0
# Early events are held decoded: some 2 KB each. Above this the oldest are taken as they are.
EARLY_MAX = 5_000
# A handler that fails for another reason than the event itself gets better in a restart; after this many it does not.
ATTEMPTS_MAX = 3

Entity = tuple[str, int, bytes | None]


def place_of(meta: Meta) -> Place:
    """Topic, partition, offset."""
    return meta[:3]


class Waiting:
    """What waits in one generation.

    `ordered`: whether a record blocks the later ones of its key. `versioned`: only those do that carry their entity's
    version. One without is no part of the entity's history and blocks nobody; should it have been one after all, the
    next has a version that is ahead and waits for that reason.
    """

    def __init__(
        self,
        ordered: bool,
        rulings: Mapping[Place, Decision] | None = None,
        failures: Mapping[Place, int] | None = None,
        *,
        versioned: bool = False,
    ) -> None:
        self._versioned = versioned
        self._ordered = ordered
        self._rulings = dict(rulings or {})
        self._failures = {place: count for place, count in (failures or {}).items() if count >= ATTEMPTS_MAX}
        # The offset of the first record that waits; those before it were handled.
        self.blocked: dict[Entity, int] = {}
        self.early: dict[Entity, list[Change]] = {}
        self._since: dict[Place, float] = {}

    def blocks(self, meta: Meta) -> bool:
        """Whether a record of this key waits that has to be handled first."""
        first = self.blocked.get(_entity(meta))
        return first is not None and meta.offset > first

    def block(self, meta: Meta) -> None:
        """From now on records of this key wait: those after one that has a key, an order and, if need be, a version."""
        if self._versioned and meta.sequence is None:
            return
        if self._ordered and meta.key is not None and self.ruling(place_of(meta)) is not Decision.DROPPED:
            entity = _entity(meta)
            self.blocked[entity] = min(meta.offset, self.blocked.get(entity, meta.offset))

    def unblock(self, meta: Meta) -> None:
        """Records of this key are handled again."""
        self.blocked.pop(_entity(meta), None)

    def ruling(self, place: Place) -> Decision | None:
        """What was decided about this record before."""
        return self._rulings.get(place)

    def given_up(self, meta: Meta) -> int | None:
        """How often its handler failed, if that was often enough."""
        return self._failures.get(place_of(meta))

    def give_up(self, place: Place, attempts: int) -> None:
        """Whatever its handler raises from now on sets it aside."""
        self._failures[place] = attempts

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

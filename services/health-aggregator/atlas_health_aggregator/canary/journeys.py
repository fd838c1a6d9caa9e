"""Which canaries are on their way, how far each has come, and what has become of those that did not arrive. No I/O.

A canary is lost only where somebody looked for it when its time was over, was answered, and did not find it. Where
nobody answered it is not known where it is: it has failed. One that is on its way when the process ends is neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

COMMAND, EVENT, ARCHIVE = "command", "event", "archive"
ACCEPTED, ON_TOPIC, PROJECTED, VISIBLE, ARCHIVED = "accepted", "on_topic", "projected", "visible", "archived"
_TO_A_QUERY = (ACCEPTED, ON_TOPIC, PROJECTED, VISIBLE)
# The stages of each way, in order. To the archive goes what was posted as an event, from when it is on its topic.
STAGES: Mapping[str, tuple[str, ...]] = {COMMAND: _TO_A_QUERY, EVENT: _TO_A_QUERY, ARCHIVE: (ARCHIVED,)}
# For so long after a canary's time is over somebody may still answer whether it is there.
UNANSWERED_S = 30.0


class Place(NamedTuple):
    """Where the record of a canary is."""

    topic: str
    partition: int
    offset: int


class Told(Protocol):
    """Hears what becomes of canaries; seconds are from when one was sent."""

    def reached(self, way: str, stage: str, seconds: float) -> None:
        """One has come to a stage."""

    def lost(self, way: str, stage: str) -> None:
        """One did not come to the stage in its time, as was seen."""

    def failed(self, way: str, stage: str) -> None:
        """What would have taken or shown one did not answer."""


@dataclass(slots=True)
class Journey:
    """A canary on its way. `stage` is the next one; nobody can have seen that before `since` (monotonic seconds)."""

    way: str
    number: int
    sent_at: float
    since: float
    at: int = 0
    place: Place | None = None

    @property
    def stage(self) -> str:
        return STAGES[self.way][self.at]

    @property
    def offset(self) -> int:
        """Of its record, once that is known; else -1."""
        return -1 if self.place is None else self.place.offset


@dataclass(slots=True)
class _Way:
    journeys: dict[int, Journey] = field(default_factory=dict)
    # By stage: when somebody last began to look for all that waited for it, and was answered.
    looked: dict[str, float] = field(default_factory=dict)


class Journeys:
    """All canaries of one sender. `within`: seconds from sending by when each stage has to be reached."""

    def __init__(self, within: Mapping[str, float], told: Told) -> None:
        self._within = within
        self._told = told
        self._ways = {way: _Way() for way in STAGES}

    def sent(self, way: str, number: int, at: float, *, since: float | None = None, place: Place | None = None) -> None:
        """One was sent at `at`; it can be looked for from `since` on."""
        self._ways[way].journeys[number] = Journey(way, number, at, at if since is None else since, place=place)

    def find(self, way: str, number: int) -> Journey | None:
        """The canary of this number, while it is on its way."""
        return self._ways[way].journeys.get(number)

    def reach(self, way: str, number: int, stage: str, now: float, place: Place | None = None) -> bool:
        """It is there, so it has come through the stages before too. False: it is not on its way, or was there."""
        journey, index = self.find(way, number), STAGES[way].index(stage)
        if journey is None or journey.at > index:
            return False
        for passed in STAGES[way][journey.at : index + 1]:
            self._told.reached(way, passed, max(0.0, now - journey.sent_at))
        journey.at, journey.since, journey.place = index + 1, now, place or journey.place
        if journey.at == len(STAGES[way]):
            del self._ways[way].journeys[number]
        return True

    def refused(self, way: str, number: int) -> None:
        """It was not accepted, as far as its sender knows; one that was seen on its topic all the same goes on."""
        journey = self.find(way, number)
        if journey is not None and journey.at == 0:
            self._failed(journey)

    def waiting(self, way: str, stage: str) -> list[Journey]:
        """Those whose next stage this is, the one sent first at the beginning."""
        return [journey for journey in self._ways[way].journeys.values() if journey.stage == stage]

    def looked(self, way: str, stage: str, began_at: float) -> None:
        """Whoever waits for the stage was looked for from `began_at` on, and is not there, unless it was reached."""
        self._ways[way].looked[stage] = began_at

    def overdue(self, way: str, stage: str, now: float) -> bool:
        """Whether somebody should look for those that wait for the stage, for the time of one is over."""
        return any(now >= self._due(journey) for journey in self.waiting(way, stage))

    def judge(self, now: float) -> None:
        """Give up those whose time is over: lost where that was seen, failed where nobody has answered for long."""
        for way in self._ways.values():
            for journey in list(way.journeys.values()):
                due = self._due(journey)
                if journey.stage == ACCEPTED or now < due:
                    continue  # whoever sends it bounds its answer
                if way.looked.get(journey.stage, 0.0) >= due:
                    del way.journeys[journey.number]
                    self._told.lost(journey.way, journey.stage)
                elif now >= due + UNANSWERED_S:
                    self._failed(journey)

    def _due(self, journey: Journey) -> float:
        """When a look for it proves something: its time is over, and it was where it could be seen from."""
        return max(journey.sent_at + self._within[journey.stage], journey.since)

    def _failed(self, journey: Journey) -> None:
        del self._ways[journey.way].journeys[journey.number]
        self._told.failed(journey.way, journey.stage)

    def forget(self) -> None:
        """Nobody follows those on their way any more."""
        self._ways = {way: _Way() for way in STAGES}

    def __len__(self) -> int:
        return sum(len(way.journeys) for way in self._ways.values())

"""What was sent to a mesh under hostile data, and what may become of each of it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

Place = tuple[str, int, int]  # topic, partition, offset


class End(StrEnum):
    """How a record on a topic may end."""

    DEAD = "dead-lettered"
    VISIBLE = "visible"
    UNREAD = "read by no projection"
    WAITED = "dead-lettered at first, and then visible"
    REPEATED = "taken for a repeat"


class Accepted(NamedTuple):
    """A hostile record that is on a topic. `row`: the key of the row it makes when it ends VISIBLE."""

    kind: str
    ends: frozenset[End]
    row: str | None = None


@dataclass
class Ledger:
    """Good and hostile input, each with its answer. `broken`: answers that nobody should get, with the input's kind."""

    hauls: set[str] = field(default_factory=set)
    yards: dict[str, int] = field(default_factory=dict)  # their version
    sent: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    accepted: dict[Place, Accepted] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    withheld: list[tuple[float, float]] = field(default_factory=list)  # when a hostile transaction was open, monotonic
    parked: set[bytes] = field(default_factory=set)  # keys of hostile rows of the outbox, each to be set aside

    @property
    def good_sent(self) -> int:
        """Good events that were acknowledged: a haul each, and each version of a yard."""
        return len(self.hauls) + sum(self.yards.values())

    def withheld_s(self, begun: float, ended: float) -> float:
        """How much of this time a hostile transaction was open: Kafka itself keeps from readers what comes after."""
        return sum(max(0.0, min(ended, until) - max(begun, since)) for since, until in self.withheld)

    @property
    def bad_sent(self) -> int:
        return self.sent.total()

    def refuse(self, kind: str, records: int = 1) -> None:
        """So many hostile inputs were answered with a refusal."""
        self.sent[kind] += records
        self.refused[kind] += records

    def accept(self, kind: str, place: Place, ends: Iterable[End], row: str | None = None) -> None:
        """A hostile input is on a topic."""
        self.sent[kind] += 1
        self.accepted[place] = Accepted(kind, frozenset(ends), row)

    def note_broken(self, kind: str, what: str) -> None:
        """An input had no answer, or one that says that the mesh failed."""
        self.sent[kind] += 1
        self.broken.append(f"{kind}: {what[:300]}")

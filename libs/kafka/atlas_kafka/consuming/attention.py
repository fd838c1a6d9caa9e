"""Why a consumer does not read what it should, from what is known of it: pure, asked now and then."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from atlas_kafka.fetching.damage import Damage

# Longer than a rebalance with a member that has to be waited for, and than a leader's election.
PATIENCE_S = 15.0
NAMED_MAX = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a consumer. Times are monotonic seconds.

    `assigned`: None while the group hands out partitions. `heard`: when a fetch of a partition was last answered, or
    its records still wait to be taken. `nobody_s`: partitions that no member of the group has, where this one has none.
    """

    missing: Collection[str] = ()
    assigned: Collection[TopicPartition] | None = ()
    since: float = 0.0
    heard: Mapping[TopicPartition, float] = field(default_factory=dict)
    failing: Mapping[TopicPartition, str] = field(default_factory=dict)
    damaged: Mapping[TopicPartition, Damage] = field(default_factory=dict)
    nobody_s: int = 0


def trouble(facts: Facts, now: float) -> str | None:
    """The reason in a line, the most telling one first; None: it reads what it should."""
    if facts.missing:
        return f"there is no topic {', '.join(facts.missing)}"
    if facts.damaged:
        place, damage = min(facts.damaged.items(), key=lambda item: item[0])
        times = f"tried {damage.attempts} times"
        return f"{_named([place])} has a damaged batch at offset {damage.at} ({damage.reason}); {times}"
    if facts.assigned:
        return _silence(facts, facts.assigned, now)
    waited = now - facts.since
    if waited <= PATIENCE_S:
        return None
    if facts.assigned is None:
        return f"the group has not given out its partitions for {waited:.0f} s"
    return f"nothing is assigned here, and {facts.nobody_s} partitions are nobody's" if facts.nobody_s else None


def _silence(facts: Facts, assigned: Collection[TopicPartition], now: float) -> str | None:
    silent = {place: now - facts.heard.get(place, facts.since) for place in assigned}
    silent = {place: seconds for place, seconds in silent.items() if seconds > PATIENCE_S}
    if not silent:
        return None
    errors = sorted({facts.failing[place] for place in silent if place in facts.failing})
    why = f": {', '.join(errors)}" if errors else ""
    return f"no answer about {_named(silent)} for {max(silent.values()):.0f} s{why}"


def _named(places: Collection[TopicPartition]) -> str:
    names = [f"{place.topic}/{place.partition}" for place in sorted(places)]
    return ", ".join(names[:NAMED_MAX]) + (f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else "")

"""What earlier rounds have seen of groups, where the brokers do not tell any more. Pure.

Kafka counts a group's offsets by a topic's name and forgets them when the topic is deleted.
"""

from collections.abc import Sequence
from dataclasses import replace

from atlas_health_aggregator.groups import GroupOffsets

# A group of the mesh that the brokers know no more is shown for so long: without members, with everything before it.
KEPT_S = 3600.0


class Remembered:
    """Keeps which topics the mesh's own groups read."""

    def __init__(self) -> None:
        self._topics: dict[str, tuple[frozenset[str], float]] = {}

    def complete(self, groups: Sequence[GroupOffsets], now: float) -> list[GroupOffsets]:
        """The groups, each of the mesh's with every topic that it should read, also those that are gone since."""
        completed = []
        topics = {name: kept for name, kept in self._topics.items() if now - kept[1] < KEPT_S}
        for group in groups:
            whole = group
            # Who has members that say what they want reads that and no more.
            if group.ours and not (group.members and group.topics):
                whole = replace(group, topics=group.read | topics.get(group.name, (frozenset(), 0.0))[0])
            if group.ours and whole.read:
                topics[group.name] = (whole.read, now)
            completed.append(whole)
        present = {group.name for group in groups}
        gone = [GroupOffsets(name, {}, 0, kept, ours=True) for name, (kept, _) in topics.items() if name not in present]
        self._topics = topics
        return completed + gone

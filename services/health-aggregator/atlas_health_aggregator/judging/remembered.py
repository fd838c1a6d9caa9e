"""What earlier rounds have seen of groups, where the brokers do not tell any more. Pure.

Kafka counts a group's offsets by a topic's name and forgets them when the topic is deleted. A member that goes on
reading may commit them again, to a new topic of that name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from aiokafka import TopicPartition

from atlas_health_aggregator.groups import GroupOffsets

# A group of the mesh that the brokers know no more is shown for so long: without members, with everything before it.
KEPT_S = 3600.0


class Remembered:
    """Keeps which topics the mesh's own groups read, and of which topic each commit was when it was seen first."""

    def __init__(self) -> None:
        self._topics: dict[str, tuple[frozenset[str], float]] = {}
        self._noted: dict[tuple[str, TopicPartition], tuple[int, str]] = {}

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

    def same_topics(
        self, groups: Sequence[GroupOffsets], ids: Mapping[str, str]
    ) -> dict[tuple[str, TopicPartition], bool | None]:
        """Whether each commit counts the topic that has the name now; None: nobody knows."""
        noted: dict[tuple[str, TopicPartition], tuple[int, str]] = {}
        same: dict[tuple[str, TopicPartition], bool | None] = {}
        for group in groups:
            for partition, commit in group.committed.items():
                now = ids.get(partition.topic)
                if now is None:
                    continue
                key = (group.name, partition)
                if commit.topic_id is not None:
                    same[key] = commit.topic_id == now
                    continue
                before = self._noted.get(key)
                noted[key] = before if before is not None and before[0] == commit.offset else (commit.offset, now)
                same[key] = None if noted[key][1] == now else False
        self._noted = noted
        return same

"""What the brokers say about every consumer group, dead ones too, whichever its protocol."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import structlog
from aiokafka import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, for_code
from atlas_errors.policy import describe
from atlas_kafka.cluster.members import Coordinators, GroupListing, Member, check_coordinator, list_groups, members_of
from atlas_kafka.wire.offsets import OffsetsOfGroups
from atlas_kafka.wire.share_groups import OffsetsOfShareGroups

from atlas_health_aggregator.commits import Before, Commits, committed

# Whoever may commit may make a group; each costs something every round, and series.
GROUPS_MAX = 1000
SHARE = "share"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GroupOffsets:
    """A group: what it has committed by topic, its members (None: the brokers do not tell) and the topics they want.

    `protocol` is classic, consumer (KIP-848), share or streams, `state` as Kafka calls it, `who` the members.
    """

    name: str
    committed: Mapping[str, Commits]
    members: int | None
    topics: frozenset[str] = frozenset()
    ours: bool = False
    protocol: str = ""
    state: str = ""
    who: Sequence[Member] = ()

    @property
    def read(self) -> frozenset[str]:
        """Every topic that it reads, or has read."""
        return self.topics | self.committed.keys()

    @property
    def empty_members(self) -> int | None:
        """Members that have no partition; None where the brokers do not tell."""
        return None if self.members is None else sum(not any(each.assigned.values()) for each in self.who)


def is_of_the_mesh(group: str, services: Collection[str]) -> bool:
    """Whether a group is one of these services': it has the service's name, or `<service>.<projection>`."""
    return group in services or group.partition(".")[0] in services


class GroupReader:
    """Asks the brokers about groups, many in a request."""

    def __init__(self) -> None:
        self._coordinators = Coordinators()
        self._before = Before()

    async def read(
        self, client: AIOKafkaClient, wanted: re.Pattern[str], services: Collection[str] = ()
    ) -> tuple[list[GroupOffsets], int]:
        """Every group whose whole name matches, by name, the ones of `services` first; and how many more there are.

        A group that the brokers do not let us look at is left out. Raises KafkaError.
        """
        named = [group for group in await list_groups(client) if wanted.fullmatch(group.name)]
        named.sort(key=lambda each: (not is_of_the_mesh(each.name, services), each.name))
        looked_at = named[:GROUPS_MAX]
        try:
            commits = await self._commits(client, looked_at)
            members = await members_of(client, self._coordinators, looked_at)
        except KafkaError:
            self._coordinators.forget()
            raise
        groups = [
            GroupOffsets(
                group.name,
                commits[group.name],
                members[group.name].count,
                members[group.name].topics,
                is_of_the_mesh(group.name, services),
                group.type,
                group.state,
                members[group.name].members or (),
            )
            for group in looked_at
            if group.name in commits
        ]
        return groups, len(named) - len(looked_at)

    async def _commits(
        self, client: AIOKafkaClient, groups: Sequence[GroupListing]
    ) -> dict[str, Mapping[str, Commits]]:
        """By group; one that can't be looked at is left out."""
        found: dict[str, Mapping[str, Commits]] = {}
        self._before.begin()
        ordinary = [group.name for group in groups if group.type != SHARE]
        for node, some in await self._coordinators.requests(client, ordinary):
            for each in committed((await client.send(node, OffsetsOfGroups(some))).groups, self._before):
                if _readable(each.group, each.error_code):
                    found[each.group] = each.commits
        share = [group.name for group in groups if group.type == SHARE]
        for node, some in await self._coordinators.requests(client, share):
            found |= await _starts(client, node, some)
        return found


async def _starts(client: AIOKafkaClient, node: int, groups: Sequence[str]) -> dict[str, Mapping[str, Commits]]:
    """From where on the records of share groups wait: as if they had committed that."""
    found: dict[str, Mapping[str, Commits]] = {}
    try:
        response = await client.send(node, OffsetsOfShareGroups(groups))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return {group: {} for group in groups}
    for group, topics, code, _message, _tags in response.groups:
        if _readable(group, code):
            found[group] = {topic: _begun(partitions, str(topic_id)) for topic, topic_id, partitions, *_ in topics}
    return found


def _begun(partitions: Sequence[tuple[int, ...]], topic_id: str) -> Commits:
    begun = [(number, start, lag) for number, start, _epoch, lag, code, *_ in partitions if code == 0 and start >= 0]
    numbers, starts, lags = np.array(begun, np.int64).reshape(-1, 3).T
    return Commits(numbers, starts, topic_id, lags)


def _readable(group: str, code: int) -> bool:
    check_coordinator(code, group)
    if code:
        log.warning("group not read", group=group, error=describe(for_code(code)(group)))
    return code == 0

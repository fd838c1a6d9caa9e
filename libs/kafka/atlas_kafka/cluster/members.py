"""Every group that the brokers know, whichever its protocol: its state, its members, and what each of them has.

A request asks about many groups at once, so it costs little where there are hundreds.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from aiokafka import AIOKafkaClient, TopicPartition
from aiokafka.errors import IncompatibleBrokerVersion, KafkaConnectionError, for_code

from atlas_kafka.internals.protocol import ConsumerProtocol, ConsumerProtocolMemberMetadata
from atlas_kafka.wire.groups import DescribeClassicGroups, DescribeConsumerGroups, ListGroups
from atlas_kafka.wire.offsets import CoordinatorsOfGroups
from atlas_kafka.wire.share_groups import DescribeShareGroups

# Groups of one request: an answer of as many is read in a few milliseconds, in which nobody else has a turn.
GROUPS_OF_A_REQUEST = 50
# Groups whose coordinator is remembered: those that are gone are not told apart.
KNOWN_MAX = 10_000
# What a coordinator answers that has moved, or is about to be there.
_NO_COORDINATOR = frozenset({14, 15, 16})


@dataclass(frozen=True, slots=True)
class GroupListing:
    """A group that the cluster knows, dead ones too. `type` is classic, consumer (KIP-848), share or streams; empty
    where the brokers do not tell. `state` in Kafka's words: Stable, Empty, Dead and so on.
    """

    name: str
    protocol: str
    type: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """Who reads, as the brokers know it: the id they gave it, what it calls itself, from where, and the partitions that
    it has, by topic.
    """

    id: str
    client_id: str
    host: str
    assigned: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Members:
    """Members of a group, and the topics that they want; None: the brokers do not tell."""

    members: Sequence[Member] | None
    topics: frozenset[str] = frozenset()

    @property
    def count(self) -> int | None:
        """How many."""
        return None if self.members is None else len(self.members)


async def list_groups(client: AIOKafkaClient) -> list[GroupListing]:
    """Every group, by name; `client` is a started AIOKafkaClient. Raises KafkaError."""
    found: dict[str, GroupListing] = {}
    for broker in (await client.fetch_all_metadata()).brokers():
        response = await client.send(broker.nodeId, ListGroups())
        if response.error_code:
            raise for_code(response.error_code)("groups not listed")
        for name, protocol, state, *more in response.groups:
            found[name] = GroupListing(name, protocol, more[0].lower() if len(more) > 1 else "", state)
    return [found[name] for name in sorted(found)]


class Coordinators:
    """Which broker coordinates each group, asked once."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    async def requests(self, client: AIOKafkaClient, groups: Collection[str]) -> list[tuple[int, list[str]]]:
        """Brokers with the groups of one request to each. Raises KafkaError."""
        if len(self._known) > KNOWN_MAX:
            self._known.clear()
        for some in _parts([group for group in groups if group not in self._known]):
            node = client.get_random_node()
            if node is None:
                raise KafkaConnectionError("no broker is known")
            response = await client.send(node, CoordinatorsOfGroups(some))
            for group, found, _host, _port, code, _message, _tags in response.coordinators:
                if code:
                    raise for_code(code)(f"coordinator of {group}")
                self._known[group] = found
        by_node: dict[int, list[str]] = defaultdict(list)
        for group in groups:
            by_node[self._known[group]].append(group)
        return [(node, some) for node, of_node in by_node.items() for some in _parts(of_node)]

    def forget(self) -> None:
        """They may have moved."""
        self._known.clear()


def check_coordinator(code: int, group: str) -> None:
    """Raises KafkaError where another broker is to be asked, or the same one in a moment."""
    if code in _NO_COORDINATOR:
        raise for_code(code)(f"group {group}")


async def members_of(
    client: AIOKafkaClient, coordinators: Coordinators, groups: Collection[GroupListing]
) -> dict[str, Members]:
    """The members of each group that the brokers let us look at; raises KafkaError."""
    by_type: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        by_type[group.type or "classic"].append(group.name)
    found = {group.name: Members(None) for group in groups}
    for kind, describe in (("consumer", _newer), ("share", _share), ("classic", _classic)):
        for node, some in await coordinators.requests(client, by_type[kind]):
            try:
                found.update(await describe(client, node, some))
            except (IncompatibleBrokerVersion, NotImplementedError):
                continue  # an early form of share groups
    return found


async def _newer(client: AIOKafkaClient, node: int, groups: Sequence[str]) -> dict[str, Members]:
    response = await client.send(node, DescribeConsumerGroups(groups))
    found = {}
    for code, _message, group, _state, _epoch, _assigned, _assignor, members, *_ in response.groups:
        check_coordinator(code, group)
        if code == 0:
            found[group] = _members(
                (each[0], each[4], each[5], each[6], each[8][0]) for each in members
            )  # id, client, host, topics, assignment
    return found


async def _share(client: AIOKafkaClient, node: int, groups: Sequence[str]) -> dict[str, Members]:
    response = await client.send(node, DescribeShareGroups(groups))
    found = {}
    for code, _message, group, _state, _epoch, _assigned, _assignor, members, *_ in response.groups:
        check_coordinator(code, group)
        if code == 0:
            found[group] = _members((each[0], each[3], each[4], each[5], each[6][0]) for each in members)
    return found


def _members(members: Iterable[tuple[str, str, str, Sequence[str] | None, Sequence[tuple[Any, ...]]]]) -> Members:
    """Of members with the topics they want and the partitions they have."""
    made: list[Member] = []
    topics: set[str] = set()
    for member_id, client_id, host, wanted, assignment in members:
        assigned = {topic: tuple(partitions) for _id, topic, partitions, *_tags in assignment}
        topics.update(wanted or (), assigned)
        made.append(Member(member_id, client_id, host, assigned))
    return Members(made, frozenset(topics))


async def _classic(client: AIOKafkaClient, node: int, groups: Sequence[str]) -> dict[str, Members]:
    response = await client.send(node, DescribeClassicGroups(groups))
    found = {}
    for code, group, state, _type, _protocol, members, *_ in response.groups:
        check_coordinator(code, group)
        # "Dead" for a group that the broker lists: one of the newer protocol, which this request can't describe.
        if code or state == "Dead":
            continue
        topics: set[str] = set()
        made = []
        for member_id, _instance, client_id, host, metadata, assignment, _tags in members:
            topics.update(_subscribed(metadata))
            made.append(Member(member_id, client_id, host, _assigned(assignment)))
        found[group] = Members(made, frozenset(topics))
    return found


def holders_of(members: Sequence[Member] | None) -> dict[TopicPartition, Member]:
    """Which member has each partition."""
    return {
        TopicPartition(topic, partition): member
        for member in members or ()
        for topic, partitions in member.assigned.items()
        for partition in partitions
    }


def _assigned(assignment: bytes) -> dict[str, Sequence[int]]:
    """What a member of a classic group has; nothing where its bytes are something else, or empty."""
    try:
        found: dict[str, list[int]] = defaultdict(list)
        for topic, partition in ConsumerProtocol.ASSIGNMENT.decode(assignment).partitions() if assignment else ():
            found[topic].append(partition)
        return {**found}
    except Exception:  # noqa: BLE001 - whatever the group's leader has put there, and a protocol other than consumers'
        return {}


def _subscribed(metadata: bytes) -> list[str]:
    """The topics that a member of a classic group asks for; none where its bytes are something else."""
    try:
        return [topic for topic in ConsumerProtocolMemberMetadata.decode(BytesIO(metadata)).subscription or () if topic]
    except Exception:  # noqa: BLE001 - whatever a member has put there, and a protocol other than consumers'
        return []


def _parts(groups: Sequence[str]) -> Iterator[list[str]]:
    for at in range(0, len(groups), GROUPS_OF_A_REQUEST):
        yield list(groups[at : at + GROUPS_OF_A_REQUEST])

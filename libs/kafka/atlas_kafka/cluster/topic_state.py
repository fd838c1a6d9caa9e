"""Topics as they are on the cluster, beside what they are declared to be; and what can be done about the difference."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaClient
from aiokafka.admin import NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, for_code

from atlas_kafka.cluster.admin import TopicSpec, ensure_topics, open_admin
from atlas_kafka.cluster.topic_ids import topics_now
from atlas_kafka.internals.client import client_of
from atlas_kafka.internals.protocol import DescribeConfigsRequest

# As AlterConfigs replaces all of a topic's own settings, those that stay have to be said again: these are the topic's.
_OF_THE_TOPIC = 1


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is: its id, its partitions, its settings, and the names of those that are its own."""

    id: str
    partitions: int
    config: Mapping[str, str]
    own: frozenset[str]


async def topic_states(client: AIOKafkaClient, topics: Collection[str]) -> dict[str, TopicState]:
    """The topics that exist, by name. `client` is a started AIOKafkaClient; raises KafkaError."""
    found = await topics_now(client, topics)
    if not found:
        return {}
    node = client.get_random_node()
    if node is None:
        raise KafkaConnectionError("no broker is known")
    resources = [(ConfigResourceType.TOPIC, name, None) for name in found]
    answer = await client.send(node, DescribeConfigsRequest(resources, False))
    states = {}
    for code, message, _type, name, settings in answer.resources:
        if code:
            raise for_code(code)(f"topic {name}: {message}")
        config = {setting: value for setting, value, *_rest in settings if value is not None}
        own = frozenset(setting for setting, _value, _read_only, source, *_rest in settings if source == _OF_THE_TOPIC)
        states[name] = TopicState(found[name].id, len(found[name].partitions), config, own)
    return states


def differences(declared: TopicSpec, state: TopicState | None) -> list[str]:
    """In words, how a topic is not as it is declared; empty when it is."""
    if state is None:
        return ["it does not exist"]
    found = []
    if state.partitions != declared.partitions:
        found.append(f"partitions: {state.partitions}, declared {declared.partitions}")
    for name, wanted in declared.config.items():
        if state.config.get(name) != wanted:
            found.append(f"{name}: {state.config.get(name)}, declared {wanted}")
    return found


async def apply(brokers: str, declared: Iterable[TopicSpec]) -> list[str]:
    """Make the topics as they are declared, and say what was done.

    Makes the missing, adds partitions, changes settings that are declared. Takes no partition away, which Kafka can't,
    and deletes nothing.
    """
    specs = {topic.name: topic for topic in declared}
    done = [f"{name}: made" for name in await ensure_topics(brokers, specs.values())]
    async with open_admin(brokers) as admin:
        states = await topic_states(client_of(admin), sorted(specs))
        for name, state in states.items():
            spec = specs[name]
            if state.partitions < spec.partitions:
                await admin.create_partitions({name: NewPartitions(spec.partitions)})
                done.append(f"{name}: {state.partitions} → {spec.partitions} partitions")
            changed = {key: value for key, value in spec.config.items() if state.config.get(key) != value}
            if changed:
                kept = {key: state.config[key] for key in state.own if key in state.config}
                resource = ConfigResource(ConfigResourceType.TOPIC, name, configs=kept | changed)
                for response in await admin.alter_configs([resource]):
                    for code, message, *_rest in response.resources:
                        if code:
                            raise for_code(code)(f"topic {name}: {message}")
                done += [f"{name}: {key} {state.config.get(key)} → {value}" for key, value in changed.items()]
    return done

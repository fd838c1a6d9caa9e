"""Topics: made when missing, never changed or deleted."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code
from atlas_errors.backoff import retrying

from atlas_kafka.starting import start_whole


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be made."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    replication: int = 1


@asynccontextmanager
async def open_admin(brokers: str, client_id: str = "atlas-admin") -> AsyncIterator[AIOKafkaAdminClient]:
    """A started admin client; waits, backing off, for brokers that are not up yet."""

    async def start() -> AIOKafkaAdminClient:
        admin = AIOKafkaAdminClient(bootstrap_servers=brokers, client_id=client_id)
        try:
            await start_whole(admin.start())
        except BaseException:
            await admin.close()
            raise
        return admin

    admin = await retrying(start, what="kafka admin start", stop=asyncio.Event())
    try:
        yield admin
    finally:
        await admin.close()


async def ensure_topics(brokers: str, topics: Iterable[TopicSpec]) -> list[str]:
    """Make the topics that are missing and return their names, sorted; existing ones are left as they are.

    Two processes may do this at once. Raises the broker's error, with the topic's name, for one that can't be made.
    """
    wanted = {topic.name: topic for topic in topics}
    async with open_admin(brokers) as admin:
        missing = sorted(set(wanted) - set(await admin.list_topics()))
        if not missing:
            return []
        response = await admin.create_topics(
            [
                NewTopic(
                    name,
                    num_partitions=wanted[name].partitions,
                    replication_factor=wanted[name].replication,
                    topic_configs=dict(wanted[name].config),
                )
                for name in missing
            ]
        )
        created = []
        for name, code, message in response.topic_errors:
            if code == 0:
                created.append(name)
            elif code != TopicAlreadyExistsError.errno:
                raise for_code(code)(f"topic {name}: {message}")
        return sorted(created)

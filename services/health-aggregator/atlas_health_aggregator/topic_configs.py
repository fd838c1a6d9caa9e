"""How long topics keep records, and whose clock their times are of."""

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

# For so long what was read of a topic is taken for true: settings change seldom, and there are many topics.
KEPT_S = 30.0
CREATE_TIME, APPEND_TIME = "CreateTime", "LogAppendTime"
_SETTINGS = ("retention.ms", "cleanup.policy", "message.timestamp.type")


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """`retention_ms`: after which records are deleted by age, -1: never. `clock`: CreateTime, the producers', or
    LogAppendTime, the brokers'; None where they do not tell.
    """

    retention_ms: int = -1
    clock: str | None = None


class TopicConfigs:
    """Asks for each topic at most every KEPT_S seconds."""

    def __init__(self) -> None:
        self._known: dict[str, TopicConfig] = {}
        self._read_at = -KEPT_S

    async def of(self, admin: AIOKafkaAdminClient, topics: Collection[str]) -> dict[str, TopicConfig]:
        """The configurations of the topics that the brokers let us look at. Raises KafkaError."""
        if time.monotonic() - self._read_at >= KEPT_S:
            self._known, self._read_at = {}, time.monotonic()
        if missing := sorted(set(topics) - self._known.keys()):
            self._known |= dict.fromkeys(missing, TopicConfig()) | await read_configs(admin, missing)
        return {topic: self._known[topic] for topic in topics}

    def forget(self, topics: Iterable[str]) -> None:
        """They are others now."""
        for topic in topics:
            self._known.pop(topic, None)


async def read_configs(admin: AIOKafkaAdminClient, topics: Collection[str]) -> dict[str, TopicConfig]:
    """As the brokers have them now; a topic that they do not tell about is left out. Raises KafkaError."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(_SETTINGS)) for topic in topics]
    found = {}
    for response in await admin.describe_configs(resources) if resources else ():
        for error, _message, _type, topic, entries in response.resources:
            if error:
                continue
            config = {entry[0]: entry[1] for entry in entries}
            deletes = "delete" in config.get("cleanup.policy", "")
            retention = int(config.get("retention.ms", -1)) if deletes else -1
            found[topic] = TopicConfig(max(-1, retention), config.get("message.timestamp.type"))
    return found

"""The topic that a replay writes to: which event types it takes, and whether its records keep their time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import ProducerFenced
from atlas_archive.format.records import Incoming
from atlas_contracts.registry import Registry
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.producing.outgoing import Outgoing
from atlas_kafka.producing.transactional import send_in_transaction

from atlas_cli.terminal.output import CommandError

_ANY_TIME = str((1 << 63) - 1)
# Whose records are on them: the relay's marks of the rows that it has sent, and the history of lag.
_KEPT_BY = {"outbox.progress": "the relay", "health.lag-history": "the health-aggregator"}
# How a target is made: its records keep the time that they had, whatever it is, and for that none is ever too old.
CONFIG = {
    "retention.ms": "-1",
    "message.timestamp.type": "CreateTime",
    "message.timestamp.after.max.ms": _ANY_TIME,
    "message.timestamp.before.max.ms": _ANY_TIME,
}

TypeOf = Callable[[Incoming], str | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """What the target takes: `events`, or anything where they are None. `leaves_out`: the rest is not refused."""

    target: str
    events: frozenset[str] | None = None
    leaves_out: bool = False

    def takes(self, record: Incoming, place: str, type_of: TypeOf) -> bool:
        """False for what is to be left out. Raises CommandError for what is refused. A tombstone is of no type."""
        if self.events is None or record.value is None:
            return True
        found = type_of(record)
        if found in self.events:
            return True
        if self.leaves_out:
            return False
        what = f"is a {found}" if found else "is no event that is known"
        raise CommandError(f"{place} {what}; {self._says()}")

    def check(self, source: str, events: tuple[str, ...]) -> None:
        """Raises CommandError when a source of these declared events has some that are refused."""
        other = [event for event in events if self.events is not None and event not in self.events]
        if other and not self.leaves_out:
            raise CommandError(f"{source} has {', '.join(other)}; {self._says()}")

    def _says(self) -> str:
        taken = ", ".join(sorted(self.events or ()))
        return f"{self.target} takes {taken} alone, by topics.yaml (--declared-only leaves out the rest)"


def rule_of(registry: Registry, source: str, target: str, wanted_type: str | None, *, leaves_out: bool) -> Rule:
    """The rule of a target as it is declared. Raises CommandError when it can be told already that it refuses."""
    if target in _KEPT_BY or target.startswith("__"):
        owner = _KEPT_BY.get(target, "Kafka itself")
        raise CommandError(f"--to {target}: {owner} keeps its own records there, it is no topic for events")
    declared = registry.topics.get(target)
    rule = Rule(target, None if declared is None else frozenset(declared.events), leaves_out)
    from_source = registry.topics.get(source)
    if wanted_type is not None:
        rule.check(source, (wanted_type,))
    elif from_source is not None:
        rule.check(source, from_source.events)
    return rule


async def keeps_times(brokers: str, topic: str) -> bool:
    """Whether records on the topic have the time that their producer says, not the broker's of writing them."""
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"message.timestamp.type": None})
    async with open_admin(brokers) as admin:
        for response in await admin.describe_configs([resource]):
            for _code, _message, _type, _name, entries in response.resources:
                return not any(
                    entry[:2] == ("message.timestamp.type", "LogAppendTime") for entry in map(tuple, entries)
                )
    return True


async def send_round(producer: AIOKafkaProducer, outgoing: Sequence[Outgoing]) -> None:
    """All of them in one transaction, or none. Raises CommandError with the first and the last of a refused batch."""
    async with producer.transaction():
        results = await send_in_transaction(producer, outgoing)
        for result in results:
            if isinstance(result, ProducerFenced):
                raise result
            if isinstance(result, Exception):
                batch = [record for record, other in zip(outgoing, results, strict=True) if other is result]
                raise CommandError(f"{batch[0].topic} refuses {_span(batch)}, nothing of this round is on it: {result}")


def _span(batch: Sequence[Outgoing]) -> str:
    """Where the records were."""
    first, last = ((batch[at].headers[-1][1] or b"").decode() for at in (0, -1))
    return f"the record {first}" if first == last else f"a record of {first} to {last}"

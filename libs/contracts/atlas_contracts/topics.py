"""topics.yaml, of the schemas folder and of its contexts: every topic, what may be on it, who says it, its key, its
partitions and how long it is kept.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from atlas_contracts.errors import BrokenSchemas, UnknownSchema
from atlas_contracts.folder import TOPICS, files_named
from atlas_contracts.keys import GIVEN, paths_of

DEAD_LETTER_SUFFIX = ".dlq"
DEAD_LETTER_PARTITIONS = 1
DEAD_LETTER_RETENTION_MS = 30 * 24 * 3_600_000
FOREVER = -1

_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_REQUIRED = {"key", "events", "partitions", "retention"}
_FIELDS = _REQUIRED | {"source", "when_recreated"}
# Kafka's own rule for a topic's name, less the room that the dead-letter suffix needs.
_NAME = re.compile(r"[a-zA-Z0-9._-]{1,240}")


class Source(StrEnum):
    """Where a topic's events come from; only those of ANY may be posted.

    OUTBOX: from commands, beside the state they tell of, so the version they carry is the entity's. MESH: from the
    services of Atlas. ANY: from whoever posts them, so nothing that they say about themselves is vouched for.
    """

    OUTBOX = "outbox"
    MESH = "mesh"
    ANY = "any"


class WhenRecreated(StrEnum):
    """What projections do when the topic was deleted and made again.

    BEGIN: read the new one from its start and keep the rows that there are. STOP: read nothing of it until they are
    told to, by `atlas begin`.
    """

    BEGIN = "begin"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as declared; `retention_ms` is -1 for ever. `key` says where the key of each event type on it comes from:
    see atlas_contracts.keys.
    """

    name: str
    events: tuple[str, ...]
    partitions: int
    retention_ms: int
    key: Mapping[str, str]
    source: Source = Source.OUTBOX
    when_recreated: WhenRecreated = WhenRecreated.BEGIN

    @property
    def dead_letter(self) -> str:
        """The topic that takes the records nobody can handle."""
        return self.name + DEAD_LETTER_SUFFIX

    def key_field(self, event_type: str) -> str:
        """Where the record's key comes from, GIVEN for whoever posts it; UnknownSchema when the event does not belong
        on this topic.
        """
        try:
            return self.key[event_type]
        except KeyError:
            allowed = ", ".join(self.events)
            raise UnknownSchema(f"{event_type} does not belong on {self.name}, which takes {allowed}") from None

    def key_of(self, event_type: str, value: Mapping[str, Any]) -> bytes:
        """The record's key for a value whose key is a field of text or a whole number; see Codec.key for others."""
        return str(value[self.key_field(event_type)]).encode()


def topics_in(directory: Path) -> dict[str, Topic]:
    """All topics of a schemas folder: of its own file, and of those of contexts. BrokenSchemas as `read_topics`."""
    topics: dict[str, Topic] = {}
    declared_in: dict[str, str] = {}
    faults: list[str] = []
    for file in files_named(directory, TOPICS) or [TOPICS]:
        try:
            found = read_topics(directory / file, file)
        except BrokenSchemas as error:
            faults += error.faults
            continue
        faults += [f"{file}: {name} is declared in {declared_in[name]} too" for name in found if name in topics]
        declared_in.update(dict.fromkeys(found, file))
        topics.update(found)
    if faults:
        raise BrokenSchemas(faults)
    return topics


def read_topics(path: Path, named: str = TOPICS) -> dict[str, Topic]:
    """The topics of the file, `named` in faults, in its order; BrokenSchemas with a line for each fault of form."""
    try:
        text = path.read_text()
        # A SafeLoader, and stricter. The text is read before: bandit warns of each other call on this line.
        document = yaml.load(text, _Loader)  # nosec B506
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise BrokenSchemas([f"{named}: can't be read: {' '.join(str(error).split())}"]) from error
    declared = document.get("topics") if isinstance(document, dict) else None
    if not isinstance(declared, dict) or not declared:
        raise BrokenSchemas([f"{named}: no `topics`"])
    topics: dict[str, Topic] = {}
    faults: list[str] = []
    for name, entry in declared.items():
        found = _entry_faults(name, entry)
        if found:
            faults += [f"{named}: {name}: {fault}" for fault in found]
        else:
            topics[name] = _topic(name, entry)
    if faults:
        raise BrokenSchemas(faults)
    return topics


class _Loader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error: the last would win, and the first be forgotten in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{', '.join(twice)} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _rule_faults(rule: object) -> list[str]:
    if rule is None:
        return []
    if not isinstance(rule, str):
        return ["`key` is neither a field's name, nor null, nor a mapping from event type to one of these"]
    try:
        paths_of(rule)
    except ValueError as error:
        return [str(error)]
    return []


def parse_retention(text: object) -> int:
    """`7d`, `12h`, `30m`, `45s` or `forever` in milliseconds (-1 for ever); ValueError for anything else."""
    if text == "forever":
        return FOREVER
    match = re.fullmatch(r"([1-9]\d{0,8})([smhd])", str(text))
    if match is None:
        raise ValueError(f"retention {text!r} is neither `forever` nor a number with s, m, h or d")
    return int(match[1]) * _UNIT_MS[match[2]]


def _topic(name: str, entry: dict[str, Any]) -> Topic:
    events = tuple(entry["events"])
    key = entry["key"]
    return Topic(
        name=name,
        events=events,
        partitions=entry["partitions"],
        retention_ms=parse_retention(entry["retention"]),
        key=MappingProxyType({event: (key[event] if isinstance(key, dict) else key) or GIVEN for event in events}),
        # What nobody has thought about is closed: a forged event is worse than a refused one.
        source=Source(entry.get("source", Source.OUTBOX)),
        when_recreated=WhenRecreated(entry.get("when_recreated", WhenRecreated.BEGIN)),
    )


def _entry_faults(name: object, entry: object) -> list[str]:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name.endswith(DEAD_LETTER_SUFFIX):
        return [f"not a topic's name (letters, digits, . _ -, not ending in {DEAD_LETTER_SUFFIX})"]
    if not isinstance(entry, dict):
        return ["not a mapping"]
    faults = [f"unknown setting `{field}`" for field in entry if field not in _FIELDS]
    faults += [f"no `{field}`" for field in sorted(_REQUIRED) if field not in entry]
    if faults:
        return faults
    events, key, partitions = entry["events"], entry["key"], entry["partitions"]
    if not isinstance(events, list) or not events or not all(isinstance(event, str) for event in events):
        return ["`events` is not a list of event types"]
    if len(set(events)) < len(events):
        faults.append("an event type is listed twice")
    if isinstance(key, dict):
        faults += [f"no key field for {event}" for event in events if event not in key]
        faults += [f"a key field for {event}, which is not among its events" for event in key if event not in events]
    rules = list(key.values()) if isinstance(key, dict) else [key]
    faults += [fault for rule in rules for fault in _rule_faults(rule)]
    if None in rules and entry.get("source") != Source.ANY:
        faults.append("`key` is null, which is for topics that anybody posts to: `source: any`")
    if type(partitions) is not int or partitions < 1:
        faults.append(f"`partitions` is {partitions!r}, not a number from 1")
    if (source := entry.get("source", Source.OUTBOX)) not in list(Source):
        faults.append(f"`source` is {source!r}, not one of {', '.join(Source)}")
    if (rule := entry.get("when_recreated", WhenRecreated.BEGIN)) not in list(WhenRecreated):
        faults.append(f"`when_recreated` is {rule!r}, not one of {', '.join(WhenRecreated)}")
    try:
        parse_retention(entry["retention"])
    except ValueError as error:
        faults.append(str(error))
    return faults

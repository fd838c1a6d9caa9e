"""Every schema and topic of the mesh, read once from the schemas folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from atlas_avro.names import parse
from atlas_avro.walk import without_logical_types

from atlas_contracts.errors import BrokenSchemas, UnknownSchema
from atlas_contracts.evolution.released_types import changed_types
from atlas_contracts.folder import LOCK, TOPICS, SchemaFile, read_lock, read_schema, schema_paths
from atlas_contracts.shared_types import SharedTypes
from atlas_contracts.topics import DEAD_LETTER_PARTITIONS, DEAD_LETTER_RETENTION_MS, Topic, topics_in


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of one event type.

    `text` is the definition as compact JSON, with all that it says, and with the shared types that it names. `parsed`
    is what events are coded by: names resolved, without the logical types that mean nothing where they stand.
    """

    id: int
    type: str
    version: int
    path: str
    text: str
    parsed: dict[str, Any]


class Registry:
    """Schemas by id, by event type and by topic; immutable after `load`."""

    def __init__(self, schemas: Mapping[int, Schema], topics: Mapping[str, Topic]) -> None:
        self.topics: Mapping[str, Topic] = MappingProxyType(dict(topics))
        self.schemas: Mapping[int, Schema] = MappingProxyType(dict(schemas))
        self._versions: dict[str, tuple[Schema, ...]] = {}
        for schema in sorted(schemas.values(), key=lambda schema: schema.version):
            self._versions[schema.type] = (*self._versions.get(schema.type, ()), schema)
        self._topics_of: dict[str, list[Topic]] = {}
        for topic in topics.values():
            for event in topic.events:
                self._topics_of.setdefault(event, []).append(topic)

    @classmethod
    def load(cls, directory: Path) -> "Registry":
        """Read topics.yaml, ids.lock and every schema; BrokenSchemas with every reason when they can't be trusted.

        Incompatible versions are not looked for here: that is `checks.check`, which runs before a merge.
        """
        topics = topics_in(directory)
        lock = read_lock(directory)
        types = SharedTypes.read(directory)
        changed = changed_types(lock, types)
        faults: list[str] = [*types.faults, *changed.faults]
        schemas: dict[int, Schema] = {}
        for path in schema_paths(directory):
            if path in changed.schemas:
                continue
            if path not in lock:
                faults.append(f"{path}: not in {LOCK}; run `atlas schemas add {path}`")
                continue
            try:
                file = read_schema(directory, path, types, lock[path])
            except BrokenSchemas as error:
                faults += error.faults
                continue
            if file.sha256 != lock[path].sha256:
                faults.append(f"{path}: edited after its release; put it back and add a new version instead")
            schemas[lock[path].id] = _schema(file, lock[path].id)
        known = {schema.type for schema in schemas.values()}
        faults += [
            f"{TOPICS}: {topic.name}: no schema for {event}"
            for topic in topics.values()
            for event in topic.events
            if event not in known and not faults
        ]
        if faults:
            raise BrokenSchemas(faults)
        return cls(schemas, topics)

    def schema(self, schema_id: int) -> Schema:
        """The schema of this id; UnknownSchema when there is none."""
        try:
            return self.schemas[schema_id]
        except KeyError:
            raise UnknownSchema(f"no schema has id {schema_id}") from None

    def versions(self, event_type: str) -> tuple[Schema, ...]:
        """All versions of an event type, oldest first; UnknownSchema when there is none."""
        try:
            return self._versions[event_type]
        except KeyError:
            raise UnknownSchema(f"no event type is named {event_type}") from None

    def latest(self, event_type: str) -> Schema:
        """The newest version of an event type; UnknownSchema when there is none."""
        return self.versions(event_type)[-1]

    @property
    def event_types(self) -> tuple[str, ...]:
        """Every event type, sorted."""
        return tuple(sorted(self._versions))

    def topic(self, name: str) -> Topic:
        """The topic of this name; UnknownSchema when it is not declared."""
        try:
            return self.topics[name]
        except KeyError:
            raise UnknownSchema(f"no topic is named {name}") from None

    def topic_of(self, event_type: str) -> Topic:
        """The one topic this event type goes to; UnknownSchema when no topic takes it, or several do."""
        found = self._topics_of.get(event_type, [])
        if not found:
            raise UnknownSchema(f"no topic takes {event_type}")
        if len(found) > 1:
            raise UnknownSchema(f"{event_type} has several topics: {', '.join(topic.name for topic in found)}")
        return found[0]

    def kafka_topics(self) -> list[tuple[str, int, dict[str, str]]]:
        """Name, partitions and configuration of every topic to create, dead-letter topics among them.

        A record's time is the broker's, of writing it: what a producer's clock or an event's own time says (which stays
        in ce_time) can neither shorten nor lengthen how long it is kept.
        """
        created: list[tuple[str, int, dict[str, str]]] = []
        for topic in self.topics.values():
            created.append((topic.name, topic.partitions, _config(topic.retention_ms)))
            created.append((topic.dead_letter, DEAD_LETTER_PARTITIONS, _config(DEAD_LETTER_RETENTION_MS)))
        return created


def _config(retention_ms: int) -> dict[str, str]:
    return {"message.timestamp.type": "LogAppendTime", "retention.ms": str(retention_ms)}


def _schema(file: SchemaFile, schema_id: int) -> Schema:
    parsed = parse(without_logical_types(json.loads(file.text), but_known=True))
    return Schema(schema_id, file.type, file.version, file.path, file.text, parsed)

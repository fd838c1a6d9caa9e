"""Schemas that exist elsewhere, brought into the schemas folder: with their ids, and with what they refer to.

Everything is tried on a copy of the folder first, by the check that every change goes through: all of it comes in, or
nothing does.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atlas_avro.names import NotASchema, definitions, outline, parse

from atlas_contracts.checks import check
from atlas_contracts.errors import BrokenSchemas
from atlas_contracts.folder import (
    LOCK,
    TOPICS,
    files_named,
    path_of,
    read_lock,
    read_schema,
    schema_paths,
    write_lock,
)
from atlas_contracts.forms import form_faults
from atlas_contracts.imports.import_names import Met, There, types_of
from atlas_contracts.imports.inlining import inline
from atlas_contracts.shared_types import SharedTypes, canonical
from atlas_contracts.topics import topics_in

# Of a topic that is declared here.
PARTITIONS = 4
RETENTION = "30d"


@dataclass(frozen=True, slots=True)
class Offer:
    """A schema as it was found: `source` says where. `refers_to`: the texts of types that it names, each after those
    that it names itself. Those of one topic are in the order of their versions; `version` is that of a registry.
    """

    source: str
    text: str
    topic: str
    id: int | None = None
    refers_to: tuple[str, ...] = ()
    version: int | None = None


@dataclass(slots=True)
class Imported:
    """What came in: id by path; topics that were declared; sources whose schema was there already; by path, the version
    that a registry calls it where that is another one.
    """

    ids: dict[str, int] = field(default_factory=dict)
    topics: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    renumbered: dict[str, int] = field(default_factory=dict)


def import_schemas(
    directory: Path, offers: Sequence[Offer], keys: Mapping[str, str], *, dry_run: bool = False
) -> Imported:
    """Write the schemas, their ids and their topics. Raises BrokenSchemas with every fault; then nothing is changed.

    `keys`: the records' key (keys.py), by topic; "" for all others. Partitions and retention of a topic that is
    declared here are to be looked at.
    """
    with tempfile.TemporaryDirectory() as scratch:
        trial = Path(scratch) / "schemas"
        shutil.copytree(directory, trial)
        done = _Trial(trial, keys).take(offers)
        faults = check(trial, read_lock(directory))
        if faults:
            raise BrokenSchemas(faults)
        if not dry_run and (done.ids or done.topics):
            for path in done.ids:
                (directory / path).parent.mkdir(parents=True, exist_ok=True)
            # Each is there whole or not at all. The locks last: without them the files are only not released. Of these
            # the one at the top last, as write_lock does: entries go from there into a context's own.
            topics = [TOPICS] if done.topics else []
            for name in (*done.ids, *topics, *reversed(files_named(trial, LOCK))):
                fresh = directory / f"{name}.new"
                shutil.copyfile(trial / name, fresh)
                fresh.replace(directory / name)
    return done


class _Trial:
    def __init__(self, directory: Path, keys: Mapping[str, str]) -> None:
        self._directory = directory
        self._keys = keys
        self._lock = read_lock(directory)
        self._shared = SharedTypes.read(directory)
        self._faults: list[str] = []
        self._events: dict[str, list[str]] = {}
        self._done = Imported()

    def take(self, offers: Sequence[Offer]) -> Imported:
        """Write what is offered into the copy. Raises BrokenSchemas."""
        read: list[tuple[Offer, dict[str, Any], str]] = []
        for offer in offers:
            try:
                definition = _definition(offer, self._shared)
                read.append((offer, definition, parse(definition)["name"]))
            except (NotASchema, ValueError, RecursionError) as error:
                self._faults.append(f"{offer.source}: {error}")
        for offer, definition, event_type in self._with_types(read):
            try:
                self._take(offer, definition, event_type)
            except ValueError as error:
                self._faults.append(f"{offer.source}: {error}")
        self._declare_topics()
        if self._faults:
            raise BrokenSchemas(self._faults)
        self._give_ids()
        return self._done

    def _with_types(self, read: Sequence[tuple[Offer, dict[str, Any], str]]) -> list[tuple[Offer, dict[str, Any], str]]:
        """With event types instead of names; first the topic with most versions of a type, which has their order."""
        texts: dict[tuple[str, str], list[str]] = {}
        for offer, definition, name in read:
            texts.setdefault((name, offer.topic), []).append(canonical(parse(definition)))
        declared = topics_in(self._directory)
        there = There(
            lambda name: [self._text_of(path) for path in self._versions(name)],
            lambda name: [topic.name for topic in declared.values() if name in topic.events],
        )
        try:
            types = types_of([Met(name, topic, tuple(found)) for (name, topic), found in texts.items()], there)
        except ValueError as error:
            self._faults.append(str(error))
            return []
        ordered = sorted(read, key=lambda each: -len(texts[each[2], each[0].topic]))
        return [(offer, definition, types[name, offer.topic]) for offer, definition, name in ordered]

    def _take(self, offer: Offer, definition: dict[str, Any], name: str) -> None:
        self._events.setdefault(offer.topic, [])
        if name not in self._events[offer.topic]:
            self._events[offer.topic].append(name)
        versions = self._versions(name)
        for path in versions:
            if self._text_of(path) == canonical(parse(definition)):
                number = self._id_of(path)
                if number is None and path not in self._done.ids:
                    self._done.ids[path] = offer.id or 0  # left by an import that was cut off before it gave the id
                    return
                if offer.id is not None and number != offer.id:
                    raise ValueError(f"its id is {offer.id}, and {path}, which is the same schema, has id {number}")
                self._done.known.append(offer.source)
                return
        path = path_of(name, len(versions) + 1)
        taken = next((other for other, locked in self._lock.items() if locked.id == offer.id), None)
        taken = taken or next((other for other, number in self._done.ids.items() if number == offer.id != 0), None)
        if offer.id is not None and taken is not None:
            raise ValueError(f"its id, {offer.id}, is that of {taken}")
        if (self._directory / path).exists():
            raise ValueError(f"{path} is there already, for a type of another name")
        (self._directory / path).parent.mkdir(parents=True, exist_ok=True)
        (self._directory / path).write_text(json.dumps(definition, indent=2, ensure_ascii=False) + "\n")
        self._done.ids[path] = offer.id or 0  # 0: the next one that is free
        if offer.version not in (None, len(versions) + 1):
            self._done.renumbered[path] = offer.version or 0
        try:
            read_schema(self._directory, path)
        except BrokenSchemas as error:
            self._faults += [f"{offer.source}: {fault}" for fault in error.faults]

    def _text_of(self, path: str) -> str:
        """In the form in which two schemas are alike that differ in how names are written."""
        return canonical(parse(read_schema(self._directory, path, locked=self._lock.get(path)).definition))

    def _versions(self, name: str) -> list[str]:
        stem = path_of(name, 1).removesuffix("1.avsc")
        found = [path for path in schema_paths(self._directory) if path.startswith(stem)]
        return sorted(found, key=lambda path: int(path.removeprefix(stem).removesuffix(".avsc")))

    def _id_of(self, path: str) -> int | None:
        return self._lock[path].id if path in self._lock else self._done.ids.get(path) or None

    def _declare_topics(self) -> None:
        """Topics that are not declared yet, at the end of the file."""
        declared = topics_in(self._directory)
        file = self._directory / TOPICS
        text = file.read_text().rstrip("\n") + "\n" if file.exists() else "topics:\n"
        for topic, events in self._events.items():
            if topic in declared:
                missing = [event for event in events if event not in declared[topic].events]
                if missing:
                    self._faults.append(f"{TOPICS}: {topic}: add {', '.join(missing)} to its `events` first")
                continue
            key = self._keys.get(topic, self._keys.get(""))
            if key is None:
                self._faults.append(
                    f"{topic}: which field is the records' key? Say --key {topic}=FIELD, or a path ('after.id |"
                    f" before.id'), or --key {topic}= where no field is"
                )
                continue
            entry = {
                "source": "any",
                "key": key or None,
                "events": events,
                "partitions": PARTITIONS,
                "retention": RETENTION,
            }
            lines = "".join(f"    {name}: {json.dumps(value)}\n" for name, value in entry.items())
            text += f"  {json.dumps(topic)}:\n{lines}"
            self._done.topics.append(topic)
        if self._done.topics:
            file.write_text(text)

    def _give_ids(self) -> None:
        used = {locked.id for locked in self._lock.values()} | set(self._done.ids.values())
        for path, number in self._done.ids.items():
            given = number or max(used, default=0) + 1
            used.add(given)
            self._done.ids[path] = given
            self._lock[path] = read_schema(self._directory, path).locked(given)
        write_lock(self._directory, self._lock)


def _definition(offer: Offer, shared: SharedTypes) -> dict[str, Any]:
    """The definition, with all that it refers to inside, shared types too. Raises ValueError, NotASchema."""
    definition = sound(offer.text)
    if not isinstance(definition, dict) or definition.get("type") not in ("record", "error"):
        kind = definition.get("type") if isinstance(definition, dict) else type(definition).__name__
        raise ValueError(f"an event is a record; this is {kind!r}")
    if "." not in str(definition.get("name", "")) and not definition.get("namespace"):
        definition = {**definition, "namespace": _namespace_for(offer.topic)}
    referred = [sound(text) for text in offer.refers_to]
    known = shared.known({name for each in (*referred, definition) for name in definitions(each)})
    for each in referred:
        parse(each, known)
    elsewhere = {name: outline(made) for name, made in known.items()}
    whole = inline(definition, elsewhere).definition
    assert isinstance(whole, dict)
    return whole


def sound(text: str) -> Any:
    """The definition in a text, each type before its name. Raises ValueError with what the specification forbids."""
    definition = json.loads(text)
    if faults := form_faults(definition):
        raise ValueError("; ".join(faults))
    return inline(definition, {}).definition


def _namespace_for(topic: str) -> str:
    """For a type without: an event type needs one, and no byte of an event says what it is."""
    word = re.sub(r"\W", "_", topic.partition(".")[0], flags=re.ASCII)
    return f"_{word}" if word[:1].isdigit() else word

"""What must hold before a schema is released, and the one way to release it.

A released schema is in ids.lock. It is never edited, removed or renumbered, nor are the shared types that it was
released with; each version reads all older ones; each event type is on one topic, whose key field it has.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from atlas_avro.names import NotASchema, parse

from atlas_contracts.errors import BrokenSchemas
from atlas_contracts.evolution.compatibility import incompatibilities
from atlas_contracts.evolution.released_types import changed_types
from atlas_contracts.folder import (
    LOCK,
    TOPICS,
    Locked,
    SchemaFile,
    read_lock,
    read_schema,
    schema_paths,
    topic_in,
    write_lock,
)
from atlas_contracts.keys import faults as faults_of_key
from atlas_contracts.shared_types import SharedTypes
from atlas_contracts.topics import Source, Topic, topics_in
from atlas_contracts.values.limits import limit_faults
from atlas_contracts.values.scalars import Faults
from atlas_contracts.values.shapes import compile_shape

# The ids below this are for the schemas of Atlas itself, those of its samples among them.
FIRST_OF_CONTEXTS = 1000
OF_ATLAS = "health/"


def check(directory: Path, released: Mapping[str, Locked] | None = None) -> list[str]:
    """One line for each fault of the schemas folder; empty when it may be merged.

    `released` is the lock of what was released before (say, of the main branch): this one may only add to it.
    """
    return list(_faults(directory, released or {}, unlocked_is_fault=True))


def add(directory: Path, path: str) -> int:
    """Give the schema at `path` (relative to the folder) the next id and write the lock; returns the id.

    Raises BrokenSchemas with every fault, and then changes nothing. A schema already released, unchanged, keeps its id.
    """
    file = read_schema(directory, path, locked=read_lock(directory).get(path))
    faults = list(_faults(directory, {}, unlocked_is_fault=False))
    if faults:
        raise BrokenSchemas(faults)
    lock = read_lock(directory)
    if path not in lock:
        lock[path] = file.locked(_next_id(path, lock))
        write_lock(directory, lock)
    return lock[path].id


def _next_id(path: str, lock: Mapping[str, Locked]) -> int:
    """In a folder with schemas of Atlas itself the ids below FIRST_OF_CONTEXTS are Atlas's: what a next version of it
    adds meets none of a team's.
    """
    taken = [entry.id for entry in lock.values()]
    if path.startswith(OF_ATLAS):
        return max((each for each in taken if each < FIRST_OF_CONTEXTS), default=0) + 1
    shared = any(other.startswith(OF_ATLAS) for other in lock)
    return max([FIRST_OF_CONTEXTS - 1 if shared else 0, *taken]) + 1


def _faults(directory: Path, released: Mapping[str, Locked], *, unlocked_is_fault: bool) -> Iterator[str]:
    try:
        topics = topics_in(directory)
        lock = read_lock(directory)
    except BrokenSchemas as error:
        yield from error.faults
        return
    for path, before in released.items():
        if lock.get(path) != before:
            now = f"id {lock[path].id}, another hash or id" if path in lock else "gone"
            yield f"{LOCK}: {path} was released with id {before.id} and is now {now}; put its entry back"
    types = SharedTypes.read(directory)
    changed = changed_types(lock, types)
    yield from (*types.faults, *changed.faults)
    files: list[SchemaFile] = []
    paths = schema_paths(directory)
    yield from (f"{path}: removed; a released schema stays, old events need it" for path in lock if path not in paths)
    for path in (path for path in paths if path not in changed.schemas):
        try:
            file = read_schema(directory, path, types, lock.get(path))
        except BrokenSchemas as error:
            yield from error.faults
            continue
        if path not in lock and unlocked_is_fault:
            yield f"{path}: not in {LOCK}; run `atlas schemas add {path}`"
        if path in lock and file.sha256 != lock[path].sha256:
            yield f"{path}: edited after its release; put it back and add a new version instead"
        yield from _form_faults(file.path, file.definition)
        files.append(file)
    by_type: dict[str, list[SchemaFile]] = {}
    for file in sorted(files, key=lambda file: (file.type, file.version)):
        by_type.setdefault(file.type, []).append(file)
    for versions in by_type.values():
        yield from _version_faults(versions)
    yield from _shared_faults(types, by_type)
    if not changed.faults:
        yield from _topic_faults(topics, by_type)


def _shared_faults(types: SharedTypes, by_type: Mapping[str, Sequence[SchemaFile]]) -> Iterator[str]:
    """What is wrong with shared types beside their form: each version has to read those before it, as events do."""
    for name, newest in types.newest.items():
        if name in by_type:
            yield f"{newest.path}: {name} is an event, of {by_type[name][0].path}"
        older = [file for file in types.files.values() if file.name == name and file.version < newest.version]
        try:
            now = types.resolve(newest.definition).definition
            before = {file.version: types.resolve(file.definition).definition for file in older}
        except NotASchema:
            continue  # said before
        yield from _form_faults(newest.path, now)
        affected = _made_of(name, types, by_type)
        for version, definition in sorted(before.items()):
            for found in incompatibilities(now, definition):
                yield f"{newest.path}: can't read what v{version} wrote: {found}{affected}"


def _made_of(name: str, types: SharedTypes, by_type: Mapping[str, Sequence[SchemaFile]]) -> str:
    """The events whose newest version has the shared type, in words."""
    paths = {file.path for file in types.files.values() if file.name == name}
    events = [versions[-1].path for versions in by_type.values() if paths & versions[-1].types.keys()]
    return f" (it is part of {', '.join(sorted(events))})" if events else ""


def _form_faults(path: str, definition: Mapping[str, Any]) -> Iterator[str]:
    parsed = parse(definition)
    yield from (f"{path}: {fault}" for fault in limit_faults(parsed))
    try:
        compile_shape(parsed, {})
    except Faults as faults:
        yield from (f"{path}: a default does not fit its type: {error}" for error in faults.errors)


def _version_faults(versions: Sequence[SchemaFile]) -> Iterator[str]:
    if versions[0].version != 1:
        yield f"{versions[0].path}: the first version of {versions[0].type} is 1"
    for older, newer in pairwise(versions):
        if newer.version != older.version + 1:
            yield f"{newer.path}: the version after {older.version} is {older.version + 1}"
    for index, newer in enumerate(versions):
        for older in versions[:index]:
            for found in incompatibilities(newer.definition, older.definition):
                yield f"{newer.path}: can't read what v{older.version} wrote: {found}"


def _topic_faults(topics: Mapping[str, Topic], by_type: Mapping[str, Sequence[SchemaFile]]) -> Iterator[str]:
    taken: dict[str, Topic] = {}
    for topic in topics.values():
        for event in topic.events:
            if event in taken and {topic.source, taken[event].source} != {Source.ANY}:
                yield (
                    f"{TOPICS}: {event} is on {taken[event].name} and on {topic.name}; an event that commands or the"
                    " mesh emit has one topic"
                )
            taken.setdefault(event, topic)
            if (own := topic_in(event)) not in ("", topic.name):
                yield f"{TOPICS}: {topic.name}: {event} is for {own} alone"
            if event not in by_type:
                yield f"{TOPICS}: {topic.name}: no schema for {event}"
                continue
            if rule := topic.key_field(event):
                yield from _key_faults(topic, event, rule, by_type[event][-1])
    yield from (
        f"{versions[-1].path}: no topic takes {event}; name it in {TOPICS}"
        for event, versions in by_type.items()
        if event not in taken
    )


def _key_faults(topic: Topic, event: str, rule: str, file: SchemaFile) -> Iterator[str]:
    try:
        definition = parse(file.definition)
    except NotASchema:
        return  # told of the file
    yield from (f"{TOPICS}: {topic.name}: {event} {reason}" for reason in faults_of_key(rule, definition))

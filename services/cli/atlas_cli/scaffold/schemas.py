"""The schemas folder with an event more or less, tried on a copy by the check that every change goes through."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from atlas_contracts.checks import add as give_id
from atlas_contracts.checks import check
from atlas_contracts.errors import BrokenSchemas, UnknownSchema
from atlas_contracts.folder import LOCK, TOPICS, files_named, path_of, read_lock, write_lock
from atlas_contracts.registry import Registry, Schema
from atlas_contracts.topics import Source, Topic, read_topics, topics_in

from atlas_cli.scaffold import topics_text
from atlas_cli.scaffold.fields import Field, of_schema
from atlas_cli.scaffold.plan import Plan
from atlas_cli.terminal.output import CommandError

FOLDER = "schemas"


@dataclass(frozen=True, slots=True)
class On:
    """What is said of the topic of a new event."""

    key: str
    source: Source


def with_event(plan: Plan, event_type: str, said: Sequence[Field], *, doc: str, topic: str, on: On) -> None:
    """Plan a new event: its schema at version 1, its id, its place on a topic, which is made when it is not there.

    Raises CommandError with every fault that `atlas schemas check` would find.
    """
    path = path_of(event_type, 1)
    namespace, _, name = event_type.partition(".")
    definition = {
        "type": "record",
        "namespace": namespace,
        "name": name,
        "doc": doc,
        "fields": [each.in_schema() for each in said],
    }
    with _tried(plan) as folder:
        if (folder / path).exists():
            raise CommandError(f"{FOLDER}/{path} is there already; a next version is released by `atlas schemas add`")
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(json.dumps(definition, indent=2, ensure_ascii=False) + "\n")
        declared = topics_in(folder)
        if topic in declared:
            _same(declared[topic], on)
            file = _declares(folder, topic)
            file.write_text(topics_text.with_event(file.read_text(), topic, event_type))
        else:
            file = folder / namespace / TOPICS
            text = file.read_text() if file.exists() else topics_text.NONE
            file.write_text(topics_text.with_topic(text, topic, on.key, [event_type], on.source))
        give_id(folder, path)


def without_events(plan: Plan, gone: Callable[[str], bool]) -> list[str]:
    """Plan an end of these event types, of shared types that nothing else names, and of topics that have no other
    event; gives the types. Raises CommandError.
    """
    found: list[str] = []
    with _tried(plan) as folder:
        registry = Registry.load(folder)
        found = [event for event in registry.event_types if gone(event)]
        for topic in registry.topics.values():
            gone_of_it = [event for event in topic.events if event in found]
            if gone_of_it:
                _take_out(_declares(folder, topic.name), topic, gone_of_it)
        lock = read_lock(folder)
        for schema in registry.schemas.values():
            if schema.type in found:
                (folder / schema.path).unlink()
                del lock[schema.path]
        write_lock(folder, lock)
    return found


def _declares(folder: Path, topic: str) -> Path:
    """The file that declares it."""
    return next(folder / file for file in files_named(folder, TOPICS) if topic in read_topics(folder / file, file))


def _take_out(file: Path, topic: Topic, events: Sequence[str]) -> None:
    """These events of the topic, the topic without others, and the file without other topics."""
    text = file.read_text()
    if len(events) == len(topic.events):
        text = topics_text.without_topic(text, topic.name)
    else:
        for event in events:
            text = topics_text.without_event(text, topic.name, event)
    if text.strip() == topics_text.NONE.strip():
        file.unlink()
    else:
        file.write_text(text)


def newest(root: Path, event_type: str) -> Schema:
    """The newest schema of this type. Raises CommandError."""
    try:
        return _loaded(root).latest(event_type)
    except UnknownSchema:
        context, _, name = event_type.partition(".")
        raise CommandError(
            f"there is no event {event_type}; make it: atlas new event {context}.{name} {context}_id:uuid"
        ) from None


def fields_of(root: Path, event_type: str) -> tuple[Field, ...]:
    """Its fields. Raises CommandError."""
    return of_schema(json.loads(newest(root, event_type).text))


def topic_of(root: Path, event_type: str) -> Topic:
    """The topic that it is on."""
    return _loaded(root).topic_of(event_type)


def _loaded(root: Path) -> Registry:
    try:
        return Registry.load(root / FOLDER)
    except BrokenSchemas as error:
        raise _broken(error) from None


def _same(topic: Topic, on: On) -> None:
    keys = set(topic.key.values())
    if keys != {on.key} or topic.source is not on.source:
        others = ", ".join(sorted(map(str, keys)))
        raise CommandError(
            f"the topic {topic.name} has the key {others} and `source: {topic.source}`, the event would have the key"
            f" {on.key} and `source: {on.source}`; choose another --topic, or say --anybody"
        )


@contextmanager
def _tried(plan: Plan) -> Iterator[Path]:
    """A copy of the folder; what is changed in it comes into the plan once the whole is checked."""
    folder = plan.root / FOLDER
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / FOLDER
        shutil.copytree(folder, copy)
        try:
            yield copy
            faults = check(copy)
        except topics_text.NotEditable as error:
            raise CommandError(str(error)) from None
        except BrokenSchemas as error:
            raise _broken(error) from None
        if faults:
            raise CommandError(faults[0], faults[1:])
        _compare(plan, _texts(folder), _texts(copy))


def _compare(plan: Plan, before: dict[str, str], after: dict[str, str]) -> None:
    for path, text in after.items():
        if path not in before:
            plan.add(f"{FOLDER}/{path}", text)
        elif text != before[path]:
            plan.change(f"{FOLDER}/{path}", text)
    for path in before.keys() - after.keys():
        plan.remove(f"{FOLDER}/{path}")


def _texts(folder: Path) -> dict[str, str]:
    names = (LOCK, TOPICS)
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix == ".avsc" or path.name in names]
    return {str(path.relative_to(folder)): path.read_text() for path in paths}


def _broken(error: BrokenSchemas) -> CommandError:
    first, *more = error.faults
    return CommandError(first, more)

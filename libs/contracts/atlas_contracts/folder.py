"""The schemas folder: `<context>/<event>.v<N>.avsc` files and ids.lock, which gives each its id for good.

A context that declares topics in a file of its own, `<context>/topics.yaml`, has its ids in `<context>/ids.lock`, where
paths begin at the context's folder: so that it can come, go and be merged without a line that others share. What has
none is in the files at the top.

A record name that means another schema on each topic (ksqlDB's) has files for each, named
`<context>/<topic>-<event>.v<N>.avsc`. The event type is then `<topic>-<full name>`,
as registries call its subject; no name of Avro has a dash.

What of these is shared with others has files of its own: shared_types.py.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atlas_avro.names import NotASchema, own_name

from atlas_contracts.errors import BrokenSchemas
from atlas_contracts.forms import form_faults
from atlas_contracts.shared_types import SharedTypes, canonical, digest, is_type_path, read_named

LOCK = "ids.lock"
TOPICS = "topics.yaml"
# The folder is named as the namespace is.
_FILE = re.compile(
    r"(?P<context>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)/(?:(?P<topic>[A-Za-z0-9._-]+)-)?(?P<event>[a-z_][a-z0-9_]*)"
    r"\.v(?P<version>[1-9]\d*)\.avsc",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """One .avsc: `path` relative to the folder, the definition with the shared types that it names written in, as JSON
    and as canonical text, and the text's hash. `types`: the hash of each shared type's file, by path.
    """

    path: str
    type: str
    version: int
    definition: dict[str, Any]
    text: str
    sha256: str
    types: Mapping[str, str] = field(default_factory=dict)

    def locked(self, number: int) -> "Locked":
        """Its entry in the lock, under this id."""
        return Locked(number, self.sha256, self.types)


@dataclass(frozen=True, slots=True)
class Locked:
    """What the lock says of one file. `types`: the shared types that it was released with, as the hashes of their files
    by path.
    """

    id: int
    sha256: str
    types: Mapping[str, str] = field(default_factory=dict)


def read_schema(
    directory: Path, path: str, types: SharedTypes | None = None, locked: Locked | None = None
) -> SchemaFile:
    """Read `path` (relative, with slashes). BrokenSchemas when it is not JSON, not Avro, no record, or misnamed.

    `types`: the shared types of the folder, which are read where they are not given. `locked`: what the lock says of
    the file, which has the versions of those that it is made of.
    """
    if is_type_path(path):
        raise BrokenSchemas([f"{path}: a shared type has no id: it comes with the events that name it; add those"])
    match, definition = read_named(directory, path, _FILE, "<context>/<event>.v<N>.avsc, the event in lower case")
    if (
        not isinstance(definition, dict)
        or definition.get("type") not in ("record", "error")
        or not isinstance(definition.get("fields"), list)
    ):
        raise BrokenSchemas([f"{path}: an event is a record with fields; this is not"])
    if faults := form_faults(definition):
        raise BrokenSchemas([f"{path}: {fault}" for fault in faults])
    types = SharedTypes.read(directory) if types is None else types
    try:
        resolved = types.resolve(definition, () if locked is None else locked.types)
    except NotASchema as error:
        raise BrokenSchemas([f"{path}: not an Avro schema: {error}"]) from error
    if resolved.types and (faults := form_faults(resolved.definition)):
        raise BrokenSchemas([f"{path}: {fault}" for fault in faults])
    name = own_name(definition, "")
    name = name if match["topic"] is None else type_on(match["topic"], name)
    wanted = _stem_of(name)
    if path.rpartition(".v")[0] != wanted:
        raise BrokenSchemas([f"{path}: holds {name}, which belongs in {wanted}.v{match['version']}.avsc"])
    text = canonical(resolved.definition)
    return SchemaFile(path, name, int(match["version"]), resolved.definition, text, digest(text), resolved.types)


def schema_paths(directory: Path) -> list[str]:
    """Every .avsc of an event below the folder, relative, sorted."""
    found = (file.relative_to(directory).as_posix() for file in directory.rglob("*.avsc"))
    return sorted(path for path in found if not is_type_path(path))


def files_named(directory: Path, name: str) -> list[str]:
    """The folder's own file of this name, where it has one, and those of contexts: LOCK, TOPICS. Relative paths."""
    own = [name] if (directory / name).exists() else []
    return own + sorted(path.relative_to(directory).as_posix() for path in directory.glob(f"*/{name}"))


def read_lock(directory: Path) -> dict[str, Locked]:
    """The locks by path; empty when there is none yet. BrokenSchemas when one is damaged or an id is given twice."""
    entries: dict[str, Locked] = {}
    ids: dict[int, str] = {}
    for file in files_named(directory, LOCK):
        for path, locked in _entries(directory, file).items():
            if path in entries:
                raise BrokenSchemas([f"{file}: {path} is in {LOCK} too; take one of the entries out"])
            if not 0 < locked.id < 2**31:
                raise BrokenSchemas([f"{file}: {path} has the id {locked.id}, which is no positive 32-bit number"])
            if locked.id in ids:
                raise BrokenSchemas([f"{file}: the id {locked.id} is given twice: to {ids[locked.id]} and to {path}"])
            entries[path], ids[locked.id] = locked, path
    return entries


def write_lock(directory: Path, entries: Mapping[str, Locked]) -> None:
    """Write the locks, each in order of id, by renaming a whole new file over the old; the one at the top last, for
    entries go from there into a context's own.
    """
    files: dict[str, dict[str, Any]] = {file: {} for file in files_named(directory, LOCK) if file != LOCK}
    for path, locked in sorted(entries.items(), key=lambda entry: entry[1].id):
        context, _, rest = path.partition("/")
        own = (directory / context / TOPICS).exists()
        files.setdefault(f"{context}/{LOCK}" if own else LOCK, {})[rest if own else path] = _entry(locked)
    files[LOCK] = files.pop(LOCK, {})
    for file, schemas in files.items():
        if not schemas and file != LOCK:
            (directory / file).unlink()
            continue
        fresh = directory / f"{file}.new"
        fresh.write_text(json.dumps({"schemas": schemas}, indent=2) + "\n")
        fresh.replace(directory / file)


def _entries(directory: Path, file: str) -> dict[str, Locked]:
    folder = file.removesuffix(LOCK)
    try:
        return {
            folder + name: Locked(int(entry["id"]), str(entry["sha256"]), _hashes(entry.get("types", {})))
            for name, entry in json.loads((directory / file).read_text())["schemas"].items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BrokenSchemas([f"{file}: can't be read: {error}"]) from error


def _hashes(types: Mapping[str, Any]) -> dict[str, str]:
    return {path: str(sha256) for path, sha256 in types.items()}


def _entry(locked: Locked) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": locked.id, "sha256": locked.sha256}
    return entry | {"types": dict(sorted(locked.types.items()))} if locked.types else entry


def path_of(name: str, version: int) -> str:
    """Where a version of an event type belongs, relative to the folder."""
    return f"{_stem_of(name)}.v{version}.avsc"


def type_on(topic: str, name: str) -> str:
    """The event type that a record name is on this topic alone."""
    return f"{topic}-{name}"


def topic_in(event_type: str) -> str:
    """The one topic that an event type is for; empty where that is not in its name."""
    return event_type.rpartition("-")[0]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _stem_of(event_type: str) -> str:
    topic, dash, name = event_type.rpartition("-")
    context, _, event = name.rpartition(".")
    return f"{context or '<namespace>'}/{topic}{dash}{_snake(event)}"

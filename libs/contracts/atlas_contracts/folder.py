"""The schemas folder: `<context>/<event>.v<N>.avsc` files and ids.lock, which gives each its id for good."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atlas_avro.names import NotASchema, parse

from atlas_contracts.errors import BrokenSchemas
from atlas_contracts.forms import form_faults

LOCK = "ids.lock"
TOPICS = "topics.yaml"
# The folder is named as the namespace is.
_FILE = re.compile(
    r"(?P<context>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)/(?P<event>[a-z][a-z0-9_]*)\.v(?P<version>[1-9]\d*)\.avsc", re.ASCII
)


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """One .avsc: `path` relative to the folder, the definition as JSON and as canonical text, and the text's hash."""

    path: str
    type: str
    version: int
    definition: dict[str, Any]
    text: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Locked:
    """What the lock says of one file."""

    id: int
    sha256: str


def read_schema(directory: Path, path: str) -> SchemaFile:
    """Read `path` (relative, with slashes). BrokenSchemas when it is not JSON, not Avro, no record, or misnamed."""
    match = _FILE.fullmatch(path)
    if match is None:
        raise BrokenSchemas([f"{path}: not named <context>/<event>.v<N>.avsc, the event in lower case"])
    try:
        definition = json.loads((directory / path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BrokenSchemas([f"{path}: can't be read: {error}"]) from error
    if (
        not isinstance(definition, dict)
        or definition.get("type") != "record"
        or not isinstance(definition.get("fields"), list)
    ):
        raise BrokenSchemas([f"{path}: an event is a record with fields; this is not"])
    if faults := form_faults(definition):
        raise BrokenSchemas([f"{path}: {fault}" for fault in faults])
    try:
        name = parse(definition)["name"]
    except NotASchema as error:
        raise BrokenSchemas([f"{path}: not an Avro schema: {error}"]) from error
    wanted = f"{match['context']}/{_snake(name.rpartition('.')[2])}"
    if name.rpartition(".")[0] != match["context"] or path.rpartition(".v")[0] != wanted:
        raise BrokenSchemas([f"{path}: holds {name}, which belongs in {_folder_of(name)}.v{match['version']}.avsc"])
    text = canonical(definition)
    return SchemaFile(path, name, int(match["version"]), definition, text, hashlib.sha256(text.encode()).hexdigest())


def schema_paths(directory: Path) -> list[str]:
    """Every .avsc below the folder, relative, sorted."""
    return sorted(file.relative_to(directory).as_posix() for file in directory.rglob("*.avsc"))


def canonical(definition: Mapping[str, Any]) -> str:
    """The definition as JSON without blanks, keys sorted: hashed, so that the layout may change and nothing else."""
    return json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def read_lock(directory: Path) -> dict[str, Locked]:
    """The lock by path; empty when there is none yet. BrokenSchemas when it is damaged or gives an id twice."""
    path = directory / LOCK
    if not path.exists():
        return {}
    try:
        entries = {
            name: Locked(int(entry["id"]), str(entry["sha256"]))
            for name, entry in json.loads(path.read_text())["schemas"].items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BrokenSchemas([f"{LOCK}: can't be read: {error}"]) from error
    ids = [entry.id for entry in entries.values()]
    if len(set(ids)) < len(ids) or any(not 0 < number < 2**31 for number in ids):
        raise BrokenSchemas([f"{LOCK}: an id is given twice or is not a positive 32-bit number"])
    return entries


def write_lock(directory: Path, entries: Mapping[str, Locked]) -> None:
    """Write the lock, in order of id, by renaming a whole new file over the old."""
    ordered = sorted(entries.items(), key=lambda entry: entry[1].id)
    document = {"schemas": {path: {"id": locked.id, "sha256": locked.sha256} for path, locked in ordered}}
    fresh = directory / f"{LOCK}.new"
    fresh.write_text(json.dumps(document, indent=2) + "\n")
    fresh.replace(directory / LOCK)


def path_of(name: str, version: int) -> str:
    """Where a version of an event type belongs, relative to the folder."""
    return f"{_folder_of(name)}.v{version}.avsc"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _folder_of(name: str) -> str:
    context, _, event = name.rpartition(".")
    return f"{context or '<namespace>'}/{_snake(event)}"

"""What may be merged and is worth a word: warnings about the schemas folder."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from atlas_contracts.errors import BrokenSchemas
from atlas_contracts.evolution.json_changes import json_changes
from atlas_contracts.folder import SchemaFile, read_lock, read_schema, schema_paths
from atlas_contracts.shared_types import SharedTypes


def cautions(directory: Path, released: Collection[str] | None = None) -> list[str]:
    """One line for each; what has faults is left out, for `checks.check` names it.

    `released`: paths of schemas that were released before, of which nothing is said. Without it only the newest version
    of each event is looked at.
    """
    types = SharedTypes.read(directory)
    try:
        by_type = _by_type(directory, types)
    except BrokenSchemas:
        return []
    return [*_other_json(by_type, released), *_unused(types, by_type)]


def _by_type(directory: Path, types: SharedTypes) -> dict[str, list[SchemaFile]]:
    lock = read_lock(directory)
    files = []
    for path in schema_paths(directory):
        try:
            files.append(read_schema(directory, path, types, lock.get(path)))
        except BrokenSchemas:
            continue
    by_type: dict[str, list[SchemaFile]] = {}
    for file in sorted(files, key=lambda file: (file.type, file.version)):
        by_type.setdefault(file.type, []).append(file)
    return by_type


def _other_json(by_type: Mapping[str, Sequence[SchemaFile]], released: Collection[str] | None) -> Iterator[str]:
    for versions in by_type.values():
        for older, newer in pairwise(versions):
            if newer.path not in released if released is not None else newer is versions[-1]:
                changes = json_changes(newer.definition, older.definition)
                yield from (f"{newer.path}: {change}" for change in changes)


def _unused(types: SharedTypes, by_type: Mapping[str, Sequence[SchemaFile]]) -> Iterator[str]:
    used = {path for versions in by_type.values() for file in versions for path in file.types}
    for path, file in sorted(types.files.items()):
        if path in used:
            continue
        before = {other.path for other in types.files.values() if other.name == file.name}
        events = [versions[-1].path for versions in by_type.values() if before & versions[-1].types.keys()]
        hint = f"; a new version of {', '.join(sorted(events))} takes it" if events else ""
        yield f"{path}: no event names it{hint}"

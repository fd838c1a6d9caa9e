"""Named types that several schemas share: each a file of its own, which event schemas refer to by the type's full name.

    <namespace>/types/<Name>.v<N>.avsc      types/<Name>.v<N>.avsc for a type without a namespace

An event schema is what its file says with these written in. It takes the newest version of each when it is released;
the lock then holds which it took, so that a later version of a type is nothing to it.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atlas_avro.names import NAMED, NotASchema, UnknownType, own_name, parse

from atlas_contracts.errors import BrokenSchemas
from atlas_contracts.forms import form_faults
from atlas_contracts.imports.inlining import inline

FOLDER = "types"
_FILE = re.compile(
    r"(?:(?P<namespace>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)/)?types/(?P<name>[A-Za-z_]\w*)\.v(?P<version>[1-9]\d*)\.avsc",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class TypeFile:
    """One .avsc of a shared type: `path` relative to the schemas folder, the definition, and its text's hash."""

    path: str
    name: str
    version: int
    definition: dict[str, Any]
    sha256: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """A schema with the shared types that it names written in; `types`: the hash of the file of each, by path."""

    definition: Any
    types: Mapping[str, str]


class SharedTypes:
    """The shared types of a schemas folder.

    `files` by path; `newest` by the type's full name; `faults`: what is wrong with them, a line each; `broken`: paths
    of files that are no shared type.
    """

    def __init__(self, files: Sequence[TypeFile], broken: Mapping[str, Sequence[str]]) -> None:
        self.files = {file.path: file for file in files}
        self.broken = frozenset(broken)
        self.newest: dict[str, TypeFile] = {}
        for file in sorted(files, key=lambda file: file.version):
            self.newest[file.name] = file
        self.faults = tuple(fault for path in sorted(broken) for fault in broken[path])
        self.faults += tuple(fault for file in self.newest.values() for fault in self._faults_of_newest(file))

    @classmethod
    def read(cls, directory: Path) -> "SharedTypes":
        """Every shared type below the schemas folder."""
        files: list[TypeFile] = []
        broken: dict[str, Sequence[str]] = {}
        for path in type_paths(directory):
            try:
                files.append(_read(directory, path))
            except BrokenSchemas as error:
                broken[path] = error.faults
        return cls(files, broken)

    def known(self, besides: Collection[str] = ()) -> dict[str, Any]:
        """The newest of each by its name, parsed, with the types that it is made of; but those named in `besides`, and
        what is broken.
        """
        names: dict[str, Any] = {}
        left = [file.definition for name, file in self.newest.items() if name not in besides]
        while left:
            waiting: list[Any] = []
            for definition in left:
                trial = dict(names)
                try:
                    parse(definition, trial)
                except NotASchema:  # it names one that comes later, or that is left out
                    waiting.append(definition)
                else:
                    names = trial
            if len(waiting) == len(left):
                break
            left = waiting
        return names

    def resolve(self, definition: Any, pinned: Collection[str] = ()) -> Resolved:
        """The definition with each shared type that it names written in: the version whose path is in `pinned`, of
        others the newest. Raises NotASchema, with the field, also for what is wrong with the definition itself.
        """
        fixed = {match_name(path): path for path in pinned}
        chosen = {name: file for name, file in self.newest.items() if name not in fixed}
        chosen |= {name: self.files[path] for name, path in fixed.items() if path in self.files}
        made = inline(definition, {name: file.definition for name, file in chosen.items()})
        for circle in made.circles:
            ring = " → ".join(f"{name} ({chosen[name].path})" for name in circle)
            raise NotASchema(f"{ring}: types that hold each other belong in one file")
        try:
            parse(made.definition)
        except UnknownType as error:
            raise NotASchema(self._unknown(error)) from None
        return Resolved(made.definition, {chosen[name].path: chosen[name].sha256 for name in made.used})

    def _unknown(self, error: UnknownType) -> str:
        namespace, _, simple = error.name.rpartition(".")
        stem = f"{namespace}/{FOLDER}/{simple}" if namespace else f"{FOLDER}/{simple}"
        for path in sorted(self.broken):
            if path.startswith(f"{stem}.v"):
                return f"{error}: {path} has faults"
        return f"{error} in this file, and there is no {stem}.v1.avsc"

    def _faults_of_newest(self, file: TypeFile) -> list[str]:
        if file.version != len([other for other in self.files.values() if other.name == file.name]):
            return [f"{file.path}: the versions of {file.name} are not 1 to {file.version}: one is missing"]
        try:
            resolved = self.resolve(file.definition)
        except NotASchema as error:
            return [f"{file.path}: {error}"]
        return [f"{file.path}: {fault}" for fault in form_faults(resolved.definition)] if resolved.types else []


def is_type_path(path: str) -> bool:
    """Whether a path below the schemas folder is where shared types are, rightly named or not."""
    return FOLDER in path.split("/")[:-1]


def type_paths(directory: Path) -> list[str]:
    """Every .avsc where shared types are, relative, sorted."""
    found = (file.relative_to(directory).as_posix() for file in directory.rglob("*.avsc"))
    return sorted(path for path in found if is_type_path(path))


def match_name(path: str) -> str:
    """The full name of the type whose file has this path; empty when it is no such file's."""
    match = _FILE.fullmatch(path)
    return "" if match is None else _named(match)


def canonical(definition: Any) -> str:
    """The definition as JSON without blanks, keys sorted: hashed, so that the layout may change and nothing else."""
    return json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(text: str) -> str:
    """The hash of a canonical text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _named(match: re.Match[str]) -> str:
    return f"{match['namespace']}.{match['name']}" if match["namespace"] else match["name"]


def read_named(directory: Path, path: str, form: re.Pattern[str], as_text: str) -> tuple[re.Match[str], Any]:
    """The parts of a file's name, which has this form, and its JSON. Raises BrokenSchemas."""
    match = form.fullmatch(path)
    if match is None:
        raise BrokenSchemas([f"{path}: not named {as_text}"])
    try:
        return match, json.loads((directory / path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BrokenSchemas([f"{path}: can't be read: {error}"]) from error


def _read(directory: Path, path: str) -> TypeFile:
    match, definition = read_named(directory, path, _FILE, f"[<namespace>/]{FOLDER}/<Name>.v<N>.avsc")
    if not isinstance(definition, dict) or definition.get("type") not in NAMED:
        raise BrokenSchemas([f"{path}: a shared type is a record, an enum or a fixed; this is not"])
    if faults := form_faults(definition):
        raise BrokenSchemas([f"{path}: {fault}" for fault in faults])
    name = own_name(definition, "")
    if name != _named(match):
        raise BrokenSchemas([f"{path}: holds {name}, and its path says {_named(match)}"])
    return TypeFile(path, name, int(match["version"]), definition, digest(canonical(definition)))

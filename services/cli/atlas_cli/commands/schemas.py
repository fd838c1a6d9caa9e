"""`atlas schemas`: list what is released, check the folder, release a new schema."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from atlas_cli.output import CommandError, JsonFlag, print_json, print_rows, say

if TYPE_CHECKING:
    from atlas_contracts.folder import Locked

app = typer.Typer(no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app, name="schemas", help="List, check and release event schemas.")


@app.command("list")
def list_schemas(as_json: JsonFlag = False) -> None:
    """Every released schema: id, event type, version, topic and file."""
    from atlas_contracts.errors import BrokenSchemas
    from atlas_contracts.registry import Registry

    try:
        registry = Registry.load(_directory())
    except BrokenSchemas as error:
        _fail(error.faults)
    topic_of = {event: topic.name for topic in registry.topics.values() for event in topic.events}
    rows = [
        {
            "id": schema.id,
            "type": schema.type,
            "version": schema.version,
            "topic": topic_of.get(schema.type),
            "path": schema.path,
        }
        for schema in sorted(registry.schemas.values(), key=lambda schema: schema.id)
    ]
    print_rows(rows, as_json=as_json, empty="no schemas")


@app.command()
def check(
    against: Annotated[
        str | None, typer.Option(metavar="REF", help="A git ref that this folder may only add to.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Refuse an edited, removed or incompatible schema, and topics that contradict the schemas.

    With --against also a lock that does not go on from that one, and topics that were renamed or have another key.
    """
    from atlas_contracts.checks import check as check_folder

    directory = _directory()
    faults = check_folder(directory, _released(directory, against) if against else None)
    if against and not faults:
        faults = _topic_changes(directory, against)
    if as_json:
        print_json({"faults": faults})
        raise typer.Exit(1 if faults else 0)
    if faults:
        _fail(faults)
    say("schemas: nothing wrong")


@app.command()
def add(
    path: Annotated[Path, typer.Argument(help="The new file, <context>/<event>.v<N>.avsc.")], as_json: JsonFlag = False
) -> None:
    """Check a new schema against everything and give it the next id."""
    from atlas_contracts.checks import add as add_schema
    from atlas_contracts.errors import BrokenSchemas

    directory = _directory()
    relative = _relative(path, directory)
    try:
        number = add_schema(directory, relative)
    except BrokenSchemas as error:
        _fail(error.faults)
    if as_json:
        print_json({"path": relative, "id": number})
    else:
        say(f"{relative} has id {number}")


def _directory() -> Path:
    from atlas_cli.settings import load_settings

    return load_settings().schemas_dir


def _relative(path: Path, directory: Path) -> str:
    """The path below the schemas folder, given from there or from the working directory."""
    for candidate in (path.resolve(), (directory / path).resolve()):
        if candidate.is_file() and candidate.is_relative_to(directory):
            return candidate.relative_to(directory).as_posix()
    raise CommandError(f"{path} is no file below {directory}")


def _released(directory: Path, ref: str) -> "dict[str, Locked]":
    from atlas_contracts.folder import LOCK, read_lock

    with _at(directory, ref, LOCK) as copy:
        return read_lock(copy.parent)


def _topic_changes(directory: Path, ref: str) -> list[str]:
    from atlas_contracts.errors import BrokenSchemas
    from atlas_contracts.folder import TOPICS
    from atlas_contracts.topic_changes import topic_changes
    from atlas_contracts.topics import read_topics

    with _at(directory, ref, TOPICS) as copy:
        try:
            before = read_topics(copy)
        except BrokenSchemas:
            return []  # what was no good then has nothing to be held to
    return topic_changes(before, read_topics(directory / TOPICS))


@contextmanager
def _at(directory: Path, ref: str, name: str) -> Iterator[Path]:
    """A copy of the folder's file as it was at a git ref."""
    command = ["git", "-C", str(directory), "show", "--end-of-options", f"{ref}:./{name}"]
    shown = subprocess.run(command, capture_output=True, check=False)
    if shown.returncode:
        raise CommandError(f"no {name} at {ref}: {shown.stderr.decode(errors='replace').strip()}")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / name
        copy.write_bytes(shown.stdout)
        yield copy


def _fail(faults: "tuple[str, ...] | list[str]") -> NoReturn:
    for fault in faults:
        say(fault, err=True)
    raise typer.Exit(1)

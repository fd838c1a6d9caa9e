"""`atlas schemas`: list what is released, check the folder, release a new schema."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from atlas_cli.terminal.help_groups import SCHEMAS
from atlas_cli.terminal.help_groups import add as add_command
from atlas_cli.terminal.output import CommandError, JsonFlag, print_json, print_rows, progress, say

if TYPE_CHECKING:
    from atlas_contracts.folder import Locked
    from atlas_contracts.imports.importing import Offer


def register(parent: typer.Typer) -> None:
    """Add the group."""
    app = typer.Typer(help="List, check and release event schemas.", no_args_is_help=True)
    add_command(app, list_schemas, "atlas schemas list", name="list")
    add_command(app, check, "atlas schemas check", "atlas schemas check --against main")
    add_command(app, add, "atlas schemas add schemas/bookings/seat_booked.v2.avsc")
    add_command(
        app,
        import_schemas,
        "atlas schemas import avro/ --topic orders.events --key order_id",
        "atlas schemas import https://registry.example.com --subject orders-value",
        name="import",
    )
    parent.add_typer(app, name="schemas", rich_help_panel=SCHEMAS)


def list_schemas(as_json: JsonFlag = False) -> None:
    """Every released schema: id, event type, version, topic, file, and which shared types it was released with.

    Then the shared types that none was released with, marked as unused.
    """
    from atlas_contracts.errors import BrokenSchemas
    from atlas_contracts.folder import read_lock
    from atlas_contracts.registry import Registry
    from atlas_contracts.shared_types import SharedTypes

    try:
        registry = Registry.load(_directory())
        lock = read_lock(_directory())
    except BrokenSchemas as error:
        _fail(error.faults)
    topics_of: dict[str, list[str]] = {}
    for topic in registry.topics.values():
        for event in topic.events:
            topics_of.setdefault(event, []).append(topic.name)
    rows: list[dict[str, Any]] = [
        {
            "id": schema.id,
            "type": schema.type,
            "version": schema.version,
            "topic": ", ".join(topics_of.get(schema.type, [])) or None,
            "types": ", ".join(sorted(lock[schema.path].types)) or None,
            "path": schema.path,
            "unused": False,
        }
        for schema in sorted(registry.schemas.values(), key=lambda schema: schema.id)
    ]
    used = {path for locked in lock.values() for path in locked.types}
    nothing = {"id": None, "topic": None, "types": None}
    rows += [
        nothing | {"type": file.name, "version": file.version, "path": path, "unused": True}
        for path, file in sorted(SharedTypes.read(_directory()).files.items())
        if path not in used
    ]
    if not as_json:
        rows = [row | {"unused": "yes" if row["unused"] else None} for row in rows]
    print_rows(rows, as_json=as_json, empty="no schemas", spare=("path", "types"))


def check(
    against: Annotated[
        str | None, typer.Option(metavar="REF", help="A git ref that this folder may only add to.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Refuse an edited, removed or incompatible schema, and topics that contradict the schemas.

    With --against also a lock that does not go on from that one, and topics that were renamed or have another key.
    Warns where a new version gives values out in another form of JSON, and of shared types that no event names.
    """
    from atlas_contracts.checks import check as check_folder
    from atlas_contracts.evolution.cautions import cautions

    directory = _directory()
    released = _released(directory, against) if against else None
    faults, warnings = check_folder(directory, released), cautions(directory, released)
    if against and not faults:
        faults = _topic_changes(directory, against)
    if as_json:
        print_json({"faults": faults, "warnings": warnings})
        raise typer.Exit(1 if faults else 0)
    _warn(warnings)
    if faults:
        _fail(faults)
    say("schemas: nothing wrong")


def add(
    path: Annotated[Path, typer.Argument(help="The new file, <context>/<event>.v<N>.avsc.")], as_json: JsonFlag = False
) -> None:
    """Check a new schema against everything and give it the next id."""
    from atlas_contracts.checks import add as add_schema
    from atlas_contracts.errors import BrokenSchemas
    from atlas_contracts.evolution.cautions import cautions
    from atlas_contracts.folder import read_lock

    directory = _directory()
    relative = _relative(path, directory)
    try:
        others = read_lock(directory).keys() - {relative}
        number = add_schema(directory, relative)
    except BrokenSchemas as error:
        _fail(error.faults)
    warnings = [line for line in cautions(directory, others) if line.startswith(f"{relative}: ")]
    if as_json:
        print_json({"path": relative, "id": number, "warnings": warnings})
    else:
        _warn(warnings)
        say(f"{relative} has id {number}")


def import_schemas(
    source: Annotated[str, typer.Argument(metavar="PATH|URL", help="A file, a folder of .avsc, or a registry's URL.")],
    subject: Annotated[list[str] | None, typer.Option(help="Of a registry: these subjects alone.")] = None,
    topic: Annotated[str | None, typer.Option(help="The topic; of <topic>-value subjects it is known.")] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="[TOPIC=]FIELD", help="The records' key: a field or path; TOPIC= for none."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Take schemas as they are elsewhere, those of a registry with their ids; all of them, or none.

    The password of a registry is ATLAS_REGISTRY_AUTH=USER:PASSWORD.
    """
    from atlas_contracts.errors import BrokenSchemas
    from atlas_contracts.imports.importing import import_schemas as bring_in

    keys = {each.rpartition("=")[0]: each.rpartition("=")[2] for each in key or ()}
    passed: list[str] = []
    try:
        if source.startswith(("http://", "https://")):
            with progress("asking the registry", quiet=as_json) as tell:
                offered, passed = _of_registry(source, subject or [], topic, tell)
        else:
            offered = _of_files(Path(source), topic)
        done = bring_in(_directory(), offered, keys, dry_run=dry_run)
    except BrokenSchemas as error:
        _fail(error.faults)
    if as_json:
        said = {"ids": done.ids, "topics": done.topics, "known": done.known, "passed_over": passed}
        print_json(said | {"renumbered": done.renumbered})
        return
    rows = [{"id": number, "path": path} for path, number in done.ids.items()]
    print_rows(rows, as_json=False, empty="nothing new")
    for each in passed:
        say(f"passed over: {each}")
    for path, version in done.renumbered.items():
        say(f"{path} is version {version} of the registry: versions here have no holes")
    if done.ids or done.topics:
        say("nothing was written" if dry_run else _next_steps(done.topics))


def _of_registry(
    url: str, subjects: list[str], topic: str | None, tell: Callable[[str], None]
) -> "tuple[list[Offer], list[str]]":
    import asyncio

    from atlas_cli.schema_registry import Limits, offers
    from atlas_cli.settings import load_settings

    settings = load_settings()
    limits = Limits(
        subjects=settings.registry_subjects_max,
        versions=settings.registry_versions_max,
        references=settings.registry_references_max,
        answers_bytes=settings.registry_answers_max_bytes,
        overall_s=settings.registry_overall_s,
    )
    auth = settings.registry_auth
    secret = auth.get_secret_value() if auth is not None else None
    return asyncio.run(offers(url, subjects, limits=limits, topic=topic, auth=secret, tell=tell))


def _of_files(path: Path, topic: str | None) -> "list[Offer]":
    from atlas_contracts.imports.import_files import offers_of_files
    from atlas_contracts.shared_types import SharedTypes

    if topic is None:
        raise CommandError("which topic are the events of? Say --topic NAME")
    files = sorted(path.rglob("*.avsc")) if path.is_dir() else [path]
    if not files:
        raise CommandError(f"{path}: no .avsc files")
    try:
        texts = {str(file.relative_to(path)) if path.is_dir() else file.name: file.read_text() for file in files}
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: can't be read: {error}") from None
    return offers_of_files(texts, topic, SharedTypes.read(_directory()))


def _next_steps(topics: list[str]) -> str:
    declared = f"topics.yaml has {', '.join(topics)} now; look at partitions, retention and source. " if topics else ""
    return f"{declared}Next: atlas up, which makes topics and restarts the services that read them"


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
        return read_lock(copy)


def _topic_changes(directory: Path, ref: str) -> list[str]:
    from atlas_contracts.errors import BrokenSchemas
    from atlas_contracts.evolution.topic_changes import topic_changes
    from atlas_contracts.folder import TOPICS
    from atlas_contracts.topics import topics_in

    with _at(directory, ref, TOPICS) as copy:
        try:
            before = topics_in(copy)
        except BrokenSchemas:
            return []  # what was no good then has nothing to be held to
    return topic_changes(before, topics_in(directory))


@contextmanager
def _at(directory: Path, ref: str, name: str) -> Iterator[Path]:
    """A copy of the folder's files of this name as they were at a git ref."""
    listed = _git(directory, f"no {name} at {ref}", "ls-tree", "-r", "--name-only", "--end-of-options", ref, ".")
    files = [path for path in listed.decode().splitlines() if path.rpartition("/")[2] == name and path.count("/") < 2]
    if not files:
        raise CommandError(f"no {name} at {ref}: {directory.name} had none then")
    with tempfile.TemporaryDirectory() as folder:
        for path in files:
            copy = Path(folder) / path
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(_git(directory, f"no {path} at {ref}", "show", "--end-of-options", f"{ref}:./{path}"))
        yield Path(folder)


def _git(directory: Path, failed: str, *command: str) -> bytes:
    shown = subprocess.run(["git", "-C", str(directory), *command], capture_output=True, check=False)
    if shown.returncode:
        raise CommandError(f"{failed}: {shown.stderr.decode(errors='replace').strip()}")
    return shown.stdout


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        say(f"warning: {warning}", err=True)


def _fail(faults: "tuple[str, ...] | list[str]") -> NoReturn:
    for fault in faults:
        say(fault, err=True)
    raise typer.Exit(1)

"""atlas archive compact | export | expire | accept | set-aside | look-again | hold | release | holds"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas_cli.settings import CliSettings, load_settings
from atlas_cli.terminal.completing import topics
from atlas_cli.terminal.help_groups import add
from atlas_cli.terminal.output import CommandError, JsonFlag, YesFlag, confirm, print_json, print_rows, say

if TYPE_CHECKING:
    from atlas_archive.chain.manifests import PartitionPath
    from atlas_archive.chain.set_aside import InTheWay
    from atlas_archive.store import S3Store

Topic = Annotated[str, typer.Argument(help="The topic, in every incarnation.", autocompletion=topics)]
Name = Annotated[str, typer.Argument(help="The hold's name.")]
Grace = Annotated[
    float, typer.Option(metavar="MINUTES", min=0, help="How long what is replaced stays for those who read it.")
]

_A_KEY = "topics/bookings.events/a4670ec0/manifest/partition=0/500.json"


def add_to(group: typer.Typer) -> None:
    """Add the commands to the group `archive`."""
    add(group, compact, "atlas archive compact bookings.events --target-mb 64")
    add(group, export, "atlas archive export bookings.events --to export")
    add(group, expire, "atlas archive expire bookings.events --older-than-days 365 --dry-run")
    add(group, accept, 'atlas archive accept bookings.events --reason "a topic of a trial"')
    add(group, set_object_aside, f"atlas archive set-aside {_A_KEY} --dry-run", name="set-aside")
    add(group, look_again, "atlas archive look-again bookings.events")
    add(group, hold, 'atlas archive hold bookings.events audit --reason "asked for until June"')
    add(group, release, "atlas archive release bookings.events audit")
    add(group, list_holds, "atlas archive holds", name="holds")


def compact(
    topic: Topic,
    target_mb: Annotated[
        float, typer.Option(min=0.001, help="The least size of what is made, MB; readers hold twice as much.")
    ] = 32.0,
    grace: Grace = 60.0,
    as_json: JsonFlag = False,
) -> None:
    """Make large segments of small ones. Safe beside archivers, readers and expire, and at any interruption."""
    from atlas_archive.maintenance.compaction import compact as run

    async def one(store: "S3Store", path: "PartitionPath") -> dict[str, Any]:
        done = await run(store, path, target_bytes=int(target_mb * 1e6), writer="atlas compact", grace_s=grace * 60)
        return asdict(done)

    _print(asyncio.run(_each(topic, one)), as_json, "Compacted")


def export(
    topic: Topic,
    folder: Annotated[Path, typer.Option("--to", help="Where the files go.")] = Path("export"),
    as_json: JsonFlag = False,
) -> None:
    """Write what is archived as Parquet: a folder an event type, a column a field."""
    rows = asyncio.run(export_topic(load_settings(), topic, folder, quiet=as_json))
    _print(rows, as_json, f"Exported to {folder}")


def expire(
    topic: Topic,
    older_than_days: Annotated[float, typer.Option(min=0, help="Segments whose last record is older.")],
    grace: Grace = 60.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go.")] = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Give up old segments for good, unless the topic is under a hold."""
    from atlas_archive.maintenance.holds import UnderHold
    from atlas_archive.maintenance.retention import expire as run

    if not dry_run:
        confirm(f"Give up what {topic} has older than {older_than_days:g} days, for good?", yes=yes)
    before_ms = int((time.time() - older_than_days * 86_400) * 1000)

    async def one(store: "S3Store", path: "PartitionPath") -> dict[str, Any]:
        try:
            return asdict(await run(store, path, before_ms=before_ms, grace_s=grace * 60, dry_run=dry_run))
        except UnderHold as error:
            raise CommandError(str(error)) from None

    _print(asyncio.run(_each(topic, one)), as_json, "Would expire" if dry_run else "Expired")


def accept(
    topic: Topic,
    reason: Annotated[str, typer.Option(help="Why these records may be missing.")],
    as_json: JsonFlag = False,
) -> None:
    """State that what is not archived is known: verify then notes it.

    For what retention removed before it was archived, and for the end of a topic that was deleted before it was
    archived. For what is missing now; a later gap is a problem again.
    """
    rows = asyncio.run(_accept(load_settings(), topic, reason))
    _print(rows, as_json, "Accepted as missing")


async def _accept(settings: CliSettings, topic: str, reason: str) -> list[dict[str, Any]]:
    from atlas_archive.chain.manifests import BadManifest
    from atlas_archive.proof.gaps import accept as state

    from atlas_cli.archived.object_store import open_archive
    from atlas_cli.topics.topic_reader import open_topic_reader

    async with open_topic_reader(settings.kafka_brokers) as reader:
        live = await reader.describe(topic)
    async with open_archive(settings) as store:
        try:
            stated = await state(store, topic, live.incarnation if live is not None else None, reason)
        except BadManifest as error:
            raise CommandError(f"{error}; see `atlas archive verify`") from None
    if not stated:
        raise CommandError(f"{topic}: nothing is archived")
    return [
        {"incarnation": path.incarnation[:8], "partition": path.partition, "gaps": [gap.told() for gap in gaps]}
        for path, gaps in stated
    ]


def set_object_aside(
    key: Annotated[str, typer.Argument(help="The object's key, as verify or the archiver's readiness names it.")],
    anyway: Annotated[bool, typer.Option("--anyway", help="Also a manifest that reads, and is wrong.")] = False,
    though_lost: Annotated[
        bool, typer.Option("--though-lost", help="Also when the topic has the segment's records no more.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it is.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Move an object away that is at a manifest's place and is none; its bytes stay, under set-aside/.

    The archiver then goes on from the segment before it, with what the topic still has. What the topic has no more is
    in the archive alone, and without its manifest its files may be swept: that is refused unless you say so.
    """
    from atlas_archive.chain.set_aside import NotInTheWay, look_at, set_aside
    from atlas_archive.store import MissingObject

    from atlas_cli.archived.only_archived import why_only_archived

    async def act(store: "S3Store") -> "InTheWay":
        found = await look_at(store, key, anyway=anyway)
        if dry_run:
            return found
        if not though_lost and (why := await why_only_archived(load_settings(), key)):
            raise CommandError(
                f"{key}: {why}; its records are in the archive alone, and would be lost with it. Put the object back"
                " from a version or a copy; --though-lost sets it aside all the same"
            )
        return await set_aside(store, key, anyway=anyway)

    try:
        found = asyncio.run(_with_store(act))
    except (NotInTheWay, MissingObject) as error:
        raise CommandError(str(error)) from None
    text = f"{found.key}: {found.reason}; {found.bytes} bytes, which begin with {found.begins_with}"
    _say(asdict(found), as_json, f"{text}; {'would go' if dry_run else 'now'} to {found.moves_to}")


def look_again(topic: Topic, as_json: JsonFlag = False) -> None:
    """Have the archiver look again into records that it died over, as after an upgrade."""
    from atlas_archive.chain.deaths import forget_deaths

    async def forget(store: "S3Store") -> int:
        return len([key async for key in forget_deaths(store, topic)])

    notes = asyncio.run(_with_store(forget))
    _say({"topic": topic, "notes": notes}, as_json, f"{topic}: what the archiver died over is looked into again")


def hold(
    topic: Topic,
    name: Name,
    reason: Annotated[str, typer.Option(help="Why nothing may be given up.")],
    as_json: JsonFlag = False,
) -> None:
    """Forbid that anything of the topic is given up."""
    from atlas_archive.maintenance.holds import place_hold

    placed = asyncio.run(_with_store(lambda store: place_hold(store, topic, name, reason)))
    if placed is None:
        raise CommandError(f"{topic} has a hold {name} already")
    _say(asdict(placed), as_json, f"{topic} is under hold {name}")


def release(topic: Topic, name: Name, as_json: JsonFlag = False) -> None:
    """Take a hold away."""
    from atlas_archive.maintenance.holds import release_hold

    if not asyncio.run(_with_store(lambda store: release_hold(store, topic, name))):
        raise CommandError(f"{topic} has no hold {name}")
    _say({"topic": topic, "name": name}, as_json, f"hold {name} on {topic} is released")


def list_holds(
    topic: Annotated[str | None, typer.Argument(help="Only this topic.")] = None, as_json: JsonFlag = False
) -> None:
    """List the holds."""
    from atlas_archive.maintenance.holds import holds

    rows = [asdict(found) for found in asyncio.run(_with_store(lambda store: holds(store, topic)))]
    print_rows(rows, as_json=as_json, title="Holds", empty="no hold")


async def export_topic(settings: CliSettings, topic: str, folder: Path, *, quiet: bool) -> list[dict[str, Any]]:
    """Export every partition of the topic's latest state; a row each."""
    from atlas_archive.history import histories
    from atlas_archive.tables.export import Exported
    from atlas_archive.tables.export import export as run

    from atlas_cli.archived.export_readings import readings_of
    from atlas_cli.connect import load_registry

    readings = readings_of(load_registry(settings))

    async def one(store: "S3Store", path: "PartitionPath") -> dict[str, Any]:
        found = (await histories(store, path.topic, path.incarnation)).get(path.partition)
        if found is None:
            return asdict(Exported())
        return asdict(await run(store, found, folder, readings))

    try:
        return await _each(topic, one, settings, quiet=quiet)
    except ModuleNotFoundError as error:
        raise CommandError(f"export needs the package {error.name}, which requirements-local.txt has") from None


async def _each(
    topic: str,
    act: "Callable[[S3Store, PartitionPath], Awaitable[dict[str, Any]]]",
    settings: CliSettings | None = None,
    *,
    quiet: bool = True,
) -> list[dict[str, Any]]:
    """What `act` gives for every archived partition of the topic, shown as it goes unless `quiet`."""
    from atlas_archive.chain.listing import paths
    from atlas_archive.chain.manifests import BadManifest
    from atlas_archive.format.container import CorruptFile
    from atlas_archive.store import MissingObject

    from atlas_cli.archived.object_store import open_archive

    rows = []
    async with open_archive(settings or load_settings()) as store:
        try:
            for path in await paths(store, topic):
                done = await act(store, path)
                rows.append({"incarnation": path.incarnation[:8], "partition": path.partition, **done})
                if not quiet:
                    say(f"{topic}/{path.partition}: {done}", err=True)
        except (BadManifest, CorruptFile, MissingObject) as error:
            raise CommandError(f"{error}; see `atlas archive verify`") from None
    if not rows:
        raise CommandError(f"{topic}: nothing is archived")
    return rows


async def _with_store(act: "Callable[[S3Store], Awaitable[Any]]") -> Any:
    from atlas_cli.archived.object_store import open_archive

    async with open_archive(load_settings()) as store:
        return await act(store)


def _print(rows: list[dict[str, Any]], as_json: bool, title: str) -> None:
    print_rows(rows, as_json=as_json, title=title)


def _say(document: dict[str, Any], as_json: bool, text: str) -> None:
    if as_json:
        print_json(document)
    else:
        say(text)

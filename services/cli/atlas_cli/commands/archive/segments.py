"""atlas archive ls | verify; compact, export, expire and holds are in care"""

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas_cli.commands.archive import care
from atlas_cli.settings import CliSettings, load_settings
from atlas_cli.terminal.completing import topics
from atlas_cli.terminal.help_groups import ARCHIVE, add
from atlas_cli.terminal.output import CommandError, JsonFlag, print_json, print_rows, say, spinner

if TYPE_CHECKING:
    from atlas_archive.proof.reports import TopicReport

Topics = Annotated[
    list[str] | None, typer.Argument(help="Topics to verify; all when none is given.", autocompletion=topics)
]


def register(app: typer.Typer) -> None:
    """Add the group `archive`."""
    group = typer.Typer(help="What is archived, and the proof that it is all there.", no_args_is_help=True)
    add(group, ls, "atlas archive ls bookings.events")
    add(group, verify, "atlas archive verify", "atlas archive verify bookings.events --offline")
    care.add_to(group)
    app.add_typer(group, name="archive", rich_help_panel=ARCHIVE)


def ls(
    topic: Annotated[str | None, typer.Argument(help="Only this topic.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List what is archived: a row a partition, with segments, records, bytes and offsets.

    The topics of canaries are not among it, unless one is named.
    """
    from atlas_archive.chain.listing import summaries
    from atlas_archive.chain.manifests import BadManifest
    from atlas_contracts.canary import carriers

    from atlas_cli.archived.object_store import open_archive
    from atlas_cli.connect import load_registry

    settings = load_settings()
    hidden = carriers(load_registry(settings).topics.values()) if topic is None else frozenset()

    async def load() -> list[dict[str, Any]]:
        async with open_archive(settings) as store:
            try:
                return [asdict(row) for row in await summaries(store, topic) if row.topic not in hidden]
            except BadManifest as error:
                raise CommandError(f"{error}; see `atlas archive verify`") from None

    rows = asyncio.run(load())
    if as_json:
        print_json(rows)
        return
    shown = [
        {
            "topic": row["topic"],
            "incarnation": row["incarnation"][:8],
            **{name: row[name] for name in ("partition", "segments", "records")},
            "bytes": row["size"],
            "offsets": f"{row['start_offset']} - {row['next_offset'] - 1}",
        }
        for row in rows
    ]
    print_rows(shown, as_json=False, title="Archive", empty="nothing is archived")


def verify(
    topics: Topics = None,
    as_json: JsonFlag = False,
    offline: Annotated[bool, typer.Option("--offline", help="Do not compare with the topics.")] = False,
) -> None:
    """Prove that the archive is complete and equals the topics, or name what is wrong. Exit code 1 if anything is."""
    reports = asyncio.run(verify_topics(load_settings(), topics or [], offline=offline, quiet=as_json))
    ok = not any(report.problems for report in reports)
    if as_json:
        print_json({"topics": [_as_json(report) for report in reports], "ok": ok})
    else:
        rows = [
            {
                "topic": report.topic,
                "segments": report.segments,
                "records": report.records,
                "bytes": report.bytes,
                "compared_with_topic": report.compared_with_topic,
                "not_archived_yet": report.behind,
                "complete_from": ", ".join(f"{p}: {at}" for p, at in sorted(report.complete_from.items())),
                "problems": len(report.problems),
            }
            for report in reports
        ]
        print_rows(rows, as_json=False, title="Archive", empty="nothing is archived")
        for report in reports:
            for text in (*report.problems, *(f"note: {note}" for note in report.notes)):
                say(text)
        say("the archive is complete" if ok else "the archive has problems")
    if not ok:
        raise typer.Exit(1)


def _as_json(report: "TopicReport") -> dict[str, Any]:
    return {**asdict(report), "complete_from": {str(part): at for part, at in report.complete_from.items()}}


async def verify_topics(
    settings: CliSettings, topics: list[str], *, offline: bool = False, quiet: bool = False
) -> "list[TopicReport]":
    """Verify the named topics, or all, and show the progress unless `quiet`; a report a topic."""
    from atlas_archive.proof.verify import verify as verify_archive

    from atlas_cli.archived.object_store import open_archive
    from atlas_cli.topics.topic_reader import open_topic_reader

    async with open_archive(settings) as store:
        with spinner("verifying", quiet=quiet) as tell:

            def show(report: "TopicReport") -> None:
                text = f"{report.topic}: {report.segments} segments, {report.records} records"
                tell(f"{text}, {report.compared_with_topic} equal to the topic")

            if offline:
                return await verify_archive(store, only=topics, progress=show)
            async with open_topic_reader(settings.kafka_brokers) as reader:
                return await verify_archive(store, only=topics, reader=reader, progress=show)

"""Proves a topic's archive complete, or names what is wrong with it.

Of every incarnation: the manifests of a partition follow each other without a gap, each object they name is there, is
the bytes that were written and holds the records it should, and no object is there that nobody knows. Of the live
incarnation: what the topic still holds equals what the archive holds, record by record and byte for byte.
"""

from collections.abc import Sequence

from atlas_archive.chain.manifests import BadManifest, topics
from atlas_archive.proof.incarnation_check import IncarnationCheck
from atlas_archive.proof.reports import Progress, TopicReader, TopicReport
from atlas_archive.store import ObjectStore


async def verify(
    store: ObjectStore,
    *,
    only: Sequence[str] = (),
    reader: TopicReader | None = None,
    progress: Progress = lambda _: None,
) -> list[TopicReport]:
    """Verify the topics named, or all; a report each, by name. `progress` is told after every segment.

    May run beside a live archiver. A topic that was named and has no archive gets a problem saying so.
    """
    reports = {topic: TopicReport(topic) for topic in only}
    found: dict[str, list[str]] = {}
    async for topic, incarnation in topics(store):
        if not only or topic in reports:
            found.setdefault(topic, []).append(incarnation)
            reports.setdefault(topic, TopicReport(topic))
    for topic in sorted(reports):
        report = reports[topic]
        if topic not in found:
            report.problems.append(f"{topic}: nothing is archived")
            continue
        live = await reader.describe(topic) if reader is not None else None
        for incarnation in found[topic]:
            current = live if live is not None and live.incarnation == incarnation else None
            try:
                await IncarnationCheck(store, report, incarnation, current, reader, progress).run()
            except BadManifest as error:
                report.problems.append(str(error))
        if reader is not None and live is None:
            report.notes.append(f"{topic}: there is no such topic to compare with")
        if live is not None and live.incarnation not in found[topic]:
            report.notes.append(f"{topic}: its present incarnation {live.incarnation} has no archive yet")
    return [reports[topic] for topic in sorted(reports)]

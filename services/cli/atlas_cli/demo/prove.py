"""Proving what is the mesh's own: the archive, a rebuild, the lag. What contexts compare is theirs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from atlas_archive.proof.reports import TopicReport
from atlas_runtime.demo import Check


def prove_archive(reports: Sequence[TopicReport], expected: Mapping[str, int]) -> Check:
    """The archive's own verification finds nothing wrong, and it holds every record that was produced.

    A topic may hold more than the demo's records: people go on to use the mesh.
    """
    archived = {report.topic: report.records for report in reports}
    differences = [f"{report.topic}: {problem}" for report in reports for problem in report.problems]
    for topic, records in expected.items():
        found = archived.get(topic, 0)
        if found < records:
            differences.append(f"{topic}: {found} records archived, {records} produced")
    return Check("archive: complete, equal to the topics", sum(expected.values()), tuple(differences))


def prove_rebuild(name: str, report: Mapping[str, Any]) -> Check:
    """The new generation has the rows of the old one."""
    different = int(report["different_rows"])
    return Check(
        f"rebuild of {name}: identical rows",
        int(report["rows"]),
        () if report["identical"] else (f"{different} rows differ between the generations",),
    )


def prove_lag(rows: Iterable[Mapping[str, Any]], groups: Iterable[str]) -> Check:
    """No group of the mesh has a record left to read."""
    watched = [row for row in rows if row["group"] in set(groups)]
    behind = tuple(
        f"{row['group']} {row['topic']}/{row['partition']}: {row['lag_records']} records"
        for row in watched
        if row["lag_records"]
    )
    return Check("lag: zero in every partition", len(watched), behind)

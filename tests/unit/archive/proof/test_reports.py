"""Reports start empty, each with lists of its own, and are plain data."""

import json
from dataclasses import asdict

from atlas_archive.proof.reports import TopicReport


def test_reports_share_nothing() -> None:
    one, other = TopicReport("a"), TopicReport("b")
    one.problems.append("x")
    one.notes.append("y")
    assert (other.problems, other.notes) == ([], [])


def test_a_report_is_the_json_that_verify_prints() -> None:
    document = json.loads(json.dumps(asdict(TopicReport("a", records=3, problems=["x"]))))
    assert document == {
        "topic": "a",
        "segments": 0,
        "records": 3,
        "bytes": 0,
        "compared_with_topic": 0,
        "behind": 0,
        "problems": ["x"],
        "notes": [],
        "complete_from": {},
    }

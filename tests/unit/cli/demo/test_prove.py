"""The proof must notice what differs."""

from atlas_archive.proof.reports import TopicReport
from atlas_cli.demo.prove import prove_archive, prove_lag, prove_rebuild


def test_archive_counts_and_problems() -> None:
    report = TopicReport("a", records=9, problems=["segment 3 is truncated"])
    assert prove_archive([report], {"a": 10}).differences == (
        "a: segment 3 is truncated",
        "a: 9 records archived, 10 produced",
    )


def test_rebuild() -> None:
    assert prove_rebuild("x", {"rows": 5, "identical": True, "different_rows": 0}).holds
    assert not prove_rebuild("x", {"rows": 5, "identical": False, "different_rows": 2}).holds


def test_lag_of_other_groups_is_theirs() -> None:
    rows = [
        {"group": "archiver", "topic": "t", "partition": 0, "lag_records": 0},
        {"group": "somebody", "topic": "t", "partition": 0, "lag_records": 5},
    ]
    assert prove_lag(rows, ["archiver"]).holds
    assert prove_lag(rows, ["somebody"]).differences == ("somebody t/0: 5 records",)

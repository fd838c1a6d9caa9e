"""The proof must notice what differs."""

from atlas_archive.reports import TopicReport
from atlas_cli.demo.prove import Check, _compare, prove_archive, prove_lag, prove_rebuild
from atlas_cli.flights_data import Delays

EXPECTED = {
    "UA": Delays(
        flights=3,
        departed=2,
        cancelled=1,
        departure_delay_sum=7,
        departure_delay_count=2,
        arrival_delay_sum=-1,
        arrival_delay_count=1,
    )
}
ROW = {
    "flights": 3,
    "departed": 2,
    "cancelled": 1,
    "mean_departure_delay_minutes": 3.5,
    "mean_arrival_delay_minutes": -1.0,
}


def test_equal_rows_hold() -> None:
    assert _compare("x", EXPECTED, {"UA": ROW}) == Check("x", 1)


def test_each_difference_is_named() -> None:
    found = {"UA": {**ROW, "flights": 4, "mean_arrival_delay_minutes": None}, "ZZ": ROW}
    assert _compare("x", EXPECTED, found).differences == (
        "ZZ: not in the CSV",
        "UA: flights is 4, in the CSV 3",
        "UA: mean_arrival_delay_minutes is None, in the CSV -1.0",
    )


def test_a_missing_row_is_a_difference() -> None:
    assert _compare("x", EXPECTED, {}).differences == ("UA: missing",)


def test_nothing_compared_proves_nothing() -> None:
    assert not _compare("x", {}, {}).holds


def test_archive_counts_and_problems() -> None:
    report = TopicReport("a", records=9, problems=["segment 3 is truncated"])
    assert prove_archive([report], {"a": 10}).differences == (
        "a: segment 3 is truncated",
        "a: 9 records archived, 10 produced",
    )


def test_rebuild() -> None:
    assert prove_rebuild({"rows": 5, "identical": True, "different_rows": 0}).holds
    assert not prove_rebuild({"rows": 5, "identical": False, "different_rows": 2}).holds


def test_lag_of_other_groups_is_theirs() -> None:
    rows = [
        {"group": "archiver", "topic": "t", "partition": 0, "lag_records": 0},
        {"group": "somebody", "topic": "t", "partition": 0, "lag_records": 5},
    ]
    assert prove_lag(rows, ["archiver"]).holds
    assert prove_lag(rows, ["somebody"]).differences == ("somebody t/0: 5 records",)

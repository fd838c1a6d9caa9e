"""What one run posts, and that its proof notices what differs."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

import pytest
from atlas_contracts.registry import Registry
from atlas_flights.demo.data import FLIGHTS
from atlas_flights.demo.run import COUNTED, MEANS, FlightsDemo, compare
from atlas_flights.demo.truth import Delays, truth
from atlas_flights.projections import PROJECTIONS
from atlas_runtime.demo import Answer, Check

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
    assert compare("x", EXPECTED, {"UA": ROW}) == Check("x", 1)


def test_each_difference_is_named() -> None:
    found = {"UA": {**ROW, "flights": 4, "mean_arrival_delay_minutes": None}, "ZZ": ROW}
    assert compare("x", EXPECTED, found).differences == (
        "ZZ: not in the CSV",
        "UA: flights is 4, in the CSV 3",
        "UA: mean_arrival_delay_minutes is None, in the CSV -1.0",
    )


def test_a_missing_row_is_a_difference() -> None:
    assert compare("x", EXPECTED, {}).differences == ("UA: missing",)


class Answering:
    """A gateway that answers each path with the same rows."""

    def __init__(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        self.rows = rows

    async def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        assert (method, body, headers) == ("GET", None, None)
        return Answer({"items": self.rows[path.partition("?")[0]]}, {})


def rows_of(first: int) -> dict[str, list[dict[str, Any]]]:
    """What the read models have to be."""
    found = truth(first)

    def row(delays: Delays, **key: str) -> dict[str, Any]:
        return {**key, **{name: getattr(delays, name) for name in (*COUNTED, *MEANS)}}

    return {
        "/carriers": [row(delays, carrier=carrier) for carrier, delays in found.carriers.items()],
        "/routes": [row(delays, origin=a, destination=b) for (a, b), delays in found.routes.items()],
    }


async def test_the_proof_counts_what_was_to_be_sent_and_holds_only_for_equal_rows() -> None:
    rows = rows_of(1_000)
    proof = await FlightsDemo(1_000).prove(Answering(rows))
    assert all(check.holds for check in proof.checks)
    assert proof.records == {"flights.events": 1_000, "flights.reference": 16 + 1_458}
    assert proof.projected == 1_000
    rows["/routes"][0]["cancelled"] += 1
    carriers, routes = (await FlightsDemo(1_000).prove(Answering(rows))).checks
    assert (carriers.holds, routes.holds, len(routes.differences)) == (True, False, 1)


@pytest.mark.parametrize("size", [10, FLIGHTS])
def test_each_event_belongs_on_its_topic(size: int, registry: Registry) -> None:
    for topic, source in FlightsDemo(size).events().items():
        for kind, value in islice(source(), 2_000):
            assert registry.topic_of(kind).name == topic
            assert registry.topics[topic].key_of(kind, value)


def test_a_part_is_the_first_flights_and_what_they_refer_to() -> None:
    topics = FlightsDemo(10).events()
    assert set(topics) == {"flights.reference", "flights.events"}
    assert len(list(topics["flights.events"]())) == 10
    assert set(FlightsDemo(FLIGHTS).events()) == {"flights.reference", "flights.events", "flights.weather"}


def test_what_is_rebuilt_is_declared() -> None:
    assert set(FlightsDemo.rebuilds) <= {projection.name for projection in PROJECTIONS}

"""The truth agrees with the events, which were made apart from it."""

from typing import Any

import pytest
from atlas_flights.demo.data import FLIGHTS
from atlas_flights.demo.truth import Delays, Truth, truth


@pytest.fixture(scope="module")
def found() -> Truth:
    return truth()


def test_the_truth_agrees_with_the_events(all_flights: list[tuple[str, dict[str, Any]]], found: Truth) -> None:
    carriers: dict[str, Delays] = {}
    routes: dict[tuple[str, str], Delays] = {}
    for kind, value in all_flights:
        _count(carriers.setdefault(value["carrier"], Delays()), kind, value)
        _count(routes.setdefault((value["origin"], value["destination"]), Delays()), kind, value)
    assert found.carriers == carriers
    assert found.routes == routes
    assert sum(total.flights for total in found.routes.values()) == FLIGHTS


def _count(total: Delays, kind: str, value: dict[str, Any]) -> None:
    total.flights += 1
    if kind == "flights.FlightCancelled":
        total.cancelled += 1
        return
    total.departed += 1
    total.departure_delay_sum += value["departure_delay_minutes"]
    total.departure_delay_count += 1
    if value["arrival_delay_minutes"] is not None:
        total.arrival_delay_sum += value["arrival_delay_minutes"]
        total.arrival_delay_count += 1


def test_means_are_those_everybody_knows(found: Truth) -> None:
    united = found.carriers["UA"]
    assert united.mean_departure_delay_minutes == pytest.approx(12.1061, abs=1e-4)
    assert united.mean_arrival_delay_minutes == pytest.approx(3.5580, abs=1e-4)
    assert Delays().mean_departure_delay_minutes is None
    assert Delays().mean_arrival_delay_minutes is None


def test_of_the_first_flights_alone() -> None:
    assert sum(total.flights for total in truth(100).carriers.values()) == 100

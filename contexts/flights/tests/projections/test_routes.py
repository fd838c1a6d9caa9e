from typing import Any

from atlas_flights.projections.routes import ROUTES
from atlas_projection.given import Given, event, given


def departed(departure: int, arrival: int | None, *, partition: int = 0, **changed: Any) -> Given:
    value = {"origin": "EWR", "destination": "IAH"} | changed
    return event(
        "flights.FlightDeparted",
        partition=partition,
        departure_delay_minutes=departure,
        arrival_delay_minutes=arrival,
        **value,
    )


CANCELLED = event("flights.FlightCancelled", origin="EWR", destination="IAH")


def test_flights_are_counted_and_delays_added() -> None:
    given(ROUTES).events(departed(-5, -10), departed(15, None)).when(CANCELLED).then(
        {
            "origin": "EWR",
            "destination": "IAH",
            "flights": 3,
            "departed": 2,
            "cancelled": 1,
            "departure_delay_sum": 10,
            "departure_delay_count": 2,
            "arrival_delay_sum": -10,
            "arrival_delay_count": 1,
        }
    )


def test_a_route_that_was_only_cancelled() -> None:
    given(ROUTES).when(CANCELLED).then({"flights": 1, "departed": 0, "cancelled": 1, "departure_delay_count": 0})


def test_each_route_and_each_partition_counts_for_itself() -> None:
    scenario = given(ROUTES).when(departed(1, 1), departed(2, 2, partition=1), departed(4, 4, destination="MIA"))
    scenario.then({"flights": 1, "departure_delay_sum": 1}, "EWR", "IAH", 0)
    scenario.then({"flights": 1, "departure_delay_sum": 2}, "EWR", "IAH", 1)
    scenario.then({"flights": 1, "departure_delay_sum": 4}, "EWR", "MIA", 0)

from atlas_flights.projections.carriers import CARRIERS
from atlas_projection.given import event, given


def test_flights_are_counted_by_carrier() -> None:
    departed = event(
        "flights.FlightDeparted", carrier="UA", departure_delay_minutes=7, arrival_delay_minutes=-3, origin="EWR"
    )
    cancelled = event("flights.FlightCancelled", carrier="AA")
    scenario = given(CARRIERS).when(departed, departed, cancelled)
    scenario.then({"flights": 2, "departure_delay_sum": 14, "arrival_delay_sum": -6, "cancelled": 0}, "UA", 0)
    scenario.then({"flights": 1, "departed": 0, "cancelled": 1}, "AA", 0)

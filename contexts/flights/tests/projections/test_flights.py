from typing import Any

from atlas_flights.projections.flights import FLIGHTS
from atlas_projection.given import Given, event, given

FLIGHT: dict[str, Any] = {
    "flight_id": "UA1545-20130101T10-EWR",
    "carrier": "UA",
    "flight_number": 1545,
    "tail_number": "N14228",
    "origin": "EWR",
    "destination": "IAH",
    "scheduled_departure": 1357034100000,
    "distance_miles": 1400,
}
DELAYS = {"departure_delay_minutes": 2, "arrival_delay_minutes": 11, "air_time_minutes": 227}


def departed(**changed: Any) -> Given:
    return event("flights.FlightDeparted", **FLIGHT | DELAYS | changed)


def cancelled() -> Given:
    return event("flights.FlightCancelled", **FLIGHT)


def test_departed() -> None:
    given(FLIGHTS).when(departed()).then(FLIGHT | DELAYS | {"status": "departed"})


def test_cancelled_has_no_delays() -> None:
    given(FLIGHTS).when(cancelled()).then(FLIGHT | dict.fromkeys(DELAYS) | {"status": "cancelled"})


def test_the_last_report_counts() -> None:
    given(FLIGHTS).events(departed(), cancelled()).when(departed(arrival_delay_minutes=None)).then(
        {"status": "departed", "arrival_delay_minutes": None, "departure_delay_minutes": 2}
    )


def test_every_column_of_the_table_is_given() -> None:
    for report in (departed(), cancelled()):
        row = given(FLIGHTS).when(report).row()
        assert row is not None
        assert set(row) == set(FLIGHTS.table.columns)

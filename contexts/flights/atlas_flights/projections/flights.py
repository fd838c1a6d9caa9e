"""Flights as last reported: one row a flight."""

from dataclasses import replace

from atlas_contracts.events import Meta
from atlas_projection.projection import Projection, Row, Value
from atlas_projection.reads import Reads
from atlas_readmodel.table import Table

from atlas_flights.projections.codes import AIRPORT, CARRIER

TABLE = Table(
    columns={
        "flight_id": "text NOT NULL",
        "carrier": "text NOT NULL",
        "flight_number": "integer NOT NULL",
        "tail_number": "text",
        "origin": "text NOT NULL",
        "destination": "text NOT NULL",
        "scheduled_departure": "bigint NOT NULL",
        "status": "text NOT NULL",
        "departure_delay_minutes": "integer",
        "arrival_delay_minutes": "integer",
        "air_time_minutes": "integer",
        "distance_miles": "integer NOT NULL",
    },
    key=("flight_id",),
    # By destination first: 100 of them share the flights of 3 origins, so an origin alone is found by the time index.
    indexes=(
        "(scheduled_departure, flight_id)",
        "(destination, origin, scheduled_departure, flight_id)",
        "(carrier, scheduled_departure, flight_id)",
    ),
)


def departed(_row: Row | None, event: Value, _meta: Meta) -> Row:
    """The event carries the whole flight."""
    return event | {"status": "departed"}


def cancelled(_row: Row | None, event: Value, _meta: Meta) -> Row:
    """The event carries the whole flight, but for what never happened."""
    return event | {
        "status": "cancelled",
        "departure_delay_minutes": None,
        "arrival_delay_minutes": None,
        "air_time_minutes": None,
    }


FLIGHTS = Projection(
    name="flights",
    version=1,
    topics=("flights.events",),
    table=TABLE,
    replaces=True,
    cached=True,
    handlers={
        "flights.FlightDeparted": departed,
        "flights.FlightCancelled": cancelled,
    },
    reads=Reads(
        path="/flights",
        what="flight",
        order=("scheduled_departure DESC", "flight_id DESC"),
        filters={"origin": replace(AIRPORT, common=True), "destination": AIRPORT, "carrier": CARRIER},
        times=("scheduled_departure",),
    ),
)

"""Hauls as last reported: one row a haul."""

from dataclasses import replace

from atlas_contracts.events import Meta
from atlas_hauls.projections.codes import CARRIER, DEPOT
from atlas_projection.projection import Projection, Row, Value
from atlas_projection.reads import Reads
from atlas_readmodel.table import Table

TABLE = Table(
    columns={
        "haul_id": "text NOT NULL",
        "carrier": "text NOT NULL",
        "haul_number": "integer NOT NULL",
        "truck_number": "text",
        "origin": "text NOT NULL",
        "destination": "text NOT NULL",
        "scheduled_departure": "bigint NOT NULL",
        "status": "text NOT NULL",
        "departure_delay_minutes": "integer",
        "arrival_delay_minutes": "integer",
        "drive_time_minutes": "integer",
        "distance_miles": "integer NOT NULL",
    },
    key=("haul_id",),
    # By destination first: 100 of them share the hauls of 3 origins, so an origin alone is found by the time index.
    indexes=(
        "(scheduled_departure, haul_id)",
        "(destination, origin, scheduled_departure, haul_id)",
        "(carrier, scheduled_departure, haul_id)",
    ),
)


def departed(_row: Row | None, event: Value, _meta: Meta) -> Row:
    """The event carries the whole haul."""
    return event | {"status": "departed"}


def cancelled(_row: Row | None, event: Value, _meta: Meta) -> Row:
    """The event carries the whole haul, but for what never happened."""
    return event | {
        "status": "cancelled",
        "departure_delay_minutes": None,
        "arrival_delay_minutes": None,
        "drive_time_minutes": None,
    }


HAULS = Projection(
    name="hauls",
    version=1,
    topics=("hauls.events",),
    table=TABLE,
    replaces=True,
    cached=True,
    handlers={
        "hauls.HaulDeparted": departed,
        "hauls.HaulCancelled": cancelled,
    },
    reads=Reads(
        path="/hauls",
        what="haul",
        order=("scheduled_departure DESC", "haul_id DESC"),
        filters={"origin": replace(DEPOT, common=True), "destination": DEPOT, "carrier": CARRIER},
        times=("scheduled_departure",),
    ),
)

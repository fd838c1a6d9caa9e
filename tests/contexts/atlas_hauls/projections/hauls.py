"""Hauls as last reported: one row a haul."""

from atlas_contracts.events import Meta
from atlas_projection.projection import Projection, Row, Value
from atlas_projection.reads import By, Reads
from atlas_readmodel.table import Table

_TEXT = dict.fromkeys(("haul_id", "carrier", "origin", "destination", "status"), "text NOT NULL")
_NUMBERS = dict.fromkeys(("haul_number", "distance_miles"), "integer NOT NULL")
# What a haul that never left does not have.
_DROVE = dict.fromkeys(("departure_delay_minutes", "arrival_delay_minutes", "drive_time_minutes"), "integer")
_DEPOT = "^[A-Z0-9]{3,4}$"
_LATEST = "scheduled_departure, haul_id"


def departed(_row: Row | None, event: Value, _meta: Meta) -> Row:
    """The event carries the whole haul."""
    return event | {"status": "departed"}


def cancelled(_row: Row | None, event: Value, _meta: Meta) -> Row:
    """The event carries the whole haul, but for what never happened."""
    return event | {"status": "cancelled"} | dict.fromkeys(_DROVE)


HAULS = Projection(
    name="hauls",
    version=1,
    topics=("hauls.events",),
    table=Table(
        columns={**_TEXT, **_NUMBERS, "truck_number": "text", "scheduled_departure": "bigint NOT NULL", **_DROVE},
        key=("haul_id",),
        indexes=(f"({_LATEST})", f"(destination, origin, {_LATEST})", f"(carrier, {_LATEST})"),
    ),
    handlers={"hauls.HaulDeparted": departed, "hauls.HaulCancelled": cancelled},
    replaces=True,
    cached=True,
    reads=Reads(
        path="/hauls",
        what="haul",
        order=("scheduled_departure DESC", "haul_id DESC"),
        filters={"origin": By(pattern=_DEPOT, common=True), "destination": By(pattern=_DEPOT), "carrier": By()},
        times=("scheduled_departure",),
    ),
)

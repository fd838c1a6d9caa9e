"""How late flights are, by carrier: counters over every flight of a carrier."""

from atlas_contracts.events import Meta
from atlas_projection.projection import Projection, Row, Value
from atlas_projection.reads import Reads
from atlas_readmodel.table import Table

from atlas_flights.projections import delays

# Flights of one carrier are on every partition (their key is the flight), so each partition counts for itself.
TABLE = Table(
    columns={
        "carrier": "text NOT NULL",
        **delays.COLUMNS,
    },
    key=("carrier",),
    per_partition=True,
    view=delays.view("carrier"),
)


def departed(row: Row | None, event: Value, _meta: Meta) -> Row:
    """A flight of the carrier left."""
    return delays.add_departed(row, event, {"carrier": event["carrier"]})


def cancelled(row: Row | None, event: Value, _meta: Meta) -> Row:
    """A flight of the carrier never left."""
    return delays.add_cancelled(row, {"carrier": event["carrier"]})


CARRIERS = Projection(
    name="carriers",
    version=1,
    topics=("flights.events",),
    table=TABLE,
    handlers={
        "flights.FlightDeparted": departed,
        "flights.FlightCancelled": cancelled,
    },
    reads=Reads(
        path="/carriers",
        what="carrier",
        order=("flights DESC", "carrier"),
        also=delays.MEANS,
        small=True,
    ),
)

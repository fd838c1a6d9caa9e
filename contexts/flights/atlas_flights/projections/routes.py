"""How late flights are, by route: counters over every flight of a route."""

from atlas_contracts.events import Meta
from atlas_projection.projection import Projection, Row, Value
from atlas_projection.reads import Reads
from atlas_readmodel.table import Table

from atlas_flights.projections import delays
from atlas_flights.projections.codes import AIRPORT

# Flights of one route are on every partition (their key is the flight), so each partition counts for itself.
TABLE = Table(
    columns={
        "origin": "text NOT NULL",
        "destination": "text NOT NULL",
        **delays.COLUMNS,
    },
    key=("origin", "destination"),
    per_partition=True,
    view=delays.view("origin", "destination"),
)


def departed(row: Row | None, event: Value, _meta: Meta) -> Row:
    """A flight of the route left."""
    return delays.add_departed(row, event, {"origin": event["origin"], "destination": event["destination"]})


def cancelled(row: Row | None, event: Value, _meta: Meta) -> Row:
    """A flight of the route never left."""
    return delays.add_cancelled(row, {"origin": event["origin"], "destination": event["destination"]})


ROUTES = Projection(
    name="routes",
    version=1,
    topics=("flights.events",),
    table=TABLE,
    handlers={
        "flights.FlightDeparted": departed,
        "flights.FlightCancelled": cancelled,
    },
    reads=Reads(
        path="/routes",
        what="route",
        order=("flights DESC", "origin", "destination"),
        filters={"origin": AIRPORT, "destination": AIRPORT},
        also=delays.MEANS,
        small=True,
    ),
)

"""How late hauls are, by route: counters over every haul of a route."""

from atlas_contracts.events import Meta
from atlas_hauls.projections import delays
from atlas_hauls.projections.codes import DEPOT
from atlas_projection.projection import Projection, Row, Value
from atlas_projection.reads import Reads
from atlas_readmodel.table import Table

# Hauls of one route are on every partition (their key is the haul), so each partition counts for itself.
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
    """A haul of the route left."""
    return delays.add_departed(row, event, {"origin": event["origin"], "destination": event["destination"]})


def cancelled(row: Row | None, event: Value, _meta: Meta) -> Row:
    """A haul of the route never left."""
    return delays.add_cancelled(row, {"origin": event["origin"], "destination": event["destination"]})


ROUTES = Projection(
    name="routes",
    version=1,
    topics=("hauls.events",),
    table=TABLE,
    handlers={
        "hauls.HaulDeparted": departed,
        "hauls.HaulCancelled": cancelled,
    },
    reads=Reads(
        path="/routes",
        what="route",
        order=("hauls DESC", "origin", "destination"),
        filters={"origin": DEPOT, "destination": DEPOT},
        also=delays.MEANS,
        small=True,
    ),
)

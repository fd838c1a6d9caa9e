"""How late hauls are, by carrier: counters over every haul of a carrier."""

from atlas_contracts.events import Meta
from atlas_hauls.projections import delays
from atlas_projection.projection import Projection, Row, Value
from atlas_projection.reads import Reads
from atlas_readmodel.table import Table

# Hauls of one carrier are on every partition (their key is the haul), so each partition counts for itself.
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
    """A haul of the carrier left."""
    return delays.add_departed(row, event, {"carrier": event["carrier"]})


def cancelled(row: Row | None, event: Value, _meta: Meta) -> Row:
    """A haul of the carrier never left."""
    return delays.add_cancelled(row, {"carrier": event["carrier"]})


CARRIERS = Projection(
    name="carriers",
    version=1,
    topics=("hauls.events",),
    table=TABLE,
    handlers={
        "hauls.HaulDeparted": departed,
        "hauls.HaulCancelled": cancelled,
    },
    reads=Reads(
        path="/carriers",
        what="carrier",
        order=("hauls DESC", "carrier"),
        also=delays.MEANS,
        small=True,
    ),
)

"""The read model of canaries: a row for each sender and way, with the last of them that have come."""

from atlas_contracts.canary import COMMANDED, PATH, POSTED, READ_MODEL, RECENT
from atlas_contracts.events import Meta
from atlas_readmodel.table import Table

from atlas_projection.projection import Projection, Row, Value
from atlas_projection.reads import Reads


def came(row: Row | None, event: Value, _meta: Meta) -> Row:
    """One more has come. Each is named, for a newer one proves nothing about those before it."""
    before = [] if row is None else row["recent"]
    return {"canary_id": event["canary_id"], "recent": [*before, event["number"]][-RECENT:]}


CANARIES = Projection(
    name=READ_MODEL,
    version=1,
    topics=("health.canary-commands", "health.canary-events"),
    table=Table(columns={"canary_id": "text NOT NULL", "recent": "bigint[] NOT NULL"}, key=("canary_id",)),
    handlers={COMMANDED: came, POSTED: came},
    cached=True,
    reads=Reads(path=PATH, what="canary", order=("canary_id",), listed=False),
)

"""The projection: how events change the row of an order. Pure functions, so tests need no server."""

from atlas_contracts.events import Meta
from atlas_projection.projection import Projection, Row, Value
from atlas_readmodel.table import Table


def item_added(row: Row | None, event: Value, meta: Meta) -> Row:
    """One item more, at its price."""
    before = row or {"order_id": event["order_id"], "items": 0, "cents": 0}
    return {**before, "items": before["items"] + 1, "cents": before["cents"] + event["cents"]}


ORDERS = Projection(
    name="orders",
    version=1,
    topics=("shop.orders",),
    table=Table(
        columns={"order_id": "text NOT NULL", "items": "bigint NOT NULL", "cents": "bigint NOT NULL"},
        key=("order_id",),
    ),
    handlers={"shop.ItemAdded": item_added},
)

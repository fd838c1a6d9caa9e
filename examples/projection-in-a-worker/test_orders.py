"""Given some events, when one more comes, then the row is: no server, no worker."""

from atlas_projection.given import event, given
from orders import ORDERS


def test_items_add_up() -> None:
    first = event("shop.ItemAdded", order_id="1", item="tea", cents=300)
    second = event("shop.ItemAdded", order_id="1", item="milk", cents=120)
    given(ORDERS).events(first).when(second).then({"order_id": "1", "items": 2, "cents": 420})

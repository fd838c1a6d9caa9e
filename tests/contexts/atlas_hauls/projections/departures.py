"""The departure board of each depot: its latest hauls, kept in Redis alone.

A board is small, changes with every haul and is read all the time: nothing that has to be on a disk, as history makes
it again.
"""

from bisect import insort
from typing import Any

from atlas_contracts.events import Meta
from atlas_projection.projection import Projection, Row, Value
from atlas_readmodel.documents import Documents

BOARD_HAULS = 20

# Hauls of one depot are on every partition (their key is the haul), so each partition has a board of its own; the
# query puts them together. Its hauls are those with the latest scheduled departures, the latest last.
BOARD = Documents(key=("origin",), per_partition=True)

_SHOWN = ("haul_id", "carrier", "haul_number", "destination", "scheduled_departure")


def departed(row: Row | None, event: Value, _meta: Meta) -> Row | None:
    """A haul left the depot."""
    return _on_board(row, event, "departed", event["departure_delay_minutes"])


def cancelled(row: Row | None, event: Value, _meta: Meta) -> Row | None:
    """A haul never left."""
    return _on_board(row, event, "cancelled", None)


def _on_board(row: Row | None, event: Value, status: str, delay_minutes: int | None) -> Row | None:
    hauls = [] if row is None else row["hauls"]
    if len(hauls) == BOARD_HAULS and _order(event) < _order(hauls[0]):
        return row
    shown = {name: event[name] for name in _SHOWN} | {"status": status, "departure_delay_minutes": delay_minutes}
    others = [haul for haul in hauls if haul["haul_id"] != event["haul_id"]]
    insort(others, shown, key=_order)
    return {"origin": event["origin"], "hauls": others[-BOARD_HAULS:]}


def _order(haul: Value) -> tuple[Any, ...]:
    return haul["scheduled_departure"], haul["haul_id"]


DEPARTURES = Projection(
    name="departures",
    version=1,
    topics=("hauls.events",),
    table=BOARD,
    handlers={
        "hauls.HaulDeparted": departed,
        "hauls.HaulCancelled": cancelled,
    },
)

"""The departure board of each depot: its latest hauls, kept in Redis alone, as history makes it again."""

from typing import Any

from atlas_contracts.events import Meta
from atlas_projection.projection import Projection, Row, Value
from atlas_readmodel.documents import Documents

BOARD_HAULS = 20


def order(haul: Value) -> tuple[Any, ...]:
    """By the departure that was planned."""
    return haul["scheduled_departure"], haul["haul_id"]


def on_board(row: Row | None, event: Value, _meta: Meta) -> Row | None:
    """The haul among the others of its depot, the latest last; an earlier one than a full board has is left out."""
    haul = {name: event[name] for name in ("haul_id", "carrier", "destination", "scheduled_departure")}
    haul["departure_delay_minutes"] = event.get("departure_delay_minutes")  # none of one that never left
    others = [] if row is None else [other for other in row["hauls"] if other["haul_id"] != haul["haul_id"]]
    return {"origin": event["origin"], "hauls": sorted([*others, haul], key=order)[-BOARD_HAULS:]}


# Hauls of one depot are on every partition, so each partition has a board of its own; the query puts them together.
DEPARTURES = Projection(
    name="departures",
    version=1,
    topics=("hauls.events",),
    table=Documents(key=("origin",), per_partition=True),
    handlers=dict.fromkeys(("hauls.HaulDeparted", "hauls.HaulCancelled"), on_board),
)

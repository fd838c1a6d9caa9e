"""The departure board of each airport: its latest flights, kept in Redis alone.

A board is small, changes with every flight and is read all the time: nothing that has to be on a disk, as history makes
it again.
"""

from bisect import insort
from typing import Any

from atlas_contracts.events import Meta
from atlas_projection.projection import Projection, Row, Value
from atlas_readmodel.documents import Documents

BOARD_FLIGHTS = 20

# Flights of one airport are on every partition (their key is the flight), so each partition has a board of its own; the
# query puts them together. Its flights are those with the latest scheduled departures, the latest last.
BOARD = Documents(key=("origin",), per_partition=True)

_SHOWN = ("flight_id", "carrier", "flight_number", "destination", "scheduled_departure")


def departed(row: Row | None, event: Value, _meta: Meta) -> Row | None:
    """A flight left the airport."""
    return _on_board(row, event, "departed", event["departure_delay_minutes"])


def cancelled(row: Row | None, event: Value, _meta: Meta) -> Row | None:
    """A flight never left."""
    return _on_board(row, event, "cancelled", None)


def _on_board(row: Row | None, event: Value, status: str, delay_minutes: int | None) -> Row | None:
    flights = [] if row is None else row["flights"]
    if len(flights) == BOARD_FLIGHTS and _order(event) < _order(flights[0]):
        return row
    shown = {name: event[name] for name in _SHOWN} | {"status": status, "departure_delay_minutes": delay_minutes}
    others = [flight for flight in flights if flight["flight_id"] != event["flight_id"]]
    insort(others, shown, key=_order)
    return {"origin": event["origin"], "flights": others[-BOARD_FLIGHTS:]}


def _order(flight: Value) -> tuple[Any, ...]:
    return flight["scheduled_departure"], flight["flight_id"]


DEPARTURES = Projection(
    name="departures",
    version=1,
    topics=("flights.events",),
    table=BOARD,
    handlers={
        "flights.FlightDeparted": departed,
        "flights.FlightCancelled": cancelled,
    },
)

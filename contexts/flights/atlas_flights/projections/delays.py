"""How late flights are, by what they have in common: counters over every flight of a carrier or of a route."""

from collections.abc import Mapping

from atlas_contracts.events import Meta
from atlas_projection.projection import Projection, Row, Value
from atlas_projection.reads import By, Reads
from atlas_readmodel.table import Table

COLUMNS = {
    "flights": "bigint NOT NULL",
    "departed": "bigint NOT NULL",
    "cancelled": "bigint NOT NULL",
    "departure_delay_sum": "bigint NOT NULL",
    "departure_delay_count": "bigint NOT NULL",
    "arrival_delay_sum": "bigint NOT NULL",
    "arrival_delay_count": "bigint NOT NULL",
}
# What the view has beside the sums: null where nothing was recorded.
MEANS = {
    "mean_departure_delay_minutes": "double precision",
    "mean_arrival_delay_minutes": "double precision",
}
_NOTHING: Row = dict.fromkeys(COLUMNS, 0)


def delays_by(name: str, path: str, *key: str, filters: Mapping[str, By] | None = None) -> Projection:
    """The delay statistics of the flights that have these fields in common, read at `path`."""

    def departed(row: Row | None, event: Value, _meta: Meta) -> Row:
        return _add_departed(row, event, {part: event[part] for part in key})

    def cancelled(row: Row | None, event: Value, _meta: Meta) -> Row:
        return _add_cancelled(row, {part: event[part] for part in key})

    return Projection(
        name=name,
        version=1,
        topics=("flights.events",),
        # Flights of one key are on every partition (their own key is the flight), so each partition counts for itself.
        table=Table(
            columns=dict.fromkeys(key, "text NOT NULL") | COLUMNS, key=key, per_partition=True, view=_view(*key)
        ),
        handlers={"flights.FlightDeparted": departed, "flights.FlightCancelled": cancelled},
        reads=Reads(
            path=path, what=name.removesuffix("s"), order=("flights DESC", *key), filters=filters or {}, also=MEANS,
            small=True,
        ),
    )  # fmt: skip


def _view(*key: str) -> str:
    """The SELECT that adds up the partitions' rows of each key; delays in minutes, null where there is none."""
    sums = ", ".join(f"sum({column})::bigint AS {column}" for column in COLUMNS)
    means = ", ".join(
        f"sum({side}_delay_sum)::double precision / nullif(sum({side}_delay_count), 0)::double precision"
        f" AS mean_{side}_delay_minutes"
        for side in ("departure", "arrival")
    )
    keys = ", ".join(key)
    return f"SELECT {keys}, {sums}, {means} FROM {{table}} GROUP BY {keys}"


def _add_departed(row: Row | None, event: Value, key: Row) -> Row:
    """One more flight that left, with its delays as far as they were recorded."""
    was = row or _NOTHING
    arrival = event["arrival_delay_minutes"]
    return key | {
        "flights": was["flights"] + 1,
        "departed": was["departed"] + 1,
        "cancelled": was["cancelled"],
        "departure_delay_sum": was["departure_delay_sum"] + event["departure_delay_minutes"],
        "departure_delay_count": was["departure_delay_count"] + 1,
        "arrival_delay_sum": was["arrival_delay_sum"] + (arrival or 0),
        "arrival_delay_count": was["arrival_delay_count"] + (arrival is not None),
    }


def _add_cancelled(row: Row | None, key: Row) -> Row:
    """One more flight that never left."""
    was = row or _NOTHING
    return (
        key
        | {column: was[column] for column in COLUMNS}
        | {
            "flights": was["flights"] + 1,
            "cancelled": was["cancelled"] + 1,
        }
    )

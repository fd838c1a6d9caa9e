"""Delay statistics: the columns and sums that several projections of hauls share."""

from atlas_projection.projection import Row, Value

COLUMNS = {
    "hauls": "bigint NOT NULL",
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


def view(*key: str) -> str:
    """The SELECT that adds up the partitions' rows of each key; delays in minutes, null where there is none."""
    sums = ", ".join(f"sum({column})::bigint AS {column}" for column in COLUMNS)
    means = ", ".join(
        f"sum({side}_delay_sum)::double precision / nullif(sum({side}_delay_count), 0)::double precision"
        f" AS mean_{side}_delay_minutes"
        for side in ("departure", "arrival")
    )
    keys = ", ".join(key)
    return f"SELECT {keys}, {sums}, {means} FROM {{table}} GROUP BY {keys}"


def add_departed(row: Row | None, event: Value, key: Row) -> Row:
    """One more haul that left, with its delays as far as they were recorded."""
    was = row or _NOTHING
    arrival = event["arrival_delay_minutes"]
    return key | {
        "hauls": was["hauls"] + 1,
        "departed": was["departed"] + 1,
        "cancelled": was["cancelled"],
        "departure_delay_sum": was["departure_delay_sum"] + event["departure_delay_minutes"],
        "departure_delay_count": was["departure_delay_count"] + 1,
        "arrival_delay_sum": was["arrival_delay_sum"] + (arrival or 0),
        "arrival_delay_count": was["arrival_delay_count"] + (arrival is not None),
    }


def add_cancelled(row: Row | None, key: Row) -> Row:
    """One more haul that never left."""
    was = row or _NOTHING
    return (
        key
        | {column: was[column] for column in COLUMNS}
        | {
            "hauls": was["hauls"] + 1,
            "cancelled": was["cancelled"] + 1,
        }
    )

"""How many hauls there were and how late they left, by route and by carrier: counters, each partition for itself.

The hauls of a route are on every partition, as their key is the haul.
"""

from atlas_contracts.events import Meta
from atlas_projection.projection import Projection, Row, Value
from atlas_projection.reads import By, Reads
from atlas_readmodel.table import Table

COUNTERS = ("hauls", "departed", "cancelled", "departure_delay_sum", "departure_delay_count")
MEAN = "mean_departure_delay_minutes"  # null where none departed


def counted(name: str, path: str, *key: str) -> Projection:
    """Counters over the hauls that have these fields in common."""
    sums = ", ".join(f"sum({column})::bigint AS {column}" for column in COUNTERS)
    mean = "sum(departure_delay_sum)::double precision / nullif(sum(departure_delay_count), 0)::double precision"
    columns = dict.fromkeys(key, "text NOT NULL") | dict.fromkeys(COUNTERS, "bigint NOT NULL")

    def one_more(row: Row | None, event: Value, **more: int) -> Row:
        was = row or dict.fromkeys(COUNTERS, 0)
        return {part: event[part] for part in key} | {each: was[each] + more.get(each, 0) for each in COUNTERS}

    def departed(row: Row | None, event: Value, _meta: Meta) -> Row:
        delay = event["departure_delay_minutes"]
        return one_more(row, event, hauls=1, departed=1, departure_delay_sum=delay, departure_delay_count=1)

    def cancelled(row: Row | None, event: Value, _meta: Meta) -> Row:
        return one_more(row, event, hauls=1, cancelled=1)

    by = ", ".join(key)
    view = f"SELECT {by}, {sums}, {mean} AS {MEAN} FROM {{table}} GROUP BY {by}"
    depots = {part: By(pattern="^[A-Z0-9]{3,4}$") for part in key if part != "carrier"}
    return Projection(
        name=name,
        version=1,
        topics=("hauls.events",),
        table=Table(columns=columns, key=key, per_partition=True, view=view),
        handlers={"hauls.HaulDeparted": departed, "hauls.HaulCancelled": cancelled},
        reads=Reads(
            path=path,
            what=name[:-1],
            order=("hauls DESC", *key),
            filters=depots,
            also={MEAN: "double precision"},
            small=True,
        ),
    )


ROUTES = counted("routes", "/routes", "origin", "destination")
CARRIERS = counted("carriers", "/carriers", "carrier")

"""Yards as they are now: one row a yard, at the version of its last event."""

from atlas_contracts.events import Meta
from atlas_projection.projection import Owner, Projection, Rejected, Row, Value
from atlas_projection.reads import By, Reads
from atlas_readmodel.table import Table

_TEXT, _TIME = "text NOT NULL", "bigint NOT NULL"
_PROFILE = ("email", "display_name", "country")


def registered(row: Row | None, event: Value, _meta: Meta) -> Row:
    """A new yard; of one known already only what registering says."""
    status = "active" if row is None else row["status"]
    said = {name: event[name] for name in ("yard_id", *_PROFILE, "registered_at")}
    return said | {"status": status, "updated_at": event["registered_at"]}


def profile_changed(row: Row | None, event: Value, _meta: Meta) -> Row:
    """The event carries the whole profile."""
    return _known(row, event) | {name: event[name] for name in _PROFILE} | {"updated_at": event["changed_at"]}


def deactivated(row: Row | None, event: Value, _meta: Meta) -> Row:
    """The row stays."""
    return _known(row, event) | {"status": "deactivated", "updated_at": event["deactivated_at"]}


def _known(row: Row | None, event: Value) -> Row:
    if row is None:
        raise Rejected(f"yard {event['yard_id']} was changed before being registered")
    return row


YARDS = Projection(
    name="yards",
    version=1,
    topics=("yards.events",),
    table=Table(
        columns={"yard_id": _TEXT, "email": _TEXT, "display_name": _TEXT, "country": "text", "status": _TEXT}
        | {"registered_at": _TIME, "updated_at": _TIME, "version": "integer NOT NULL"},
        key=("yard_id",),
        indexes=("(registered_at, yard_id)", "USING gin (email gin_trgm_ops, display_name gin_trgm_ops)"),
    ),
    handlers={
        "yards.YardRegistered": registered,
        "yards.YardProfileChanged": profile_changed,
        "yards.YardDeactivated": deactivated,
    },
    versioned="version",
    cached=True,
    owner=Owner("app.yards"),
    reads=Reads(
        path="/yards",
        what="yard",
        order=("registered_at DESC", "yard_id DESC"),
        filters={"status": By(values=("active", "deactivated"), common=True)},
        search=_PROFILE[:2],
        times=("registered_at", "updated_at"),
    ),
)

PROJECTIONS: tuple[Projection, ...] = (YARDS,)

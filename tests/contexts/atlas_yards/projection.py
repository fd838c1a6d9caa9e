"""Accounts as they are now: one row a yard."""

from atlas_contracts.events import Meta
from atlas_projection.projection import Owner, Projection, Rejected, Row, Value
from atlas_projection.reads import By, Reads
from atlas_readmodel.table import Table

TABLE = Table(
    columns={
        "yard_id": "text NOT NULL",
        "email": "text NOT NULL",
        "display_name": "text NOT NULL",
        "country": "text",
        "status": "text NOT NULL",
        "registered_at": "bigint NOT NULL",
        "updated_at": "bigint NOT NULL",
        "version": "integer NOT NULL",
    },
    key=("yard_id",),
    indexes=("(registered_at, yard_id)", "USING gin (email gin_trgm_ops, display_name gin_trgm_ops)"),
)


def registered(row: Row | None, event: Value, _meta: Meta) -> Row:
    """A new account; of one known already only what registering says."""
    return {
        "yard_id": event["yard_id"],
        "email": event["email"],
        "display_name": event["display_name"],
        "country": event["country"],
        "status": "active" if row is None else row["status"],
        "registered_at": event["registered_at"],
        "updated_at": event["registered_at"],
    }


def profile_changed(row: Row | None, event: Value, _meta: Meta) -> Row:
    """The event carries the whole profile."""
    if row is None:
        raise Rejected(f"the profile of yard {event['yard_id']} changed before the yard was registered")
    return row | {
        "email": event["email"],
        "display_name": event["display_name"],
        "country": event["country"],
        "updated_at": event["changed_at"],
    }


def deactivated(row: Row | None, event: Value, _meta: Meta) -> Row:
    """The row stays, so that its history can be asked for."""
    if row is None:
        raise Rejected(f"yard {event['yard_id']} was deactivated before being registered")
    return row | {"status": "deactivated", "updated_at": event["deactivated_at"]}


YARDS = Projection(
    name="yards",
    version=1,
    topics=("yards.events",),
    table=TABLE,
    versioned="version",
    owner=Owner("app.yards"),
    cached=True,
    handlers={
        "yards.YardRegistered": registered,
        "yards.YardProfileChanged": profile_changed,
        "yards.YardDeactivated": deactivated,
    },
    reads=Reads(
        path="/yards",
        what="yard",
        order=("registered_at DESC", "yard_id DESC"),
        filters={"status": By(values=("active", "deactivated"), common=True)},
        search=("email", "display_name"),
        times=("registered_at", "updated_at"),
    ),
)

PROJECTIONS: tuple[Projection, ...] = (YARDS,)

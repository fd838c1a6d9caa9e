"""Rows as handlers make them, looked at before they get to a server, as far as their types are known here."""

from typing import Any

from atlas_contracts.events import Meta
from atlas_readmodel.columns.row_check import shown
from atlas_readmodel.documents import Documents, dump

from atlas_projection.projection import Handler, Projection, Rejected, Row, Value


class RowChecks:
    """Of one projection."""

    def __init__(self, projection: Projection) -> None:
        besides = () if projection.versioned is None else (projection.versioned,)
        table = projection.table
        self._rows = None if isinstance(table, Documents) else table.check(*besides)

    def checked(self, handler: Handler) -> Handler:
        """The handler, which raises Rejected for a row that is known to be refused where it is kept."""

        def look(row: Row | None, event: Value, meta: Meta) -> Row | None:
            after = handler(row, event, meta)
            if after is None or after is row:
                return after
            reason = self._rows.wrong(after) if self._rows is not None else _undumpable(after)
            if reason is not None:
                raise Rejected(reason)
            return after

        return look


def _undumpable(row: Any) -> str | None:
    """What is wrong with a document, and in which field."""
    if not isinstance(row, dict):
        return f"expected a row as a dict, found {type(row).__name__} {shown(row)}"
    try:
        dump(row)
    except (TypeError, ValueError, RecursionError) as whole:
        for name, value in row.items():
            try:
                dump({str(name): value})
            except (TypeError, ValueError, RecursionError) as error:
                return f"field {name}: {error}, found {shown(value)}"
        return str(whole)
    return None

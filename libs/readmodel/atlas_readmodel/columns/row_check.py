"""What a handler answered against the types of its table's columns: named by column, with the value that was found."""

from collections.abc import Callable, Mapping
from typing import Any

from atlas_readmodel.columns.column_types import ColumnType

SHOWN_MAX = 80


def shown(value: Any) -> str:
    """A value as an error shows it: bounded, and nothing in it speaks to a terminal."""
    try:
        text = ascii(value)
    except Exception as error:  # noqa: BLE001 - its own code
        text = f"<{type(error).__name__}>"
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


def row_taker(columns: Mapping[str, ColumnType]) -> Callable[[Any], Any] | None:
    """From a row as a handler makes it to the row as it is held; None where these are the same.

    The function raises ValueError with column, value and what was expected.
    """
    takes = [(name, column.take) for name, column in columns.items() if column.take is not None]
    if not takes:
        return None

    def take_row(row: Any) -> Any:
        if not isinstance(row, dict):
            return row  # which is found out elsewhere
        held = dict(row)
        for name, take in takes:
            value = held.get(name)
            if value is not None:
                try:
                    held[name] = take(value)
                except (ValueError, OverflowError, RecursionError) as error:
                    raise ValueError(f"column {name}: {error}, found {shown(value)}") from None
        return held

    return take_row


class RowCheck:
    """Tells what is wrong with a row, by its columns' types."""

    def __init__(self, columns: Mapping[str, ColumnType]) -> None:
        self._columns = columns

    def wrong(self, row: Any) -> str | None:
        """The column, its value and what was expected; None if nothing is known to be wrong."""
        if type(row) is not dict and not isinstance(row, dict):
            return f"expected a row as a dict, found {type(row).__name__} {shown(row)}"
        for name, column in self._columns.items():
            if name not in row:
                return f"column {name}: missing, expected {column.sql}"
            if (reason := self._wrong_in(column, row[name])) is not None:
                return f"column {name}: {reason}, found {shown(row[name])}"
        return None

    def wrong_in(self, name: str, value: Any) -> str | None:
        """As `wrong`, of one column."""
        reason = self._wrong_in(self._columns[name], value)
        return None if reason is None else f"column {name}: {reason}, found {shown(value)}"

    @staticmethod
    def _wrong_in(column: ColumnType, value: Any) -> str | None:
        if value is None:
            return "it must not be null" if column.required else None
        return column.check(value)

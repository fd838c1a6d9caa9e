"""Rows as text in a given width, no word broken: a table where one fits, else a block of lines a row."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

GAP = 2  # blanks between two columns


def columns_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys of the first row, without those that no row has a value for; all when that leaves none."""
    return [name for name in rows[0] if any(row[name] not in (None, "") for row in rows)] or list(rows[0])


def is_numeric(rows: Sequence[Mapping[str, Any]], column: str) -> bool:
    """Whether the column's values are numbers, so that it is flush right."""
    values = [row[column] for row in rows if row[column] not in (None, "")]
    return bool(values) and all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)


def fitted(columns: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """The width of each column, given its texts; None when not even the longest word of each has room.

    What is too much is taken from the widest column that can still give, so a short one stays on one line.
    """
    least = [max(_longest_word(text) for text in texts) for texts in columns]
    room = width - GAP * (len(columns) - 1)
    if sum(least) > room:
        return None
    widths = [max(low, min(room, max(map(_width, texts)))) for texts, low in zip(columns, least, strict=True)]
    while sum(widths) > room:
        at = max((i for i, low in enumerate(least) if widths[i] > low), key=lambda i: widths[i])
        widths[at] -= 1
    return widths


def blocks(rows: Sequence[Mapping[str, str]], width: int) -> Iterator[str]:
    """For each row a line a value, which goes on below itself where it is too long; an empty line between rows."""
    import textwrap

    label = max(_width(name) for name in rows[0]) + GAP
    for number, row in enumerate(rows):
        if number:
            yield ""
        for name, text in row.items():
            lines = textwrap.wrap(text, max(width - label, 20), break_long_words=False, break_on_hyphens=False) or [""]
            yield f"{name:<{label}}{lines[0]}".rstrip()
            yield from (" " * label + line for line in lines[1:])


def _longest_word(text: str) -> int:
    return max((_width(word) for word in text.split()), default=1)


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)

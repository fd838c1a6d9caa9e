"""JSON of values of any depth: a record may be nested deeper than Python can recurse."""

import json
from collections.abc import Mapping
from typing import Any

import orjson

_SEPARATORS = {None: (",", ":"), 2: (",", ": ")}


class _Token(str):
    """A piece of JSON text that is finished."""

    __slots__ = ()


def json_text(value: Any, indent: int | None = None) -> str:
    """The value as JSON; what JSON does not know as text. Deeper than Python recurses, it is on one line."""
    try:
        if indent is None:
            return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # what orjson says of depth, of large integers, of surrogates
        pass
    try:
        return json.dumps(value, indent=indent, separators=_SEPARATORS[indent], default=str, ensure_ascii=False)
    except RecursionError:
        return "".join(_pieces(value))


def _pieces(root: Any) -> list[str]:
    """Depth first with a stack of our own: what is still to be written, the next on top."""
    written: list[str] = []
    todo: list[Any] = [root]
    while todo:
        item = todo.pop()
        if isinstance(item, _Token):
            written.append(item)
        elif isinstance(item, Mapping):
            written.append("{")
            todo.append(_Token("}"))
            members = [part for name, inner in item.items() for part in (_Token(_scalar(str(name)) + ":"), inner)]
            todo += reversed(_with_commas(members, 2))
        elif isinstance(item, list | tuple):
            written.append("[")
            todo.append(_Token("]"))
            todo += reversed(_with_commas(list(item), 1))
        else:
            written.append(_scalar(item))
    return written


def _with_commas(parts: list[Any], size: int) -> list[Any]:
    """The parts, `size` of which make an item, with a comma between items."""
    spaced: list[Any] = []
    for place in range(0, len(parts), size):
        if place:
            spaced.append(_Token(","))
        spaced += parts[place : place + size]
    return spaced


def _scalar(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)

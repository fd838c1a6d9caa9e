"""Decoded values as JSON can hold them: timestamps as RFC 3339 text, bytes as text of code points 0 to 255."""

from collections.abc import Callable, Mapping
from typing import Any

from atlas_contracts.timestamps import rfc3339

Render = Callable[[Any], Any]


def compile_render(definition: Any, names: dict[str, Render]) -> Render:
    """The function from a decoded value to JSON's form of it, for a definition that fastavro has parsed.

    A timestamp beyond the years 1 to 9999 stays a number: RFC 3339 has no text for it.
    """
    if isinstance(definition, list):
        return _union(definition, names)
    if isinstance(definition, str):
        return _text if definition == "bytes" else names.get(definition, _same)
    kind = definition["type"]
    if kind == "long" and definition.get("logicalType") == "timestamp-millis":
        return _timestamp
    maker = _MAKERS.get(kind) if isinstance(kind, str) else None
    return maker(definition, names) if maker else compile_render(kind, names)


def _same(value: Any) -> Any:
    return value


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def _timestamp(value: int) -> str | int:
    try:
        return rfc3339(value)
    except ValueError:
        return value


def _record(definition: Mapping[str, Any], names: dict[str, Render]) -> Render:
    changed: list[tuple[str, Render]] = []

    def record(value: Any) -> dict[str, Any]:
        result = dict(value)
        for name, render in changed:
            result[name] = render(result[name])
        return result

    names[definition["name"]] = record
    for field in definition["fields"]:
        render = compile_render(field["type"], names)
        if render is not _same:
            changed.append((field["name"], render))
    return record


def _fixed(definition: Mapping[str, Any], names: dict[str, Render]) -> Render:
    names[definition["name"]] = _text
    return _text


def _array(definition: Mapping[str, Any], names: dict[str, Render]) -> Render:
    item = compile_render(definition["items"], names)
    return _same if item is _same else lambda value: [item(part) for part in value]


def _map(definition: Mapping[str, Any], names: dict[str, Render]) -> Render:
    held = compile_render(definition["values"], names)
    return _same if held is _same else lambda value: {key: held(part) for key, part in value.items()}


def _union(branches: list[Any], names: dict[str, Render]) -> Render:
    """By the Python type of the value: `atlas schemas check` allows one branch for each kind of JSON value."""
    by_type: dict[type, Render] = {}
    for branch in branches:
        render = compile_render(branch, names)
        if render is not _same:
            for python in _python_types(render, branch):
                by_type.setdefault(python, render)
    if not by_type:
        return _same
    return lambda value: by_type.get(type(value), _same)(value)


def _python_types(render: Render, branch: Any) -> tuple[type, ...]:
    if render is _text:
        return (bytes,)
    if render is _timestamp:
        return (int,)
    return (list,) if isinstance(branch, dict) and branch["type"] == "array" else (dict,)


_MAKERS: dict[str, Callable[[Mapping[str, Any], dict[str, Render]], Render]] = {
    "record": _record,
    "fixed": _fixed,
    "array": _array,
    "map": _map,
}

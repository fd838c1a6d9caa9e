"""Rows of read models as JSON: each value by its type, times that are kept as numbers by what the answer declares."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args

from aiohttp import hdrs, web
from atlas_contracts.values.timestamps import rfc3339
from atlas_readmodel.columns.json_rows import dumps, plain_row
from pydantic import BaseModel, Field

from atlas_http.routes import JSON

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EpochMillis:
    """Marks a field of an answer whose column holds epoch milliseconds."""


# A moment in an answer: RFC 3339, whether its column is a timestamptz or a bigint of epoch milliseconds.
Time = Annotated[str, EpochMillis(), Field(json_schema_extra={"format": "date-time"})]


def shown(row: Row, model: type[BaseModel]) -> dict[str, Any]:
    """The row as `model` answers it, in JSON's own types: atlas_readmodel.columns.json_rows has the form of each."""
    return with_moments(row, _times(model))


def with_moments(row: Row, times: Iterable[str]) -> dict[str, Any]:
    """The row in JSON's own types; columns of `times` that hold epoch milliseconds are RFC 3339."""
    result = plain_row(row)
    for name in times:
        value = result.get(name)
        if type(value) is int:
            result[name] = _moment(value)
    return result


def document(row: Row, model: type[BaseModel]) -> bytes:
    """The same as JSON text."""
    return dumps(shown(row, model))


def respond(row: Row, model: type[BaseModel]) -> web.Response:
    """An answer of one row."""
    return web.Response(body=document(row, model), content_type=JSON, headers={hdrs.CACHE_CONTROL: "no-cache"})


def _moment(epoch_ms: int) -> str | int:
    try:
        return rfc3339(epoch_ms)
    except ValueError:
        return epoch_ms  # a time that no calendar has stays the number it is


@cache
def _times(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(
        name
        for name, field in model.model_fields.items()
        if any(isinstance(part, EpochMillis) for part in (*field.metadata, *_parts(field.annotation)))
    )


def _parts(annotation: Any) -> Iterator[Any]:
    """What stands within it: `Time | None` is a union of it and None."""
    for part in get_args(annotation):
        yield part
        yield from _parts(part)

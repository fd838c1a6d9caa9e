"""Values of rows as JSON has them: what queries answer, what documents, `jsonb` and the cache hold.

Text stands for what JSON has no form of: a number read exactly is its digits, dates and times are ISO 8601, a time with
a zone is RFC 3339 in UTC, a duration is ISO 8601, bytes are text of code points 0 to 255. NaN and the infinities are
`NaN`, `Infinity` and `-Infinity`: JSON has no such numbers, and null would say that there is none.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

import orjson
from atlas_avro import decimals, durations
from atlas_avro.durations import Duration
from atlas_avro.primitives import number_text, octets_text

_AS_IT_IS = {str, int, bool, type(None)}
_ODD_TYPES = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS


def plain(value: Any) -> Any:
    """The value as JSON has it; what has a form already stays as it is. Raises TypeError for what has none."""
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    form = _FORMS.get(kind)
    return (form or _form_of(kind))(value)


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row, each of whose values is as JSON has it."""
    return {name: value if type(value) in _AS_IT_IS else plain(value) for name, value in row.items()}


def dumps(value: Any, *, sort: bool = False) -> bytes:
    """JSON of what `plain` gave, with names in order on wish. Raises TypeError where anything else is within."""
    return orjson.dumps(value, option=_ODD_TYPES | (orjson.OPT_SORT_KEYS if sort else 0))


def _form_of(kind: type) -> Callable[[Any], Any]:
    """By what it is a kind of: drivers have subclasses of their own."""
    for known, form in _FORMS.items():
        if issubclass(kind, known):
            return form
    raise TypeError(f"JSON has no form of {kind.__name__}")


def _decimal(value: Decimal) -> str:
    if value.is_finite():
        return decimals.text(value)
    return "NaN" if value.is_nan() else "Infinity" if value > 0 else "-Infinity"


def _datetime(value: datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat(timespec="microseconds")
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _time(value: time) -> str:
    return value.isoformat(timespec="microseconds")


def _list(value: Any) -> list[Any]:
    return [plain(part) for part in value]


def _dict(value: Mapping[Any, Any]) -> dict[str, Any]:
    if odd := [key for key in value if not isinstance(key, str)]:
        raise TypeError(f"a name in JSON is text, not {type(odd[0]).__name__}")
    return plain_row(value)


# Each before what it is a kind of: datetime is a date, Duration a tuple.
_FORMS: Mapping[type, Callable[[Any], Any]] = {
    float: number_text,
    Decimal: _decimal,
    datetime: _datetime,
    date: date.isoformat,
    time: _time,
    UUID: str,
    bytes: octets_text,
    Duration: durations.text,
    IPv4Address: str,
    IPv6Address: str,
    dict: _dict,
    list: _list,
    tuple: _list,
    str: str.__str__,
    int: int,
}

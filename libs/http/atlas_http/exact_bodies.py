"""JSON into the models of request bodies, exactly.

JSON has no form of its own for decimals, dates and UUIDs, so a strict model takes their texts; and a number that is
meant for a decimal is never a float on its way there.
"""

from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar, get_args

import orjson
from atlas_contracts.values import exact_json
from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)


def as_model(text: bytes, model: type[M]) -> M:
    """The value of a text that is JSON as `model`. Raises pydantic's ValidationError, and ValueError for a number or a
    depth that is not read exactly.
    """
    if not _has_decimals(model):
        return model.model_validate_json(text)
    try:
        exact = orjson.dumps(_exact(exact_json.parse(text)))
    except (RecursionError, TypeError):
        exact = text  # nested deeper than a model: it is refused in any case
    return model.model_validate_json(exact)


def _exact(value: Any) -> Any:
    """What a float does not hold as it was written is text, which a Decimal takes and no other number."""
    if isinstance(value, dict):
        return {name: _exact(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_exact(part) for part in value]
    if isinstance(value, Decimal):
        number = float(value)
        return number if Decimal(repr(number)) == value else str(value)
    return str(value) if type(value) is int and not -(2**63) <= value < 2**64 else value


@cache
def _has_decimals(model: type[BaseModel]) -> bool:
    return any(kind is Decimal for kind in _kinds(model, set()))


def _kinds(kind: Any, seen: set[type]) -> Iterator[Any]:
    """Every type that stands in a model's fields, those of the models in it among them."""
    yield kind
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in seen:
        seen.add(kind)
        for field in kind.model_fields.values():
            yield from _kinds(field.annotation, seen)
    for part in get_args(kind):
        yield from _kinds(part, seen)

"""The checks of single values, by the table of types, and what a refusal says."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Literal

import orjson
from atlas_avro.meaning import Meaning
from atlas_avro.table import base

from atlas_contracts.errors import FieldError

# Whether a value came from JSON. A default of a schema did, and has the form of its base: bytes as text of code points
# also where they are a decimal.
Form = bool | Literal["default"]
Shape = Callable[[Any, Form], Any]

_INT_BITS_SHOWN = 256
_AS_IT_IS = orjson.OPT_PASSTHROUGH_DATETIME  # or a date would be shown as if it were text
_KINDS: tuple[tuple[Any, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float | Decimal, "number"),
    (str, "string"),
    (bytes, "bytes"),
    (Mapping, "object"),
    (list | tuple, "array"),
)


class Faults(Exception):
    """What is wrong with a value, paths relative to it."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__(errors)
        self.errors = errors


def refuse(value: object, expected: str, reason: str = "") -> Faults:
    """The one fault of a value that is wrong as a whole."""
    found = describe(value)
    return Faults([FieldError("", f"{found}: {reason}" if reason else found, expected)])


def describe(value: object) -> str:
    """A value for an error message: its JSON text, cut to 40 characters, and what kind of thing it is."""
    if value is None:
        return "null"
    kind = next((name for types, name in _KINDS if isinstance(value, types)), type(value).__name__)
    if isinstance(value, Mapping | list | tuple):
        return f"an {kind} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > _INT_BITS_SHOWN:  # Python refuses to write out a huge one
        return f"an integer of {value.bit_length()} bits"
    try:
        # Cut first: the value may be a megabyte of text.
        shown = orjson.dumps(value[:41] if isinstance(value, str) else value, option=_AS_IT_IS).decode()
    except (TypeError, ValueError):
        cut = value[:41] if isinstance(value, str | bytes) else value
        shown = str(cut) if isinstance(cut, Decimal) else repr(cut)
    return f"{shown if len(shown) <= 42 else shown[:41] + '…'} ({kind})"


def scalar(definition: Any, meaning: Meaning) -> Shape:
    """The check of a type that holds no other: gives the Python value back, or raises Faults."""
    to_python = meaning.value
    of_default = base(definition).parse

    def check(value: Any, json: Form) -> Any:
        try:
            if json == "default":
                made = of_default(value)
                made = made if to_python is None else to_python(made)
                meaning.check(made)  # so that what it is put into can be written
                return made
            made = meaning.parse(value) if json else meaning.check(value)
            return made if to_python is None else to_python(made)
        except ValueError as error:
            raise refuse(value, meaning.expected_json if json else meaning.expected, str(error)) from None

    return check

"""JSON whose numbers are exact: an int where it is whole, else a Decimal, never a float.


A whole one of more than INT_MAX digits is a Decimal too. For values that hold decimals (`Codec.exact`); three to ten
times as slow as orjson, which reads all others. What is taken and refused is the same, but that text may hold half of a
surrogate pair: the check of a string refuses that.
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

# Characters of one number: more than any type takes, and no work worth naming.
NUMBER_MAX = 2_000
# An int takes time by the square of its digits to make, a Decimal does not; no type of whole numbers has as many.
INT_MAX = 40
_EXPONENT_MAX = 18


def parse(data: bytes | str) -> Any:
    """The value of a document; of a name that an object has twice, the last counts.

    Raises ValueError, in words for whoever sent it: not JSON or not UTF-8, NaN or an infinity, a number of more than
    NUMBER_MAX characters, nesting deeper than Python recurses (some 900 levels).
    """
    try:
        return _DECODER.decode(data if isinstance(data, str) else data.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise ValueError("nested too deep") from None


def _whole(text: str) -> int | Decimal:
    return int(text) if len(text) <= INT_MAX else Decimal(_bounded(text))


def _fraction(text: str) -> Decimal:
    try:
        if len(text) > _EXPONENT_MAX and len(text.lower().partition("e")[2].lstrip("+-0")) > _EXPONENT_MAX:
            raise InvalidOperation  # one that is too far below zero would be read as 0
        return Decimal(_bounded(text))
    except InvalidOperation:
        raise ValueError(f"a number with an exponent of more than {_EXPONENT_MAX} digits") from None


def _bounded(text: str) -> str:
    if len(text) > NUMBER_MAX:
        raise ValueError(f"a number of {len(text)} characters: expected at most {NUMBER_MAX}")
    return text


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


_DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_fraction, parse_constant=_constant)

"""JSON whose numbers are exact: a whole one is an int of any size, another a Decimal, none a float.

For values that hold decimals (`Codec.exact`); three to ten times as slow as orjson, which reads all others. What is
taken and refused is the same, but that text may hold half of a surrogate pair: the check of a string refuses that.
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

# Characters of one number: more than any type takes, and no work worth naming.
NUMBER_MAX = 2_000


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


def _whole(text: str) -> int:
    return int(_bounded(text))


def _fraction(text: str) -> Decimal:
    try:
        return Decimal(_bounded(text))
    except InvalidOperation:
        raise ValueError("a number with an exponent of more than 18 digits") from None


def _bounded(text: str) -> str:
    if len(text) > NUMBER_MAX:
        raise ValueError(f"a number of {len(text)} characters: expected at most {NUMBER_MAX}")
    return text


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


_DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_fraction, parse_constant=_constant)

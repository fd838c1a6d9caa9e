"""From JSON text to a value: by orjson, and where an event may hold a decimal so that no number loses a digit."""

import json
import re
from collections.abc import Callable
from typing import Any

import orjson
from atlas_contracts.codec import Codec
from atlas_contracts.topics import Topic
from atlas_contracts.values import exact_json

# Raises json.JSONDecodeError, of which orjson's own is one.
Parse = Callable[[bytes], Any]

# A number that is another one as a float, and a text that looks like such a place: a comma, digits, a point.
_LOSSY = re.compile(rb"(?:[:,\[]|\A)[ \t\r\n]*+-?[0-9]++(?:[.eE]|(?<=[0-9]{19}))")
_ODD_NUMBER = re.compile(rb"[0-9.eE+-]{%d,}+|[eE][+-]?[0-9]{19,}+" % (exact_json.NUMBER_MAX + 1))

plainly: Parse = orjson.loads


def exactly(text: bytes) -> Any:
    """The value, each number as it was written: a whole one as an int or a Decimal, another as a Decimal.

    Where no number could lose anything it is orjson's reading, at its speed.
    """
    if _LOSSY.search(text) is None:
        return orjson.loads(text)
    try:
        return exact_json.parse(text)
    except ValueError as error:
        orjson.loads(text)  # where it is no JSON at all, that says where
        odd = _ODD_NUMBER.search(text)
        at = len(text[: odd.start()].decode()) if odd else 0
        raise json.JSONDecodeError(str(error), text.decode(), at) from None


def parse_of(topic: Topic, codec: Codec) -> Parse:
    """How what is posted to a topic is read."""
    return exactly if any(codec.exact(event_type) for event_type in topic.events) else plainly

"""Kafka's flexible form of requests and answers (KIP-482), for those that aiokafka does not speak.

In it texts and arrays are compact, and every structure ends with tagged fields.
"""

import uuid
from io import BytesIO
from typing import Any

from atlas_kafka.internals.protocol import AbstractType, CompactArray, CompactString, Schema, TaggedFields

TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)


def body(*fields: tuple[str, Any]) -> Schema:
    """The body of a request or of an answer: its fields by name, then `tags`."""
    return Schema(*fields, _TAGS)


def array(*fields: tuple[str, Any]) -> CompactArray:
    """Structures of these fields and `tags`: each value is a tuple with a dict as its last item."""
    return CompactArray(*fields, _TAGS)


class Uuid(AbstractType):  # type: ignore[misc]
    """Sixteen bytes."""

    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(16))

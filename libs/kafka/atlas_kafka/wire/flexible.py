"""Kafka's flexible form of requests and answers (KIP-482), for those that aiokafka does not speak.

In it texts and arrays are compact, and every structure ends with tagged fields.
"""

import uuid
from io import BytesIO
from typing import Any

from atlas_kafka.internals.protocol import (
    AbstractType,
    CompactArray,
    CompactString,
    RequestStruct,
    Response,
    Schema,
    TaggedFields,
)

TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)


def body(*fields: tuple[str, Any]) -> Schema:
    """The body of a request or of an answer: its fields by name, then `tags`."""
    return Schema(*fields, _TAGS)


def array(*fields: tuple[str, Any]) -> CompactArray:
    """Structures of these fields and `tags`: each value is a tuple with a dict as its last item."""
    return CompactArray(*fields, _TAGS)


def partitions_of(topic: tuple[str, Any], *fields: tuple[str, Any]) -> tuple[str, CompactArray]:
    """Topics, each told by this field, and of each its partitions, with these fields."""
    return ("topics", array(topic, ("partitions", array(*fields))))


class Uuid(AbstractType):  # type: ignore[misc]
    """Sixteen bytes."""

    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(16))


class FlexibleResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    """An answer in the flexible form; `api` is the key of its request and the version of both."""

    def __init_subclass__(cls, api: tuple[int, int]) -> None:
        cls.API_KEY, cls.API_VERSION = api
        super().__init_subclass__()


class FlexibleRequest(RequestStruct):  # type: ignore[misc]
    """A request in the flexible form, `answered` by a response of the same key and version."""

    FLEXIBLE_VERSION = True
    API_KEY = API_VERSION = -1
    RESPONSE_TYPE, SCHEMA = Response, body()

    def __init_subclass__(cls, answered: type[FlexibleResponse]) -> None:
        cls.API_KEY, cls.API_VERSION, cls.RESPONSE_TYPE = answered.API_KEY, answered.API_VERSION, answered
        super().__init_subclass__()

"""CloudEvents in HTTP's binary mode: what headers and body come to."""

from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
from aiohttp.test_utils import make_mocked_request
from atlas_gateway.limits import Limits
from atlas_gateway.posting.binary_mode import decode, fingerprint, form, is_binary, read_attributes
from atlas_gateway.posting.envelopes import Envelope, Refused
from atlas_gateway.posting.sources import document
from atlas_http.problems import Problem
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

ATTRIBUTES = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "t"}
# Any character that an attribute may hold.
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1)


def encoded(text: str) -> str:
    """As the binding has senders write it: all but printable ASCII, space, double quote and percent."""
    return quote(text, safe="!#$&'()*+,/:;<=>?@[]^`{|}~\\")


async def read(body: bytes, *more: tuple[str, str], content_type: str = "application/json") -> list[Envelope]:
    headers = CIMultiDict([*ATTRIBUTES.items(), ("Content-Type", content_type), *more])
    request = make_mocked_request("POST", "/", headers=headers)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 3):
            yield body[start : start + 3]

    groups, to_envelope = form(request, document)
    return [to_envelope(item) for group in [group async for group in groups(pieces(), *LIMITS)] for item in group]


LIMITS = (Limits(),)


def paths(refused: Refused) -> list[str]:
    return [error["path"] for error in refused.error["errors"]]


async def test_headers_and_body_are_one_event() -> None:
    more = [("CE-Subject", "s"), ("ce-time", "1970-01-01T00:00:01Z"), ("ce-tenant", "n"), ("accept", "x")]
    (envelope,) = await read(b' {"a": 1}', *more)
    assert (envelope.type, envelope.value, envelope.id, envelope.source) == ("t", {"a": 1}, "1", "/x")
    assert (envelope.subject, envelope.time_ms, envelope.headers) == ("s", 1000, (("ce_tenant", b"n"),))


@given(TEXT)
def test_an_encoded_value_is_read_as_it_was(text: str) -> None:
    assert decode(encoded(text)) == text


@given(TEXT)
def test_a_quoted_value_is_read_as_it_was(text: str) -> None:
    escaped = encoded(text).replace("\\", "\\\\")
    assert decode(f'"{escaped}"') == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("Euro%20%E2%82%AC", "Euro €"), ("%2525", "%25"), ("\t a b ", "a b"), ("é", "é"), ('"', '"'), ('"a\\"b"', 'a"b')],
)
def test_a_value_is_decoded_once(value: str, text: str) -> None:
    assert decode(value) == text


@pytest.mark.parametrize("value", ["%", "100%", "%4", "%zz", "%ff", "%ed%a0%80"])
def test_what_is_no_encoded_text(value: str) -> None:
    with pytest.raises(ValueError, match="percent-encoded"):
        decode(value)
    attributes, faults = read_attributes([("ce-id", value)])
    assert (attributes, [fault["path"] for fault in faults]) == ({}, ["/id"])


@pytest.mark.parametrize(
    ("header", "value", "where"),
    [
        ("ce-specversion", "1.0", ["/specversion"]),  # twice, if alike
        ("ce-id", "2", ["/id"]),  # a second time
        ("CE-ID", "2", ["/id"]),
        ("ce-subject", "", ["/subject"]),
        ("ce-subject", "%00", ["/subject"]),
        ("ce-subject", "100%", ["/subject"]),
        ("ce-sequence", "2", ["/sequence"]),
        ("ce-time", "soon", ["/time"]),
        ("ce-data", "x", ["/data"]),
        ("ce-datacontenttype", "application/json", ["/datacontenttype"]),
        ("ce-", "x", ["/"]),
        ("ce-a-b", "x", ["/a-b"]),
        ("ce-a_b", "x", ["/a_b"]),
        ("ce-tenant", "x" * 256, ["/tenant"]),
    ],
)
async def test_odd_attributes_are_named(header: str, value: str, where: list[str]) -> None:
    with pytest.raises(Refused) as raised:
        await read(b"{}", (header, value))
    assert paths(raised.value) == where


@pytest.mark.parametrize(("body", "where"), [(b"", ["/data"]), (b" \n", ["/data"])])
async def test_an_event_has_data(body: bytes, where: list[str]) -> None:
    with pytest.raises(Refused) as raised:
        await read(body)
    assert paths(raised.value) == where


async def test_an_array_is_not_many_events() -> None:
    request = make_mocked_request("POST", "/", headers={**ATTRIBUTES, "Content-Type": "application/json"})

    async def body() -> AsyncIterator[bytes]:
        yield b' [{"a": 1}, {"a": 2}]'

    groups, _ = form(request, document)
    (items,) = [group async for group in groups(body(), *LIMITS)]
    (refused,) = items
    assert isinstance(refused, Refused)
    assert paths(refused) == ["/data"]


async def test_a_body_that_is_no_json_is_the_request_s_fault() -> None:
    with pytest.raises(Problem) as raised:
        await read(b"{")
    assert raised.value.kind.status == 400
    for content_type in ("application/x-ndjson", "text/xml", "application/avro", ""):
        with pytest.raises(Problem) as raised:
            await read(b"{}", content_type=content_type)
        assert raised.value.kind.status == 415


@pytest.mark.parametrize(
    ("headers", "binary"),
    [
        ({"ce-id": "1"}, True),
        ({"CE-anything": "1", "Content-Type": "application/json"}, True),
        ({"Content-Type": "application/json"}, False),
        ({"ce-id": "1", "Content-Type": "application/cloudevents+json"}, False),
        ({"ce-id": "1", "Content-Type": "application/cloudevents-batch+json; charset=utf-8"}, False),
        ({"ceid": "1", "cex-id": "1"}, False),
    ],
)
def test_the_content_type_says_which_mode_it_is(headers: dict[str, str], binary: bool) -> None:
    request = make_mocked_request("POST", "/", headers=headers)
    assert is_binary(request) is binary
    assert bool(fingerprint(request)) is binary


def test_other_attributes_make_another_request() -> None:
    one, same, other = (
        fingerprint(make_mocked_request("POST", "/", headers=headers))
        for headers in ({"ce-id": "1", "ce-type": "t"}, {"CE-TYPE": "t", "ce-id": "1"}, {"ce-id": "2", "ce-type": "t"})
    )
    assert one == same != other


async def test_data_that_is_too_much_is_refused() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"a": "' + b"x" * 3_000_000 + b'"}'

    groups, _ = form(
        make_mocked_request("POST", "/", headers=CIMultiDict(ATTRIBUTES | {"Content-Type": "application/json"})),
        document,
    )
    ((item,),) = [group async for group in groups(body(), *LIMITS)]
    assert isinstance(item, Refused)

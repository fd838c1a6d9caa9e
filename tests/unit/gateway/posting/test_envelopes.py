"""The two forms of a posted event."""

from typing import Any

import pytest
from atlas_gateway.posting.envelopes import Refused, cloud_event, plain

CLOUD = {"specversion": "1.0", "id": "1", "source": "/x", "type": "t", "data": {"a": 1}}


def paths(refused: Refused) -> list[str]:
    return [error["path"] for error in refused.error["errors"]]


def test_a_plain_record_with_everything() -> None:
    item = {"type": "t", "value": 1, "key": "k", "id": "i", "time": 5, "headers": {"a": "ä"}}
    envelope = plain(item)
    assert (envelope.type, envelope.value, envelope.key, envelope.id, envelope.time_ms) == ("t", 1, "k", "i", 5)
    assert envelope.headers == (("a", "ä".encode()),)


@pytest.mark.parametrize(
    ("item", "where"),
    [
        ([], [""]),
        ({}, ["/value"]),
        ({"value": 1, "x": 2, "id": ""}, ["/x", "/id"]),
        ({"value": 1, "key": 7}, ["/key"]),
        ({"value": 1, "id": "x" * 256}, ["/id"]),
        ({"value": 1, "time": True}, ["/time"]),
        ({"value": 1, "time": "yesterday"}, ["/time"]),
        ({"value": 1, "time": "1969-12-31T23:59:59Z"}, ["/time"]),
        ({"value": 1, "time": 253_402_300_800_000}, ["/time"]),
        ({"value": 1, "headers": []}, ["/headers"]),
        (
            {"value": 1, "headers": {"CE_id": "x", "Traceparent": "x", "n": 1}},
            ["/headers/CE_id", "/headers/Traceparent", "/headers/n"],
        ),
    ],
)
def test_what_is_no_plain_record(item: Any, where: list[str]) -> None:
    with pytest.raises(Refused) as raised:
        plain(item)
    assert paths(raised.value) == where


def test_a_cloud_event_with_everything() -> None:
    item = CLOUD | {
        "subject": "s",
        "time": "1970-01-01T00:00:01Z",
        "datacontenttype": "application/json",
        "tenant": "n",
    }
    envelope = cloud_event(item)
    assert (envelope.value, envelope.value_path, envelope.source, envelope.subject) == ({"a": 1}, "/data", "/x", "s")
    assert (envelope.time_ms, envelope.headers) == (1000, (("ce_tenant", b"n"),))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"specversion": "0.3"}, ["/specversion"]),
        ({"data_base64": "AA=="}, ["/data_base64"]),
        ({"datacontenttype": "text/xml"}, ["/datacontenttype"]),
        ({"Tenant": "n"}, ["/Tenant"]),
        ({"tenant": 7}, ["/tenant"]),
        ({"sequence": "2"}, ["/sequence"]),
        ({"id": "a\x00"}, ["/id"]),
        ({"subject": "\x1b[31m"}, ["/subject"]),
        ({"tenant": "a\nb"}, ["/tenant"]),
        ({"ten-ant": "n"}, ["/ten-ant"]),
        ({"é": "n"}, ["/é"]),
        ({"": "n"}, ["/"]),
        ({"²": "n"}, ["/²"]),
        ({"x" * 256: "n"}, ["/" + "x" * 255 + "…"]),
        ({"dataschema": 1}, ["/dataschema"]),
        ({"datacontenttype": 1}, ["/datacontenttype"]),
        ({"datacontenttype": "application/jsonp"}, ["/datacontenttype"]),
        ({"type": ["t"]}, ["/type"]),
        ({"type": None, "id": None}, ["/id", "/type"]),
        ({"source": "", "subject": 1}, ["/source", "/subject"]),
    ],
)
def test_what_is_no_cloud_event(change: dict[str, Any], where: list[str]) -> None:
    with pytest.raises(Refused) as raised:
        cloud_event(CLOUD | change)
    assert paths(raised.value) == where


@pytest.mark.parametrize(
    "name", ["subject", "time", "datacontenttype", "dataschema", "data_base64", "sequence", "tenant", "Odd-Name"]
)
def test_an_attribute_that_is_null_is_as_if_it_were_not_there(name: str) -> None:
    assert cloud_event(CLOUD | {name: None}) == cloud_event(CLOUD)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "text/json", "application/vnd.x+json"])
def test_data_may_be_any_json(content_type: str) -> None:
    assert cloud_event(CLOUD | {"datacontenttype": content_type}).value == {"a": 1}


def test_where_the_data_has_its_schema_is_passed_on() -> None:
    assert cloud_event(CLOUD | {"dataschema": "/s"}).headers == (("ce_dataschema", b"/s"),)


def test_everything_that_a_cloud_event_needs() -> None:
    with pytest.raises(Refused) as raised:
        cloud_event({})
    assert paths(raised.value) == ["/specversion", "/id", "/source", "/type", "/data"]

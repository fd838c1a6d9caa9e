"""POST /topics/{topic}: what is good gets onto the topic, what is not is told apart, record by record."""

import json
import time
import uuid
from typing import Any

import pytest
from aiohttp import ClientSession
from atlas_contracts.codec import Codec
from atlas_kafka_format.partitioning import partition_for

from tests.integration.gateway.posting import Fetch, departed


async def test_one_event_is_on_the_topic_when_answered(
    client: ClientSession, path: str, fetch: Fetch, codec: Codec, prefix: str
) -> None:
    event = departed()
    async with client.post(path, json=event) as response:
        answer = await response.json()
    assert (response.status, answer["succeeded"], answer["failed"]) == (200, 1, 0)
    (result,) = answer["results"]
    assert response.headers["Atlas-Token"] == f"{prefix}hauls.events/{result['partition']}@{result['offset']}"
    record = await fetch(result)
    decoded = codec.decode(record.value)
    assert decoded.type == "hauls.HaulDeparted"
    assert decoded.value == event["value"] | {"scheduled_departure": 1357035300000}
    assert record.key == event["value"]["haul_id"].encode()
    assert record.partition == partition_for(record.key, 4)
    headers = {name: value.decode() for name, value in record.headers}
    assert headers["ce_type"] == "hauls.HaulDeparted"
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_subject"] == event["value"]["haul_id"]
    assert uuid.UUID(headers["ce_id"]).version == 7
    assert headers["content-type"] == "application/avro"


async def test_a_record_may_say_more_about_itself(client: ClientSession, path: str, fetch: Fetch) -> None:
    event = departed() | {"id": "id-1", "time": "2020-02-29T12:00:00.5Z", "headers": {"source-file": "hauls.csv"}}
    event["key"] = event["value"]["haul_id"]
    async with client.post(path, json=event) as response:
        (result,) = (await response.json())["results"]
    record = await fetch(result)
    headers = dict(record.headers)
    assert (headers["ce_id"], headers["source-file"]) == (b"id-1", b"hauls.csv")
    assert headers["ce_time"] == b"2020-02-29T12:00:00.500Z"
    assert abs(record.timestamp / 1000 - time.time()) < 60, "its time in Kafka is that of writing"


async def test_one_bad_record_among_good_ones(client: ClientSession, path: str, fetch: Fetch) -> None:
    events = [departed(), departed(haul_number="no number"), departed()]
    async with client.post(path, json=events) as response:
        answer = await response.json()
    assert (response.status, answer["succeeded"], answer["failed"]) == (207, 2, 1)
    error = answer["results"][1]["error"]
    assert error["type"] == "urn:atlas:problem:invalid-record"
    assert error["errors"] == [
        {
            "path": "/value/haul_number",
            "found": '"no number" (string)',
            "expected": error["errors"][0]["expected"],
        }
    ]
    assert "int" in error["errors"][0]["expected"]
    for index in (0, 2):
        record = await fetch(answer["results"][index])
        assert record.key == events[index]["value"]["haul_id"].encode()


@pytest.mark.parametrize(
    ("change", "where", "found"),
    [
        ({"haul_number": 1.5}, "/value/haul_number", "1.5"),
        ({"haul_number": 2**31}, "/value/haul_number", "2147483648"),
        ({"haul_number": True}, "/value/haul_number", "true"),
        ({"carrier": None}, "/value/carrier", "null"),
        ({"gate": "C7"}, "/value/gate", "C7"),
        ({"scheduled_departure": "soon"}, "/value/scheduled_departure", "soon"),
    ],
)
async def test_a_value_that_does_not_fit(
    client: ClientSession, path: str, change: dict[str, Any], where: str, found: str
) -> None:
    async with client.post(path, json=departed(**change)) as response:
        problem = await response.json()
    assert response.status == 422
    assert response.content_type == "application/problem+json"
    (error,) = problem["errors"]
    assert error["path"] == where
    assert found in error["found"]
    assert problem["results"][0]["error"]["errors"] == [error]


async def test_a_missing_field(client: ClientSession, path: str) -> None:
    event = departed()
    del event["value"]["origin"]
    async with client.post(path, json=event) as response:
        (error,) = (await response.json())["errors"]
    assert response.status == 422
    assert (error["path"], error["found"]) == ("/value/origin", "nothing")


@pytest.mark.parametrize(
    ("record", "where"),
    [
        ({"value": {}}, "/type"),
        ({"type": "hauls.HaulDeparted"}, "/value"),
        (departed() | {"type": "yards.YardRegistered"}, "/type"),
        (departed() | {"colour": "red"}, "/colour"),
        (departed() | {"key": "other"}, "/key"),
        (departed() | {"time": -1}, "/time"),
        (departed() | {"id": ""}, "/id"),
        (departed() | {"headers": {"ce_type": "x"}}, "/headers/ce_type"),
        (7, ""),
    ],
)
async def test_a_record_that_is_none(client: ClientSession, path: str, record: Any, where: str) -> None:
    async with client.post(path, json=[record]) as response:
        (error,) = (await response.json())["errors"]
    assert response.status == 422
    assert error["path"] == where


async def test_the_type_may_be_left_out_where_there_is_one(client: ClientSession, prefix: str) -> None:
    value = {"observation_id": "EWR-20130101T10", "depot": "EWR", "observed_at": 1357035300000}
    async with client.post(f"/topics/{prefix}hauls.roads", json={"value": value}) as response:
        answer = await response.json()
    assert (response.status, answer["succeeded"]) == (200, 1), answer


async def test_an_unknown_topic_names_the_known_ones(client: ClientSession, prefix: str) -> None:
    async with client.post("/topics/nothing", json=departed()) as response:
        problem = await response.json()
    assert response.status == 404
    assert problem["type"] == "urn:atlas:problem:unknown-topic"
    assert f"{prefix}hauls.events" in problem["topics"]


async def test_a_cloud_event(client: ClientSession, path: str, fetch: Fetch, codec: Codec) -> None:
    event = departed()
    cloud = {
        "specversion": "1.0", "id": "A-1", "source": "/depot/ewr", "type": event["type"], "data": event["value"],
        "time": "2013-01-01T10:17:00Z", "subject": "gate C7", "tenant": "north",
    }  # fmt: skip
    headers = {"Content-Type": "application/cloudevents+json"}
    async with client.post(path, data=json.dumps(cloud), headers=headers) as response:
        (result,) = (await response.json())["results"]
    assert response.status == 200
    record = await fetch(result)
    found = dict(record.headers)
    assert (found["ce_id"], found["ce_source"], found["ce_subject"]) == (b"A-1", b"/depot/ewr", b"gate C7")
    assert (found["ce_tenant"], found["ce_time"]) == (b"north", b"2013-01-01T10:17:00.000Z")
    assert codec.decode(record.value).value["carrier"] == "UA"


async def test_a_batch_of_cloud_events_with_a_bad_one(client: ClientSession, path: str) -> None:
    event = departed(carrier=7)
    bad = {"specversion": "1.0", "id": "1", "source": "/x", "type": event["type"], "data": event["value"]}
    good = bad | {"data": departed()["value"]}
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    async with client.post(path, data=json.dumps([good, bad, {"id": "2"}]), headers=headers) as response:
        answer = await response.json()
    assert (response.status, answer["succeeded"], answer["failed"]) == (207, 1, 2)
    assert answer["results"][1]["error"]["errors"][0]["path"] == "/data/carrier"
    missing = {error["path"] for error in answer["results"][2]["error"]["errors"]}
    assert missing == {"/specversion", "/source", "/type", "/data"}


async def test_a_cloud_event_in_binary_mode(client: ClientSession, path: str, fetch: Fetch, codec: Codec) -> None:
    event = departed()
    headers = {
        "ce-specversion": "1.0", "ce-id": "A-1", "ce-source": "/depot/ewr", "ce-type": event["type"],
        "ce-time": "2013-01-01T10:17:00Z", "ce-subject": "Gate%20%E2%82%AC7", "CE-Tenant": "north",
        "Content-Type": "application/json; charset=utf-8",
    }  # fmt: skip
    async with client.post(path, data=json.dumps(event["value"]), headers=headers) as response:
        answer = await response.json()
    assert response.status == 200, answer
    record = await fetch(answer["results"][0])
    found = dict(record.headers)
    assert (found["ce_id"], found["ce_source"]) == (b"A-1", b"/depot/ewr")
    assert (found["ce_subject"], found["ce_tenant"]) == ("Gate €7".encode(), b"north")
    assert found["ce_time"] == b"2013-01-01T10:17:00.000Z"
    assert record.key == event["value"]["haul_id"].encode()
    assert codec.decode(record.value).value["carrier"] == "UA"


@pytest.mark.parametrize(
    ("change", "status", "where"),
    [
        ({"ce-type": "yards.YardRegistered"}, 422, "/type"),
        ({"ce-subject": "100%"}, 422, "/subject"),
        ({"ce-sequence": "2"}, 422, "/sequence"),
        ({"ce-specversion": "2.0"}, 422, "/specversion"),
        ({"Content-Type": "application/x-ndjson"}, 415, None),
    ],
)
async def test_a_binary_cloud_event_that_is_none(
    client: ClientSession, path: str, change: dict[str, str], status: int, where: str | None
) -> None:
    event = departed()
    headers = {
        "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": event["type"],
        "Content-Type": "application/json",
    }  # fmt: skip
    async with client.post(path, data=json.dumps(event["value"]), headers=headers | change) as response:
        problem = await response.json()
    assert (response.status, response.content_type) == (status, "application/problem+json"), problem
    assert [error["path"] for error in problem.get("errors", ())] == ([where] if where else [])


async def test_a_key_holds_the_attributes_too(client: ClientSession, path: str) -> None:
    event, key = departed(), uuid.uuid4().hex
    headers = {
        "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": event["type"],
        "Content-Type": "application/json", "Idempotency-Key": key,
    }  # fmt: skip
    statuses = []
    for change in ({}, {}, {"ce-id": "2"}):
        async with client.post(path, data=json.dumps(event["value"]), headers=headers | change) as response:
            statuses.append((response.status, "Idempotent-Replayed" in response.headers))
    assert statuses == [(200, False), (200, True), (422, False)]


async def test_a_subject_that_is_null_is_none(client: ClientSession, path: str, fetch: Fetch) -> None:
    event = departed()
    cloud = {
        "specversion": "1.0", "id": "1", "source": "/x", "type": event["type"], "data": event["value"],
        "subject": None, "time": None,
    }  # fmt: skip
    headers = {"Content-Type": "application/cloudevents+json"}
    async with client.post(path, data=json.dumps(cloud), headers=headers) as response:
        answer = await response.json()
    assert response.status == 200, answer
    record = await fetch(answer["results"][0])
    assert dict(record.headers)["ce_subject"] == event["value"]["haul_id"].encode()

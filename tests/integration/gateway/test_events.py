"""POST /topics/{topic}: what is good gets onto the topic, what is not is told apart, record by record."""

import asyncio
import io
import json
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import ClientSession
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from atlas_contracts.codec import Codec
from atlas_kafka.producer import partition_for
from atlas_local.testing import Servers

NDJSON = {"Content-Type": "application/x-ndjson"}
Fetch = Callable[[dict[str, int]], Any]


def departed(**changes: Any) -> dict[str, Any]:
    value = {
        "flight_id": f"UA{uuid.uuid4().hex[:8]}-20130101T10-EWR",
        "carrier": "UA",
        "flight_number": 1545,
        "tail_number": "N14228",
        "origin": "EWR",
        "destination": "IAH",
        "scheduled_departure": "2013-01-01T10:15:00Z",
        "distance_miles": 1400,
        "departure_delay_minutes": 2,
        "arrival_delay_minutes": 11,
        "air_time_minutes": 227,
    }
    return {"type": "flights.FlightDeparted", "value": value | changes}


@pytest.fixture
def path(prefix: str) -> str:
    return f"/topics/{prefix}flights.events"


@pytest.fixture
async def fetch(servers: Servers, prefix: str) -> AsyncIterator[Fetch]:
    """`await fetch(result)` reads the record that a result names."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers.kafka_brokers, enable_auto_commit=False)
    await consumer.start()

    async def one(result: dict[str, int]) -> ConsumerRecord:
        place = TopicPartition(f"{prefix}flights.events", result["partition"])
        consumer.assign([place])
        consumer.seek(place, result["offset"])
        async with asyncio.timeout(5):
            record = await consumer.getone()
        assert record.offset == result["offset"]
        return record

    yield one
    await consumer.stop()


async def test_one_event_is_on_the_topic_when_answered(
    client: ClientSession, path: str, fetch: Fetch, codec: Codec, prefix: str
) -> None:
    event = departed()
    async with client.post(path, json=event) as response:
        answer = await response.json()
    assert (response.status, answer["succeeded"], answer["failed"]) == (200, 1, 0)
    (result,) = answer["results"]
    assert response.headers["Atlas-Token"] == f"{prefix}flights.events/{result['partition']}@{result['offset']}"
    record = await fetch(result)
    decoded = codec.decode(record.value)
    assert decoded.type == "flights.FlightDeparted"
    assert decoded.value == event["value"] | {"scheduled_departure": 1357035300000}
    assert record.key == event["value"]["flight_id"].encode()
    assert record.partition == partition_for(record.key, 4)
    headers = {name: value.decode() for name, value in record.headers}
    assert headers["ce_type"] == "flights.FlightDeparted"
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_subject"] == event["value"]["flight_id"]
    assert uuid.UUID(headers["ce_id"]).version == 7
    assert headers["content-type"] == "application/avro"


async def test_a_record_may_say_more_about_itself(client: ClientSession, path: str, fetch: Fetch) -> None:
    event = departed() | {"id": "id-1", "time": "2020-02-29T12:00:00.5Z", "headers": {"source-file": "flights.csv"}}
    event["key"] = event["value"]["flight_id"]
    async with client.post(path, json=event) as response:
        (result,) = (await response.json())["results"]
    record = await fetch(result)
    headers = dict(record.headers)
    assert (headers["ce_id"], headers["source-file"]) == (b"id-1", b"flights.csv")
    assert headers["ce_time"] == b"2020-02-29T12:00:00.500Z"
    assert record.timestamp == 1582977600500


async def test_one_bad_record_among_good_ones(client: ClientSession, path: str, fetch: Fetch) -> None:
    events = [departed(), departed(flight_number="no number"), departed()]
    async with client.post(path, json=events) as response:
        answer = await response.json()
    assert (response.status, answer["succeeded"], answer["failed"]) == (207, 2, 1)
    error = answer["results"][1]["error"]
    assert error["type"] == "urn:atlas:problem:invalid-record"
    assert error["errors"] == [
        {
            "path": "/value/flight_number",
            "found": '"no number" (string)',
            "expected": error["errors"][0]["expected"],
        }
    ]
    assert "int" in error["errors"][0]["expected"]
    for index in (0, 2):
        record = await fetch(answer["results"][index])
        assert record.key == events[index]["value"]["flight_id"].encode()


@pytest.mark.parametrize(
    ("change", "where", "found"),
    [
        ({"flight_number": 1.5}, "/value/flight_number", "1.5"),
        ({"flight_number": 2**31}, "/value/flight_number", "2147483648"),
        ({"flight_number": True}, "/value/flight_number", "true"),
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
        ({"type": "flights.FlightDeparted"}, "/value"),
        (departed() | {"type": "users.UserRegistered"}, "/type"),
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
    value = {
        "service": "test", "instance": "i", "state": "READY", "reasons": {}, "started_at": 1, "sent_at": 2,
        "interval_ms": 1000, "version": "0",
    }  # fmt: skip
    async with client.post(f"/topics/{prefix}health.heartbeats", json={"value": value}) as response:
        answer = await response.json()
    assert (response.status, answer["succeeded"]) == (200, 1), answer


async def test_an_unknown_topic_names_the_known_ones(client: ClientSession, prefix: str) -> None:
    async with client.post("/topics/nothing", json=departed()) as response:
        problem = await response.json()
    assert response.status == 404
    assert problem["type"] == "urn:atlas:problem:unknown-topic"
    assert f"{prefix}flights.events" in problem["topics"]


async def test_broken_json_says_where(client: ClientSession, path: str) -> None:
    headers = {"Content-Type": "application/json"}
    async with client.post(path, data=b'{\n  "type": nothing\n}', headers=headers) as response:
        problem = await response.json()
    assert (response.status, problem["line"], problem["column"]) == (400, 2, 11)


async def test_a_large_array_that_breaks_in_its_middle_has_no_effect(client: ClientSession, path: str) -> None:
    good = json.dumps([departed() for _ in range(1500)], indent=1)
    lines = good.splitlines()
    lines[10_000] = lines[10_000] + " oops"
    broken = "\n".join(lines).encode()
    assert len(broken) > 256 * 1024
    async with client.post(path, data=broken, headers={"Content-Type": "application/json"}) as response:
        problem = await response.json()
    assert (response.status, problem["line"]) == (400, 10_001)
    assert "results" not in problem
    assert "Atlas-Token" not in response.headers


async def test_a_large_array_arrives_whole(client: ClientSession, path: str) -> None:
    events = [departed(tail_number="Nüñ" + "é" * 20) for _ in range(1500)]
    async with client.post(path, json=events) as response:
        answer = await response.json()
    assert (response.status, answer["succeeded"]) == (200, 1500)
    assert len({(result["partition"], result["offset"]) for result in answer["results"]}) == 1500


async def test_ndjson_keeps_the_order_of_a_key(client: ClientSession, path: str, fetch: Fetch, codec: Codec) -> None:
    flight = departed()["value"]["flight_id"]
    events = [departed(flight_id=flight, flight_number=number) for number in range(2000)]
    text = "\r\n".join(json.dumps(event) for event in events) + "\n\n"
    async with client.post(path, data=text.encode(), headers=NDJSON) as response:
        answer = await response.json()
    assert (response.status, answer["succeeded"]) == (200, 2000)
    offsets = [result["offset"] for result in answer["results"]]
    assert offsets == sorted(offsets)
    assert codec.decode((await fetch(answer["results"][1234])).value).value["flight_number"] == 1234


async def test_a_broken_line_is_that_lines_error(client: ClientSession, path: str) -> None:
    text = f"{json.dumps(departed())}\n\n{{oops\n{json.dumps(departed())}"
    async with client.post(path, data=text.encode(), headers=NDJSON) as response:
        answer = await response.json()
    assert (response.status, answer["succeeded"], answer["failed"]) == (207, 2, 1)
    error = answer["results"][1]["error"]
    assert (error["type"], error["line"], error["column"]) == ("urn:atlas:problem:broken-json", 3, 2)


async def test_ndjson_of_nothing_but_broken_lines_is_400(client: ClientSession, path: str) -> None:
    async with client.post(path, data=b"{\n[\n", headers=NDJSON) as response:
        assert response.status == 400


async def test_a_5_mb_record_is_refused_and_the_others_go_on(client: ClientSession, path: str) -> None:
    events = [departed(), departed(tail_number="N" * 5_000_000), departed()]
    body = io.BytesIO(json.dumps(events).encode())
    async with client.post(path, data=body, headers={"Content-Type": "application/json"}) as response:
        answer = await response.json()
    assert (response.status, answer["succeeded"], answer["failed"]) == (207, 2, 1)
    assert answer["results"][1]["error"]["type"] == "urn:atlas:problem:record-too-large"


async def test_a_body_announced_as_too_large_is_not_read(gateway_url: str, path: str) -> None:
    host, port = gateway_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n"
    )
    writer.write(head.encode() + b"[" * 1000)
    async with asyncio.timeout(2):
        assert b" 413 " in await reader.readline()
    writer.close()


async def test_a_body_announced_as_too_large_is_not_asked_for(gateway_url: str, path: str) -> None:
    host, port = gateway_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    writer.write(f"{head}Content-Length: 100000000\r\n\r\n".encode())
    async with asyncio.timeout(2):
        assert b" 413 " in await reader.readline()
    writer.close()


@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
async def test_a_100_mb_body_is_refused(gateway_url: str, path: str, content_type: str) -> None:
    host, port = gateway_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    piece = (json.dumps(departed()) + "\n").encode() * 200
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\n"

    async def send() -> None:
        writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(100_000_000 // len(piece)):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()

    sending = asyncio.create_task(send())
    async with asyncio.timeout(20):
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        length = next(int(line.split(": ")[1]) for line in lines if line.startswith("Content-Length"))
        problem = json.loads(await reader.readexactly(length))
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    writer.transport.abort()
    assert " 413 " in lines[0]
    assert problem["limit_bytes"] == 16 * 1024 * 1024
    # Nothing of a document is sent before its end is seen; of lines, those that were are named.
    assert ("results" in problem) is (content_type == "application/x-ndjson")


async def test_a_gzipped_body_is_bounded_by_what_it_holds(client: ClientSession, path: str) -> None:
    async with client.post(
        path, data=io.BytesIO(b" " * 40_000_000), compress="gzip", headers={"Content-Type": "application/json"}
    ) as response:
        assert response.status == 413


async def test_a_gzipped_body_is_taken(client: ClientSession, path: str) -> None:
    async with client.post(path, json=[departed()] * 10, compress="gzip") as response:
        assert response.status == 200


async def test_other_media_types_are_refused(client: ClientSession, path: str) -> None:
    async with client.post(path, data=b"a,b", headers={"Content-Type": "text/csv"}) as response:
        problem = await response.json()
    assert response.status == 415
    assert "application/x-ndjson" in problem["accepted"]


async def test_a_cloud_event(client: ClientSession, path: str, fetch: Fetch, codec: Codec) -> None:
    event = departed()
    cloud = {
        "specversion": "1.0", "id": "A-1", "source": "/airport/ewr", "type": event["type"], "data": event["value"],
        "time": "2013-01-01T10:17:00Z", "subject": "gate C7", "tenant": "north",
    }  # fmt: skip
    headers = {"Content-Type": "application/cloudevents+json"}
    async with client.post(path, data=json.dumps(cloud), headers=headers) as response:
        (result,) = (await response.json())["results"]
    assert response.status == 200
    record = await fetch(result)
    found = dict(record.headers)
    assert (found["ce_id"], found["ce_source"], found["ce_subject"]) == (b"A-1", b"/airport/ewr", b"gate C7")
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


async def test_others_are_answered_while_a_large_body_is_worked_on(client: ClientSession, path: str) -> None:
    text = b"\n".join(json.dumps(departed()).encode() for _ in range(30_000))
    longest = 0.0
    loop = asyncio.get_running_loop()

    async def post() -> int:
        async with client.post(path, data=io.BytesIO(text), headers=NDJSON) as response:
            return int((await response.json())["succeeded"])

    begun = loop.time()
    posting = asyncio.create_task(post())
    answered = 0
    while not posting.done():
        started = loop.time()
        async with client.get("/health/live") as response:
            assert response.status == 200
        longest = max(longest, loop.time() - started)
        answered += 1
        await asyncio.sleep(0.005)
    assert await posting == 30_000
    whole = loop.time() - begun
    # Relative to the whole, because both take longer on a busy machine: in one go, one would wait for all of it.
    assert answered >= 5
    assert longest < whole / 2, f"a small request waited {longest:.3f} s of {whole:.3f} s"

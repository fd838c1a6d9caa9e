"""POST /topics/{topic}: bodies that are large, broken, compressed, or of another kind."""

import asyncio
import gzip
import io
import json
import uuid

import asyncpg
import pytest
from aiohttp import ClientSession
from atlas_contracts.codec import Codec

from tests.integration.gateway.conftest import StartGateway
from tests.integration.gateway.posting import NDJSON, Fetch, departed


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
    events = [departed(truck_number="Nüñ" + "é" * 20) for _ in range(1500)]
    async with client.post(path, json=events) as response:
        answer = await response.json()
    assert (response.status, answer["succeeded"]) == (200, 1500)
    assert len({(result["partition"], result["offset"]) for result in answer["results"]}) == 1500


async def test_ndjson_keeps_the_order_of_a_key(client: ClientSession, path: str, fetch: Fetch, codec: Codec) -> None:
    haul = departed()["value"]["haul_id"]
    events = [departed(haul_id=haul, haul_number=number) for number in range(2000)]
    text = "\r\n".join(json.dumps(event) for event in events) + "\n\n"
    async with client.post(path, data=text.encode(), headers=NDJSON) as response:
        answer = await response.json()
    assert (response.status, answer["succeeded"]) == (200, 2000)
    offsets = [result["offset"] for result in answer["results"]]
    assert offsets == sorted(offsets)
    assert codec.decode((await fetch(answer["results"][1234])).value).value["haul_number"] == 1234


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
    events = [departed(), departed(truck_number="N" * 5_000_000), departed()]
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


@pytest.mark.parametrize("target", ["/yards", "topic"])
@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("deflate", b'{"email": "a@example.org"}', 400),
        ("gzip", b'{"email": "a@example.org"}', 400),
        ("gzip", gzip.compress(b"{}")[:-4], 400),
        ("gzip", gzip.compress(b"{}") + b"rubbish", 400),
        ("gzip", gzip.compress(b"") * 2000, 400),
        ("br", b"\x0b\x01\x80{}\x03", 415),
        ("x", b"{}", 415),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}")), 415),
    ],
)
async def test_codings_that_are_not_taken(
    client: ClientSession, path: str, target: str, coding: str, body: bytes, status: int
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    async with client.post(path if target == "topic" else target, data=body, headers=headers) as response:
        problem = await response.json()
    assert (response.status, response.content_type) == (status, "application/problem+json")
    assert problem["detail"]
    if status == 415:
        assert problem["accepted"] == ["gzip", "deflate"]


async def test_other_media_types_are_refused(client: ClientSession, path: str) -> None:
    async with client.post(path, data=b"a,b", headers={"Content-Type": "text/csv"}) as response:
        problem = await response.json()
    assert response.status == 415
    assert "application/x-ndjson" in problem["accepted"]


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


@pytest.mark.parametrize("keyed", [False, True])
async def test_a_million_lines_that_are_no_records_are_refused_early(
    client: ClientSession, connection: asyncpg.Connection, path: str, keyed: bool
) -> None:
    key = f"post-{uuid.uuid4().hex}"
    headers = {**NDJSON, "Content-Encoding": "gzip", **({"Idempotency-Key": key} if keyed else {})}
    body = gzip.compress(b"1\n" * 1_000_000)
    async with client.post(path, data=body, headers=headers) as response:
        text = await response.read()
    problem = json.loads(text)
    assert (response.status, problem["type"]) == (422, "urn:atlas:problem:too-many-refused")
    assert (problem["succeeded"], problem["limit_refused"]) == (0, 2000)
    assert 2000 < problem["failed"] <= 2250
    assert sum(len(result["error"].get("errors", ())) for result in problem["results"]) == 1000
    assert len(text) < 1_000_000
    if keyed:
        kept = await connection.fetchval("SELECT octet_length(body) FROM app.idempotency_keys WHERE key = $1", key)
        assert kept < 1_100_000
        async with client.post(path, data=body, headers=headers) as response:
            repeated = await response.json()
        assert (response.status, response.headers["Idempotent-Replayed"]) == (422, "true")
        assert (repeated["type"], repeated["failed"]) == (problem["type"], problem["failed"])


async def test_good_records_before_too_many_refused_are_named(client: ClientSession, path: str) -> None:
    text = b"\n".join([*(json.dumps(departed()).encode() for _ in range(300)), *[b"1"] * 3000, b"1"])
    async with client.post(path, data=text, headers=NDJSON) as response:
        problem = await response.json()
    assert (response.status, problem["type"]) == (422, "urn:atlas:problem:too-many-refused")
    assert problem["succeeded"] == 300
    assert all("offset" in result for result in problem["results"][:300])
    assert "Atlas-Token" in response.headers


async def test_records_above_the_limit_are_not_sent(launch: StartGateway, path: str) -> None:
    text = b"\n".join(json.dumps(departed()).encode() for _ in range(700))
    url = launch(gateway_records_max="600")
    async with ClientSession(url) as small:
        async with small.post(path, data=text, headers=NDJSON) as response:
            problem = await response.json()
        assert (response.status, problem["type"]) == (413, "urn:atlas:problem:too-many-records")
        assert (problem["succeeded"], len(problem["results"])) == (600, 600)
        array = b"[" + text.replace(b"\n", b",") + b"]"
        async with small.post(path, data=array, headers={"Content-Type": "application/json"}) as response:
            problem = await response.json()
        assert (response.status, problem["limit_records"]) == (413, 600)
        assert "results" not in problem


async def test_an_object_of_nothing_but_arrays_is_refused(client: ClientSession, path: str) -> None:
    body = gzip.compress(b'{"type": "hauls.HaulDeparted", "value": {"a": [' + b"[]," * 5_300_000 + b"1]}}")
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with client.post(path, data=body, headers=headers) as response:
        problem = await response.json()
    assert (response.status, problem["failed"]) == (422, 1)
    assert problem["results"][0]["error"]["type"] == "urn:atlas:problem:record-too-large"
    line = b'{"type": "hauls.HaulDeparted", "value": {"a": [' + b"[]," * 50_000 + b"1]}}"
    async with client.post(path, data=line, headers=NDJSON) as response:
        problem = await response.json()
    assert problem["results"][0]["error"]["type"] == "urn:atlas:problem:record-too-complex"

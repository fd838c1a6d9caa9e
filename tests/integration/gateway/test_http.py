"""What every answer has: ids, problems, CORS, compression; the documents about it all."""

import json
import re
import uuid

import pytest
from aiohttp import ClientSession, DummyCookieJar
from atlas_gateway.describing.docs import CONTENT_SECURITY_POLICY


async def test_ids_are_kept_or_made(client: ClientSession) -> None:
    async with client.get("/yards") as response:
        made = response.headers["X-Request-ID"]
    assert uuid.UUID(made).version == 7
    assert response.headers["X-Correlation-ID"] == made
    given = {"X-Request-ID": "abc-1", "X-Correlation-ID": "order:7"}
    async with client.get("/yards", headers=given) as response:
        assert {name: response.headers[name] for name in given} == given
    async with client.get("/yards", headers={"X-Request-ID": "no good"}) as response:
        assert response.headers["X-Request-ID"] != "no good"


async def test_an_unknown_path_is_a_problem(client: ClientSession) -> None:
    async with client.get("/nowhere", headers={"X-Request-ID": "r-1"}) as response:
        problem = await response.json()
    assert response.status == 404
    assert response.content_type == "application/problem+json"
    assert (problem["status"], problem["instance"], problem["request_id"]) == (404, "/nowhere", "r-1")
    assert {"type", "title", "detail"} <= set(problem)


async def test_a_wrong_method_names_the_right_ones(client: ClientSession) -> None:
    async with client.delete("/yards") as response:
        problem = await response.json()
    assert (response.status, problem["type"]) == (405, "urn:atlas:problem:method-not-allowed")
    assert response.headers["Allow"] == "GET,HEAD,POST"


async def test_a_command_of_another_media_type_is_415(client: ClientSession) -> None:
    async with client.post("/yards", data={"email": "a@example.org"}) as response:
        problem = await response.json()
    assert response.status == 415
    assert "application/json" in problem["accepted"]


async def test_a_command_that_is_no_json_says_where(client: ClientSession) -> None:
    headers = {"Content-Type": "application/json"}
    async with client.post("/yards", data=b'{"email": }', headers=headers) as response:
        problem = await response.json()
    assert (response.status, problem["line"], problem["column"]) == (400, 1, 11)


async def test_a_command_has_a_limit_of_its_own(client: ClientSession) -> None:
    async with client.post("/yards", json={"email": "a" * 70_000}) as response:
        assert response.status == 413


async def test_pages_of_allowed_origins_may_call(client: ClientSession) -> None:
    origin = "http://localhost:5173"
    asked = {"Origin": origin, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "if-match"}
    async with client.options("/yards/1/profile", headers=asked) as response:
        assert response.status == 204
    assert response.headers["Access-Control-Allow-Origin"] == origin
    assert "PATCH" in response.headers["Access-Control-Allow-Methods"]
    assert response.headers["Access-Control-Allow-Headers"] == "if-match"
    async with client.get("/nowhere", headers={"Origin": origin}) as response:
        assert response.headers["Access-Control-Allow-Origin"] == origin
    assert "Atlas-Token" in response.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost.evil.example", "null"])
async def test_pages_of_other_origins_may_not(client: ClientSession, origin: str) -> None:
    async with client.get("/yards", headers={"Origin": origin}) as response:
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_what_is_long_is_compressed_for_those_who_can(gateway_url: str) -> None:
    async with ClientSession(gateway_url, auto_decompress=False, cookie_jar=DummyCookieJar()) as client:
        async with client.get("/openapi.json", headers={"Accept-Encoding": "gzip"}) as response:
            packed = await response.read()
        assert response.headers["Content-Encoding"] == "gzip"
        assert packed[:2] == b"\x1f\x8b"
        async with client.get("/openapi.json", headers={"Accept-Encoding": "identity"}) as response:
            assert len(await response.read()) > 3 * len(packed)
        assert "Content-Encoding" not in response.headers
        async with client.get("/health/live", headers={"Accept-Encoding": "gzip"}) as response:
            assert "Content-Encoding" not in response.headers


async def test_the_pages_load_nothing_from_elsewhere(client: ClientSession) -> None:
    for page in ("/docs", "/redoc"):
        async with client.get(page) as response:
            text = await response.text()
        assert response.status == 200
        assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
        assert "://" not in text
        assert not re.search(r"<script(?![^>]*src=)", text), "an inline script would be blocked"
        files = re.findall(r'(?:src|href|spec-url)="([^"]+)"', text)
        assert len(files) >= 2
        for file in files:
            async with client.get(file) as response:
                assert response.status == 200, file
                assert len(await response.read()) > 100, file
    async with client.get("/docs/assets/../../settings.py") as response:
        assert response.status == 404


async def test_the_root_leads_to_the_documentation(client: ClientSession) -> None:
    async with client.get("/", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "/docs")


async def test_the_probes(client: ClientSession) -> None:
    async with client.get("/health") as response:
        detail = await response.json()
    assert (detail["service"], detail["status"]) in {("gateway", "healthy"), ("gateway", "degraded")}, detail
    assert {"postgres", "readmodel", "kafka", "clock", "cache"} <= set(detail["dependencies"])
    assert {found["state"] for found in detail["dependencies"].values()} == {"up"}
    assert all(0 <= found[time] < 2000 for found in detail["dependencies"].values() for time in ("last_ms", "p99_ms"))
    assert detail["environment"] == "development"
    async with client.get("/metrics") as response:
        metrics = await response.text()
    assert 'atlas_http_requests_total{method="GET",route="/health",status="200"}' in metrics


async def test_requests_are_counted_by_template(client: ClientSession) -> None:
    yard_id = uuid.uuid4()
    async with client.get(f"/yards/{yard_id}"), client.get(f"/nowhere/{yard_id}"):
        pass
    async with client.get("/metrics") as response:
        metrics = await response.text()
    assert 'route="/yards/{yard_id}",status="404"' in metrics
    assert 'route="(no route)"' in metrics
    assert str(yard_id) not in metrics


async def test_the_topics_are_listed(client: ClientSession, prefix: str) -> None:
    async with client.get("/topics") as response:
        topics = {topic["name"]: topic for topic in (await response.json())["items"]}
    yards = topics[f"{prefix}yards.events"]
    assert yards["events"]["yards.YardRegistered"] == "yard_id"
    # Those that there are, and nothing differs from what is declared.
    assert (yards["partitions"], yards["retention_ms"], yards["differs"]) == (4, -1, [])
    assert {name.removeprefix(prefix): topic["source"] for name, topic in topics.items()} == {
        "yards.events": "outbox",
        "hauls.events": "any",
        "hauls.reference": "any",
        "hauls.roads": "any",
        "health.heartbeats": "mesh",
        "health.events": "mesh",
        "health.canary-commands": "outbox",
        "health.canary-events": "any",
    }
    # In pages, by name.
    found, cursor = [], ""
    while True:
        async with client.get("/topics", params={"limit": "4", **({"cursor": cursor} if cursor else {})}) as response:
            answer = await response.json()
        found += [topic["name"] for topic in answer["items"]]
        assert len(answer["items"]) <= 4
        if (cursor := answer["next_cursor"]) is None:
            break
    assert found == sorted(topics)
    for wrong in ("limit=0", "limit=501", "limit=x", "cursor=x", "cursor=WzFd"):
        async with client.get(f"/topics?{wrong}") as response:
            assert response.status == 422
            assert (await response.json())["errors"][0]["path"] == f"/{wrong.partition('=')[0]}"
    assert json.dumps(topics)

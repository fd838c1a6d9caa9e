"""The schemas as a Confluent-compatible registry, read-only."""

import json

import pytest
from aiohttp import ClientSession
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry

from tests.contexts import SCHEMAS

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


async def test_a_deserialiser_gets_from_a_records_id_to_its_schema(client: ClientSession, codec: Codec) -> None:
    framed = codec.encode("yards.YardDeactivated", {"yard_id": "1", "deactivated_at": 0})
    schema_id = codec.schema_id(framed)
    async with client.get(f"/schemas/ids/{schema_id}") as response:
        answer = await response.json(content_type=CONTENT_TYPE)
    definition = json.loads(answer["schema"])
    assert f"{definition['namespace']}.{definition['name']}" == "yards.YardDeactivated"


async def test_ids_and_versions(client: ClientSession) -> None:
    schema = Registry.load(SCHEMAS).latest("yards.YardRegistered")
    for path, expected in {
        "/schemas/types": ["AVRO"],
        f"/schemas/ids/{schema.id}/versions": [{"subject": "yards.YardRegistered", "version": 1}],
        "/subjects/yards.YardRegistered/versions": [1],
        "/config": {"compatibilityLevel": "BACKWARD_TRANSITIVE"},
        "/config/yards.YardRegistered": {"compatibilityLevel": "BACKWARD_TRANSITIVE"},
        "/mode": {"mode": "READONLY"},
    }.items():
        async with client.get(path) as response:
            assert response.content_type == CONTENT_TYPE
            assert await response.json(content_type=None) == expected, path
    async with client.get("/subjects") as response:
        subjects = await response.json(content_type=None)
    assert "hauls.HaulDeparted" in subjects
    # A client that knows of no pages gets what a page may have at most; `Link` leads on.
    found, path = [], "/subjects?limit=2"
    while path:
        async with client.get(path) as response:
            found += await response.json(content_type=None)
            path = str(response.links["next"]["url"]) if "next" in response.links else ""
    assert found == subjects == sorted(subjects)
    assert len(found) > 2
    for version in ("1", "latest"):
        async with client.get(f"/subjects/yards.YardRegistered/versions/{version}") as response:
            answer = await response.json(content_type=None)
        assert (answer["id"], answer["version"], answer["subject"]) == (schema.id, 1, "yards.YardRegistered")
    async with client.get("/subjects/yards.YardRegistered/versions/1/schema") as response:
        assert json.loads(await response.text()) == json.loads(schema.text)


async def test_a_topics_own_name_for_a_subject(client: ClientSession, prefix: str) -> None:
    async with client.get(f"/subjects/{prefix}health.events-value/versions/latest") as response:
        assert (await response.json(content_type=None))["subject"] == f"{prefix}health.events-value"
    async with client.get(f"/subjects/{prefix}yards.events-yards.YardRegistered/versions") as response:
        assert response.status == 200
    # Several types: which one is latest has no answer.
    async with client.get(f"/subjects/{prefix}yards.events-value/versions/latest") as response:
        assert response.status == 404


async def test_a_serialiser_finds_the_id_of_its_schema(client: ClientSession, prefix: str) -> None:
    schema = Registry.load(SCHEMAS).latest("yards.YardRegistered")
    same = json.loads(schema.text)
    same.pop("doc", None)
    same["name"] = f"{same.pop('namespace')}.{same['name']}"
    body = {"schema": json.dumps(same)}
    for subject in ("yards.YardRegistered", f"{prefix}yards.events-value"):
        async with client.post(f"/subjects/{subject}", json=body) as response:
            answer = await response.json(content_type=None)
        assert (response.status, answer["id"]) == (200, schema.id)
        async with client.post(f"/subjects/{subject}/versions?normalize=true", json=body) as response:
            assert await response.json(content_type=None) == {"id": schema.id}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/schemas/ids/4711", 404, 40403),
        ("GET", "/schemas/ids/none", 404, 40403),
        ("GET", "/subjects/nothing/versions", 404, 40401),
        ("GET", "/subjects/yards.YardRegistered/versions/9", 404, 40402),
        ("GET", "/subjects/yards.YardRegistered/versions/newest", 422, 42202),
        ("DELETE", "/subjects/yards.YardRegistered", 403, 42205),
        ("PUT", "/config", 403, 42205),
        ("PUT", "/mode", 403, 42205),
    ],
)
async def test_errors_carry_confluents_code(
    client: ClientSession, method: str, path: str, status: int, code: int
) -> None:
    async with client.request(method, path) as response:
        problem = await response.json(content_type=None)
    assert (response.status, problem["error_code"]) == (status, code)
    assert problem["message"]
    assert response.content_type == "application/problem+json"


async def test_a_new_schema_is_refused(client: ClientSession) -> None:
    new = {"schema": json.dumps({"type": "record", "name": "New", "fields": []})}
    async with client.post("/subjects/yards.YardRegistered/versions", json=new) as response:
        assert (response.status, (await response.json(content_type=None))["error_code"]) == (403, 42205)
    async with client.post("/subjects/yards.YardRegistered", json=new) as response:
        assert (response.status, (await response.json(content_type=None))["error_code"]) == (404, 40403)
    bodies: tuple[object, ...] = ({}, {"schema": "{"}, {"schema": 7}, [])
    for body in bodies:
        async with client.post("/subjects/yards.YardRegistered", json=body) as response:
            assert (response.status, (await response.json(content_type=None))["error_code"]) == (422, 42201), body

"""Commands through the gateway, those of yards: one transaction, one effect, no lost change."""

import asyncio
import uuid
from typing import Any

import asyncpg
from aiohttp import ClientSession
from atlas_contracts.codec import Codec
from atlas_kafka_format.headers import unpack_headers


def body(**changes: Any) -> dict[str, Any]:
    return {"email": f"{uuid.uuid4().hex}@example.org", "display_name": "Ada Lovelace", "country": "GB", **changes}


async def register(client: ClientSession, **changes: Any) -> dict[str, Any]:
    async with client.post("/yards", json=body(**changes)) as response:
        assert response.status == 201, await response.text()
        return dict(await response.json())


async def events_of(connection: asyncpg.Connection, yard_id: str) -> list[asyncpg.Record]:
    return list(await connection.fetch("SELECT * FROM outbox.records WHERE key = $1 ORDER BY id", yard_id.encode()))


async def stored(connection: asyncpg.Connection, yard: dict[str, Any]) -> asyncpg.Record:
    """The row that commands decide on."""
    row = await connection.fetchrow("SELECT * FROM app.yards WHERE yard_id = $1", uuid.UUID(yard["id"]))
    assert row is not None
    return row


async def test_registering_answers_with_location_etag_and_token(
    client: ClientSession, connection: asyncpg.Connection
) -> None:
    async with client.post("/yards", json=body(email=f"MiXed.{uuid.uuid4().hex}@Example.ORG")) as response:
        yard = await response.json()
    assert (response.status, yard) == (201, {"id": yard["id"], "version": 1})
    assert response.headers["Location"] == f"/yards/{yard['id']}"
    assert response.headers["ETag"] == '"1"'
    assert response.headers["Atlas-Token"] == f"yards/{yard['id']}@1"
    row = await stored(connection, yard)
    assert (row["email"][:6], row["email"][-12:], row["status"]) == ("mixed.", "@example.org", "active")


async def test_the_event_is_final_in_the_outbox(
    client: ClientSession, connection: asyncpg.Connection, codec: Codec, prefix: str
) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    command = body()
    async with client.post("/yards", json=command, headers={"traceparent": trace}) as response:
        yard = await response.json()
    (row,) = await events_of(connection, yard["id"])
    event = codec.decode(row["value"])
    headers = dict(unpack_headers(row["headers"]))
    assert row["topic"] == f"{prefix}yards.events"
    assert event.type == "yards.YardRegistered"
    assert event.value["email"] == command["email"]
    assert headers["ce_type"] == b"yards.YardRegistered"
    assert headers["ce_sequence"] == b"1"
    assert headers["ce_subject"] == yard["id"].encode()
    assert (headers["traceparent"] or b"").startswith(trace[:36].encode())


async def test_a_refused_command_leaves_nothing_behind(client: ClientSession, connection: asyncpg.Connection) -> None:
    email = body()["email"]
    await register(client, email=email)
    before = await connection.fetchval("SELECT count(*) FROM outbox.records")
    async with client.post("/yards", json=body(email=email.upper())) as response:
        problem = await response.json()
    assert response.status == 409
    assert problem["type"] == "urn:atlas:problem:already-there"
    assert await connection.fetchval("SELECT count(*) FROM outbox.records") == before


async def test_what_is_wrong_with_a_body_is_all_said_at_once(client: ClientSession) -> None:
    wrong = {"email": "nobody", "display_name": "\u0007", "country": "gb", "age": 7}
    async with client.post("/yards", json=wrong) as response:
        problem = await response.json()
    assert response.status == 422
    assert response.content_type == "application/problem+json"
    found = {error["path"]: error for error in problem["errors"]}
    assert set(found) == {"/email", "/display_name", "/country", "/age"}
    assert found["/age"]["expected"].startswith("no field of this name")
    assert found["/country"]["found"] == '"gb" (string)'


async def test_a_missing_field_and_a_wrong_type(client: ClientSession) -> None:
    async with client.post("/yards", json={"display_name": 7}) as response:
        errors = {error["path"]: error["found"] for error in (await response.json())["errors"]}
    assert errors == {"/email": "nothing", "/display_name": "7 (integer)"}


async def test_twenty_requests_with_one_key_have_one_effect(
    client: ClientSession, connection: asyncpg.Connection
) -> None:
    command, key = body(), uuid.uuid4().hex

    async def send() -> tuple[int, str | None, str | None, bytes]:
        async with client.post("/yards", json=command, headers={"Idempotency-Key": key}) as response:
            answer = await response.read()
            return response.status, response.headers.get("ETag"), response.headers.get("Location"), answer

    answers = await asyncio.gather(*(send() for _ in range(20)))
    assert len(set(answers)) == 1, set(answers)
    assert answers[0][0] == 201
    assert await connection.fetchval("SELECT count(*) FROM app.yards WHERE email = $1", command["email"]) == 1
    yard_id = (answers[0][2] or "").removeprefix("/yards/")
    assert len(await events_of(connection, yard_id)) == 1


async def test_a_repeat_gets_the_stored_answer_and_says_so(client: ClientSession) -> None:
    command, headers = body(), {"Idempotency-Key": uuid.uuid4().hex}
    async with client.post("/yards", json=command, headers=headers) as first:
        stored = await first.read()
    # The same meaning in other words: another order of the fields.
    async with client.post("/yards", json=dict(reversed(command.items())), headers=headers) as second:
        assert await second.read() == stored
    assert (second.status, second.headers["Atlas-Token"]) == (201, first.headers["Atlas-Token"])
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"


async def test_a_refusal_is_stored_too(client: ClientSession, connection: asyncpg.Connection) -> None:
    email = body()["email"]
    await register(client, email=email)
    command, headers = body(email=email), {"Idempotency-Key": uuid.uuid4().hex}
    async with client.post("/yards", json=command, headers=headers) as first:
        assert first.status == 409
    await connection.execute("UPDATE app.yards SET email = $2 WHERE email = $1", email, f"x{email}")
    async with client.post("/yards", json=command, headers=headers) as second:
        assert second.status == 409
    assert second.content_type == "application/problem+json"


async def test_a_key_of_another_request_is_refused(client: ClientSession) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    async with client.post("/yards", json=body(), headers=headers) as response:
        assert response.status == 201
    async with client.post("/yards", json=body(), headers=headers) as response:
        assert response.status == 422
        assert (await response.json())["type"] == "urn:atlas:problem:idempotency-key-reused"


async def test_an_expired_key_is_taken_over(client: ClientSession, connection: asyncpg.Connection) -> None:
    key = uuid.uuid4().hex
    async with client.post("/yards", json=body(), headers={"Idempotency-Key": key}) as response:
        assert response.status == 201
    await connection.execute("UPDATE app.idempotency_keys SET expires_at = now() - interval '1 s' WHERE key = $1", key)
    async with client.post("/yards", json=body(), headers={"Idempotency-Key": key}) as response:
        assert response.status == 201


async def test_a_malformed_key_is_refused(client: ClientSession) -> None:
    async with client.post("/yards", json=body(), headers={"Idempotency-Key": "a b"}) as response:
        assert response.status == 400


async def test_a_profile_changes_at_its_version_only(
    client: ClientSession, connection: asyncpg.Connection, codec: Codec
) -> None:
    yard = await register(client)
    path = f"/yards/{yard['id']}/profile"
    async with client.patch(path, json={"country": None}, headers={"If-Match": '"1"'}) as response:
        changed = await response.json()
    assert (response.status, response.headers["ETag"], changed["version"]) == (200, '"2"', 2)
    assert (await stored(connection, yard))["country"] is None
    async with client.patch(path, json={"display_name": "Late"}, headers={"If-Match": '"1"'}) as response:
        assert response.status == 412
        assert response.headers["ETag"] == '"2"'
    async with client.patch(path, json={"display_name": "Bold"}) as response:
        assert response.status == 428
    rows = await events_of(connection, yard["id"])
    assert [codec.decode(row["value"]).type for row in rows] == [
        "yards.YardRegistered",
        "yards.YardProfileChanged",
    ]
    assert dict(unpack_headers(rows[1]["headers"]))["ce_sequence"] == b"2"


async def test_of_concurrent_changes_one_wins(client: ClientSession) -> None:
    yard = await register(client)

    async def change(number: int) -> int:
        path, new = f"/yards/{yard['id']}/profile", {"display_name": f"Name {number}"}
        async with client.patch(path, json=new, headers={"If-Match": '"1"'}) as response:
            return response.status

    statuses = await asyncio.gather(*(change(number) for number in range(8)))
    assert sorted(statuses) == [200] + [412] * 7


async def test_deactivation_is_final(client: ClientSession, connection: asyncpg.Connection, codec: Codec) -> None:
    yard = await register(client)
    path = f"/yards/{yard['id']}/deactivate"
    async with client.post(path, json={"reason": "moved on"}) as response:
        closed = await response.json()
    assert (response.status, closed["version"]) == (200, 2)
    assert (await stored(connection, yard))["status"] == "deactivated"
    event = codec.decode((await events_of(connection, yard["id"]))[1]["value"])
    assert (event.type, event.value["reason"]) == ("yards.YardDeactivated", "moved on")
    async with client.post(path) as response:
        assert response.status == 409
    profile = f"/yards/{yard['id']}/profile"
    async with client.patch(profile, json={"country": "FR"}, headers={"If-Match": "*"}) as response:
        assert response.status == 409


async def test_deactivation_heeds_if_match_and_needs_no_body(client: ClientSession) -> None:
    yard = await register(client)
    path = f"/yards/{yard['id']}/deactivate"
    async with client.post(path, headers={"If-Match": '"7"'}) as response:
        assert response.status == 412
    async with client.post(path) as response:
        assert response.status == 200


async def test_an_unknown_user_is_404(client: ClientSession) -> None:
    for yard_id in (str(uuid.uuid4()), "nobody"):
        async with client.post(f"/yards/{yard_id}/deactivate") as response:
            assert response.status == 404
            assert response.content_type == "application/problem+json"

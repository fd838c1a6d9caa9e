"""What commands on users decide, on a real database: what is beyond a declared entity."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_users.commands import ROUTES
from atlas_users.migrations.users_0001_users import STATEMENTS

from tests.serving import Client, serving

pytestmark = pytest.mark.integration

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas"


@pytest.fixture
async def served(database: str) -> AsyncIterator[tuple[Client, asyncpg.Pool, Codec]]:
    async with serving(database, SCHEMAS, ROUTES) as served:
        for statement in STATEMENTS:
            await served[1].execute(statement)
        yield served


@pytest.fixture
def client(served: tuple[Client, asyncpg.Pool, Codec]) -> Client:
    return served[0]


@pytest.fixture
def pool(served: tuple[Client, asyncpg.Pool, Codec]) -> asyncpg.Pool:
    return served[1]


async def register(client: Client, **changes: Any) -> dict[str, Any]:
    body = {"email": f"{uuid.uuid4().hex}@example.org", "display_name": "Ada Lovelace", "country": "GB", **changes}
    answer = await client.post("/users", json=body)
    assert answer.status == 201, await answer.text()
    return dict(await answer.json())


async def types_of(pool: asyncpg.Pool, user: dict[str, Any]) -> list[str]:
    """The types of the events that tell of a user, in order."""
    codec = Codec(Registry.load(SCHEMAS))
    rows = await pool.fetch("SELECT value FROM outbox.records WHERE key = $1 ORDER BY id", user["user_id"].encode())
    return [codec.decode(row["value"]).type for row in rows]


async def test_a_new_user_is_answered_whole(client: Client, pool: asyncpg.Pool) -> None:
    answer = await client.post("/users", json={"email": "MiXed.Case@Example.ORG", "display_name": "Ada"})
    user = await answer.json()
    assert (answer.status, answer.headers["Location"]) == (201, f"/users/{user['user_id']}")
    assert (answer.headers["ETag"], answer.headers["Atlas-Token"]) == ('"1"', f"users/{user['user_id']}@1")
    assert (user["email"], user["status"], user["version"]) == ("mixed.case@example.org", "active", 1)
    assert user["registered_at"].endswith("Z")
    assert await types_of(pool, user) == ["users.UserRegistered"]


async def test_an_address_belongs_to_one_user(client: Client, pool: asyncpg.Pool) -> None:
    one, other = await register(client), await register(client)
    again = await client.post("/users", json={"email": one["email"].upper(), "display_name": "B"})
    path = f"/users/{other['user_id']}/profile"
    taken = await client.patch(path, json={"email": one["email"]}, headers={"If-Match": '"1"'})
    for refused in (again, taken):
        assert (refused.status, (await refused.json())["type"]) == (409, "urn:atlas:problem:email-taken")
    assert await pool.fetchval("SELECT count(*) FROM outbox.records") == 2


async def test_a_profile_changes_at_its_version_only(client: Client, pool: asyncpg.Pool) -> None:
    user = await register(client)
    path, headers = f"/users/{user['user_id']}/profile", {"If-Match": '"1"'}
    changed = await client.patch(path, json={"country": None}, headers=headers)
    assert (changed.status, changed.headers["ETag"]) == (200, '"2"')
    assert await changed.json() == user | {
        "country": None,
        "version": 2,
        "updated_at": (await changed.json())["updated_at"],
    }
    late = await client.patch(path, json={"display_name": "Late"}, headers=headers)
    assert (late.status, late.headers["ETag"]) == (412, '"2"')
    assert (await client.patch(path, json={"display_name": "Bold"})).status == 428
    assert await types_of(pool, user) == ["users.UserRegistered", "users.UserProfileChanged"]


async def test_of_concurrent_changes_one_wins(client: Client) -> None:
    path = f"/users/{(await register(client))['user_id']}/profile"

    async def change(number: int) -> int:
        new = {"display_name": f"Name {number}"}
        return (await client.patch(path, json=new, headers={"If-Match": '"1"'})).status

    assert sorted(await asyncio.gather(*(change(number) for number in range(8)))) == [200] + [412] * 7


async def test_no_change_is_no_event(client: Client, pool: asyncpg.Pool) -> None:
    user = await register(client)
    path, same = f"/users/{user['user_id']}/profile", {"display_name": user["display_name"]}
    answer = await client.patch(path, json=same, headers={"If-Match": "*"})
    assert (answer.status, answer.headers["ETag"]) == (200, '"1"')
    assert await types_of(pool, user) == ["users.UserRegistered"]


async def test_deactivation_is_final(client: Client, pool: asyncpg.Pool) -> None:
    path = f"/users/{(user := await register(client))['user_id']}"
    assert (await client.post(f"{path}/deactivate", headers={"If-Match": '"7"'})).status == 412
    closed = await client.post(f"{path}/deactivate", json={"reason": "moved on"})
    assert (closed.status, (await closed.json())["status"]) == (200, "deactivated")
    again = await client.post(f"{path}/deactivate")
    change = await client.patch(f"{path}/profile", json={"country": "FR"}, headers={"If-Match": "*"})
    for refused in (again, change):
        assert (refused.status, (await refused.json())["type"]) == (409, "urn:atlas:problem:user-deactivated")
    assert await types_of(pool, user) == ["users.UserRegistered", "users.UserDeactivated"]


async def test_an_unknown_user_is_404(client: Client) -> None:
    for user_id in (str(uuid.uuid4()), "nobody"):
        assert (await client.post(f"/users/{user_id}/deactivate")).status == 404

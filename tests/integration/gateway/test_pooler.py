"""The gateway behind PgBouncer in transaction mode, with as few sessions as a pool can have."""

import asyncio
import os
import pwd
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from aiohttp import ClientSession
from atlas_cli.outbox import outbox_rows
from atlas_local.waiting import wait_until
from atlas_outbox.pooled import options
from atlas_outbox.relaying.listener import CHANNEL
from atlas_outbox.waker import open_waker
from atlas_projector import app as projector
from atlas_projector.settings import ProjectorSettings
from atlas_relay import app as relay
from atlas_relay.settings import RelaySettings
from atlas_runtime.pooler import NeedsSession, is_pooled, require_session

from tests.integration.gateway.conftest import StartGateway, free_port
from tests.integration.gateway.posting import departed

CONFIGURATION = """\
[databases]
* = host={host} port={port} user={user}{password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 5
max_client_conn = 200
logfile = {folder}/log
pidfile = {folder}/pid
"""
PROGRAM = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


@pytest.fixture(scope="module")
def pooled_dsn(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The database of the session's gateway, through a PgBouncer of this module."""
    if PROGRAM is None:
        pytest.skip("needs pgbouncer, which is not on the PATH (Debian: apt-get install pgbouncer)")
    folder, server, listen = tmp_path_factory.mktemp("pgbouncer"), urlsplit(dsn), free_port()
    configuration = folder / "pgbouncer.ini"
    password = f" password={server.password}" if server.password else ""
    configuration.write_text(
        CONFIGURATION.format(
            host=server.hostname,
            port=server.port,
            user=server.username,
            password=password,
            listen=listen,
            folder=folder,
        )
    )
    process = subprocess.Popen([PROGRAM, *_not_root(folder), str(configuration)], stderr=subprocess.DEVNULL)
    address = f"postgresql://{server.username}@127.0.0.1:{listen}{server.path}"

    async def answers() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            connection = await asyncpg.connect(address, statement_cache_size=0)
        except OSError:
            return False
        await connection.close()
        return True

    asyncio.run(wait_until("pgbouncer answers", answers, 10))
    yield address
    process.terminate()
    process.wait(10)


def _not_root(folder: Path) -> list[str]:
    """PgBouncer refuses to be root; it becomes the user that Debian's package made, or nobody."""
    if os.geteuid() != 0:
        return []
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    for path in (folder, *folder.parents):
        if path == Path("/tmp"):
            break
        path.chmod(0o755)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["-u", user.pw_name]


@pytest.fixture
async def pooled_client(launch: StartGateway, pooled_dsn: str) -> AsyncIterator[ClientSession]:
    async with ClientSession(launch(postgres_dsn=pooled_dsn)) as session:
        yield session


async def test_commands_queries_and_posts_work(pooled_client: ClientSession, path: str) -> None:
    async def everything(number: int) -> None:
        key = {"Idempotency-Key": f"pooled-{uuid.uuid4().hex}"}
        user = {"email": f"u{number}-{uuid.uuid4().hex}@example.org", "display_name": "U"}
        answers = []
        for _ in range(2):
            async with pooled_client.post("/yards", json=user, headers=key) as response:
                assert response.status == 201, await response.text()
                answers.append((await response.json())["id"])
        assert answers[0] == answers[1]
        headers = {"If-Match": '"1"'}
        async with pooled_client.patch(
            f"/yards/{answers[0]}/profile", json={"country": "GB"}, headers=headers
        ) as found:
            assert found.status == 200, await found.text()
        for query in (
            "/yards?limit=1&search=u",
            "/hauls?origin=EWR",
            "/routes",
            "/carriers",
            f"/yards/{answers[0]}",
        ):
            async with pooled_client.get(query) as response:
                assert response.status in (200, 404), await response.text()
        key = {"Idempotency-Key": f"pooled-{uuid.uuid4().hex}"}
        event = departed()
        for replayed in (None, "true"):
            async with pooled_client.post(path, json=[event], headers=key) as response:
                assert response.status == 200, await response.text()
            assert response.headers.get("Idempotent-Replayed") == replayed

    for round_ in range(4):  # more at once than there are sessions, so that each is lent to many
        await asyncio.gather(*(everything(10 * round_ + number) for number in range(3)))
    async with pooled_client.get("/health/ready") as response:
        assert response.status == 200


async def test_a_statement_is_bounded_behind_a_pooler_too(pooled_dsn: str) -> None:
    connection = await asyncpg.connect(pooled_dsn, **options({"statement_timeout": "200"}))
    with pytest.raises(asyncpg.QueryCanceledError):
        await connection.fetch("SELECT pg_sleep($1)", 20)
    assert await connection.fetchval("SELECT current_setting('statement_timeout')") == "200ms"
    await connection.close()


async def test_no_statement_runs_in_place_of_another(pooled_dsn: str) -> None:
    """Outside of a transaction a pooler would run in one session what was prepared in another."""

    async def ask(number: int) -> None:
        connection = await asyncpg.connect(pooled_dsn, **options({}))
        for turn in range(50):
            assert await connection.fetchval(f"SELECT {number} * 1000 + $1::int", turn) == number * 1000 + turn
            assert [row[0] for row in await connection.fetch(f"SELECT {number} + $1::int", turn)] == [number + turn]
            assert (await connection.fetchrow(f"SELECT $1::text || '{number}'", "a"))[0] == f"a{number}"
            assert await connection.execute(f"SELECT $1::int, {number}", turn) == "SELECT 1"
        await connection.close()

    await asyncio.gather(*(ask(number) for number in range(20)))


async def test_the_command_line_changes_parked_rows(pooled_dsn: str) -> None:
    changed = await asyncio.gather(*(outbox_rows.change(pooled_dsn, {"ids": [-1]}, discard=False) for _ in range(20)))
    assert changed == [0] * 20
    assert (await outbox_rows.status(pooled_dsn))["parked_rows"] == 0
    assert await outbox_rows.parked(pooled_dsn, topic=None, waiting=False, limit=5) == []


async def test_the_nudge_comes_through(dsn: str, pooled_dsn: str) -> None:
    heard = asyncio.Event()
    listener = await asyncpg.connect(dsn)
    await listener.add_listener(CHANNEL, lambda *_args: heard.set())
    async with open_waker(pooled_dsn) as waker, asyncio.timeout(10):
        waker.nudge()
        await heard.wait()
    await listener.close()


async def test_a_pooler_is_told_from_a_server(dsn: str, pooled_dsn: str) -> None:
    for address, pooled in ((dsn, False), (pooled_dsn, True)):
        connection = await asyncpg.connect(address, statement_cache_size=0)
        assert await is_pooled(connection) is pooled
        await connection.close()


async def test_what_needs_a_session_says_so(pooled_dsn: str) -> None:
    with pytest.raises(NeedsSession, match=r"relay .* ATLAS_RELAY_POSTGRES_DSN"):
        await relay.serve(RelaySettings(postgres_dsn=pooled_dsn), asyncio.Event())
    with pytest.raises(NeedsSession, match=r"projector .* ATLAS_PROJECTOR_READMODEL_DSN"):
        await projector.serve(ProjectorSettings(postgres_dsn=pooled_dsn), asyncio.Event())


async def test_a_server_that_is_away_is_not_asked(unused_port: int) -> None:
    address = f"postgresql://atlas@127.0.0.1:{unused_port}/atlas"
    await require_session(lambda: asyncpg.connect(address, timeout=2), "relay", "ATLAS_RELAY_POSTGRES_DSN")


def test_a_service_takes_its_own_address_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_POSTGRES_DSN", "postgresql://pooler/a")
    assert RelaySettings().postgres_dsn.get_secret_value() == "postgresql://pooler/a"
    monkeypatch.setenv("ATLAS_RELAY_POSTGRES_DSN", "postgresql://server/a")
    monkeypatch.setenv("ATLAS_PROJECTOR_READMODEL_DSN", "postgresql://server/a")
    assert RelaySettings().postgres_dsn.get_secret_value() == "postgresql://server/a"
    assert ProjectorSettings().readmodel_dsn.get_secret_value() == "postgresql://server/a"

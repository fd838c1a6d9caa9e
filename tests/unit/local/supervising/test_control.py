import asyncio
import contextlib
import socket
import stat

import pytest
from atlas_local.client import status
from atlas_local.home import Home
from atlas_local.supervising.control import NoAnswer, NotRunning, Refused, request, serve
from atlas_local.supervising.supervisor import Supervisor
from atlas_local.topology import Kind, Part

from tests.unit.local.conftest import StandinMesh


@pytest.fixture
async def served(standins, background):
    """A supervisor of one part behind its door."""
    standins.add("store")
    supervisor, stop = Supervisor(standins, (Part("store", Kind.SERVER),)), asyncio.Event()
    async with serve(supervisor, stop), background(supervisor.run((), stop), stop):
        yield standins.home, stop


async def test_requests_reach_the_supervisor(served):
    home, _ = served
    assert (await request(home, "start", name="store"))["state"] == "ready"
    assert (await request(home, "stop", name="store"))["state"] == "stopped"
    [part] = (await request(home, "want", names=[]))["parts"]
    assert part["name"] == "store"
    assert (await request(home, "start", name="store"))["state"] == "ready"
    assert (await request(home, "kill", name="store"))["pid"]
    assert (await request(home, "status", probe=True))["supervisor"]["pid"]


async def test_an_unknown_part_is_refused_with_a_reason(served):
    home, _ = served
    for do in ("start", "stop", "kill"):
        with pytest.raises(Refused, match="no part of the mesh is named x"):
            await request(home, do, name="x")


async def test_down_sets_stop(served):
    home, stop = served
    await request(home, "down")
    assert stop.is_set()


async def test_only_the_owner_reaches_the_socket(served):
    home, _ = served
    assert stat.S_IMODE(home.socket.stat().st_mode) == 0o600


async def test_no_supervisor_no_answer(tmp_path):
    with pytest.raises(NotRunning):
        await request(Home(tmp_path), "status")
    with pytest.raises(NotRunning):
        await request(Home(tmp_path / "never made" / ("x" * 100)), "status")


async def test_a_home_may_lie_deeper_than_a_socket_path_is_long(tmp_path, background):
    home = Home(tmp_path / ("deep" * 20) / ("deeper" * 20))
    standins, stop = StandinMesh(home), asyncio.Event()
    standins.add("store")
    supervisor = Supervisor(standins, (Part("store", Kind.SERVER),))
    assert len(str(home.socket)) > 108
    async with serve(supervisor, stop), background(supervisor.run((), stop), stop):
        assert (await request(home, "start", name="store"))["state"] == "ready"


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"null", b"5", b"{}", b'{"do": 5}', b'{"do": []}', b'{"do": "start"}', b"[" * 50_000]
)
async def test_no_request_ends_the_supervisor(served, line):
    home, _ = served
    reader, writer = await asyncio.open_unix_connection(str(home.socket))
    writer.write(line + b"\n")
    assert b"error" in await reader.readline()
    writer.close()
    assert (await request(home, "status"))["supervisor"]["pid"]


async def test_a_request_without_end_closes_its_connection_alone(served):
    home, _ = served
    reader, writer = await asyncio.open_unix_connection(str(home.socket))
    writer.write(b"x" * 200_000)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert (await request(home, "status"))["supervisor"]["pid"]


def test_a_client_that_stays_is_let_go_when_the_supervisor_ends(standins):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)

        async def one_life() -> None:
            async with serve(Supervisor(standins, ()), asyncio.Event()):
                client.connect(str(standins.home.socket))
                await request(standins.home, "status")  # answered after the client was taken

        asyncio.run(one_life())
        assert client.recv(1) == b""


@pytest.mark.parametrize(
    "answer", [b"garbage\n", b"[]\n", b"null\n", b"7\n", b"\xff\xfe\n", b"[" * 50_000 + b"\n", b"x" * 2_000_000]
)
async def test_something_else_behind_the_socket_is_told(tmp_path, answer):
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(answer)
            await writer.drain()
        writer.close()

    home = Home(tmp_path)
    async with await asyncio.start_unix_server(talk, str(home.socket)):
        with pytest.raises(NoAnswer, match="listens at"):
            await request(home, "status")
        with pytest.raises(NoAnswer):
            await status(home)


async def test_silence_behind_the_socket_is_told_after_the_time(tmp_path):
    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()  # until the client has given up
        finally:  # or the test has ended
            writer.close()

    home = Home(tmp_path)
    async with await asyncio.start_unix_server(hear, str(home.socket)):
        with pytest.raises(NoAnswer, match=r"does not answer for 0\.2 s"):
            await request(home, "status", timeout_s=0.2)


async def test_a_state_that_is_none_is_told(tmp_path):
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"ok": {"parts": [{}], "supervisor": {"pid": 1}}}\n')
        writer.close()

    home = Home(tmp_path)
    async with await asyncio.start_unix_server(talk, str(home.socket)):
        with pytest.raises(NoAnswer, match="parts/0/name"):
            await status(home)

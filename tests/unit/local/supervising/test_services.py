import asyncio
import contextlib

import pytest
from atlas_local.ports import Ports, free_port
from atlas_local.supervising.component import NotReady
from atlas_local.supervising.services import Service, ask
from atlas_local.topology import MESH


@contextlib.asynccontextmanager
async def answering(status: str, body: str):
    """An HTTP server that gives every request the same answer."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/health/ready"


async def test_200_is_ready():
    async with answering("200 OK", "{}") as url:
        await ask(url)


async def test_anything_else_is_not_and_the_reasons_are_passed_on():
    async with answering("503 Service Unavailable", '{"database": "refused"}') as url:
        with pytest.raises(NotReady, match=r'answers 503: \{"database": "refused"\}'):
            await ask(url)


async def test_the_reasons_of_a_service_are_told_by_name():
    body = '{"status": "not_ready", "reasons": {"postgres": "refused\\nagain", "clock": "2 h behind"}}'
    async with answering("503 Service Unavailable", body) as url:
        with pytest.raises(NotReady, match=r"answers 503: postgres: refused again; clock: 2 h behind$"):
            await ask(url)


@pytest.mark.parametrize("body", ["", "[]", '{"reasons": 1}', '{"reasons": {}}', "<html>"])
async def test_what_gives_no_reasons_is_shown_as_it_is(body):
    async with answering("503 Service Unavailable", body) as url:
        with pytest.raises(NotReady) as refused:
            await ask(url)
    assert str(refused.value).endswith(f"answers 503: {body}")


async def test_no_server_is_not_ready():
    with pytest.raises(NotReady):
        await ask(f"http://127.0.0.1:{free_port()}/health/ready")


def test_the_command_has_the_addresses_of_the_moment(tmp_path):
    env = {"ATLAS_KAFKA_BROKERS": "127.0.0.1:1"}
    gateway = next(part for part in MESH if part.name == "gateway")
    service = Service(gateway, Ports(tmp_path / "ports.json"), lambda: env, tmp_path)
    assert service.command().env["ATLAS_KAFKA_BROKERS"] == "127.0.0.1:1"
    env["ATLAS_KAFKA_BROKERS"] = "127.0.0.1:2"
    command = service.command()
    assert command.env["ATLAS_KAFKA_BROKERS"] == "127.0.0.1:2"
    assert service.url.endswith(command.env["ATLAS_HTTP_PORT"])
    assert list(command.argv[1:]) == ["-m", "atlas_gateway"]

"""Whatever comes in, it is answered, and what is refused is refused by a problem document."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from atlas_runtime.serving import http_server
from atlas_runtime.serving.http_server import is_unicode, shown

HOST = "127.0.0.1"
_HEAD = b"POST /echo HTTP/1.1\r\nHost: h\r\n"


async def _echo(request: web.Request) -> web.Response:
    body = await request.read()
    if body == b"away":
        raise ConnectionRefusedError("postgresql is away")
    if body == b"bug":
        raise KeyError("secret")
    return web.Response(body=body)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = web.Application(
        middlewares=[http_server.documents, http_server.readable, http_server.unencoded],
        client_max_size=http_server.BODY_MAX_BYTES,
    )
    app.add_routes([web.post("/echo", _echo), web.get("/echo/{name}", _echo)])
    async with http_server.listen(app, HOST, 0) as bound:
        yield bound


async def _ask(port: int, sent: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers and body (parsed when it is JSON) of the one answer."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        async with asyncio.timeout(10):
            writer.write(sent)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
    finally:
        writer.transport.abort()
    return int(head[0].split()[1]), headers, json.loads(body) if "json" in headers.get("content-type", "") else body


def _post(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([_HEAD + b"Content-Length: %d" % len(body), *headers, b"", body])


async def test_a_body_is_answered(port: int) -> None:
    assert (await _ask(port, _post(b"hello")))[::2] == (200, b"hello")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\xff\x16\x03\x01\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX\xff: a\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: a\r\n" * 200 + b"\r\n",
        _HEAD + b"Content-Length: -1\r\n\r\n",
        _HEAD + "Content-Length: ٣\r\n\r\n".encode(),
        _HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        _HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n",
        _HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        _HEAD + b"X: \xff\r\nContent-Length: 0\r\n\r\n",
        _post(b"a", b"Content-Encoding: br"),
        _post(gzip.compress(b"a"), b"Content-Encoding: gzip"),
        _post(b"a" * (http_server.BODY_MAX_BYTES + 1)),
        b"DELETE /echo HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /nowhere/%00 HTTP/1.1\r\nHost: h\r\n\r\n",
    ],
)
async def test_what_is_refused_is_a_problem_document(port: int, sent: bytes) -> None:
    status, headers, body = await _ask(port, sent)
    assert 400 <= status < 500
    assert headers["content-type"].startswith("application/problem+json")
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert (await _ask(port, _post(b"still here")))[0] == 200


@pytest.mark.parametrize(
    "path", [b"%00", b"%FF", b"%ED%A0%80", b"%0d%0a", b"%F0%9F%98%80", b"a?b=%00&b=%ff&" + b"x=1&" * 1000]
)
async def test_any_text_may_stand_in_a_path(port: int, path: bytes) -> None:
    status, _headers, body = await _ask(port, b"GET /echo/" + path + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (status, body) == (200, b"")


async def test_headers_that_nobody_reads_may_hold_anything(port: int) -> None:
    assert (await _ask(port, _post(b"a", b"User-Agent: caf\xe9", b"Cookie: \xff=\xfe")))[0] == 200


async def test_a_server_that_is_away_is_a_503_and_a_fault_shows_nothing(port: int) -> None:
    status, headers, body = await _ask(port, _post(b"away"))
    assert (status, headers["retry-after"]) == (503, "1")
    status, _headers, body = await _ask(port, _post(b"bug"))
    assert status == 500
    assert "secret" not in json.dumps(body)


async def test_a_wrong_method_names_the_right_ones(port: int) -> None:
    status, headers, _body = await _ask(port, b"PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    assert (status, headers["allow"]) == (405, "POST")


def test_text_that_was_bytes() -> None:
    assert [is_unicode(text) for text in ("a", "é", "\udcff")] == [True, True, False]
    assert shown("a\udcffé") == "a?é"

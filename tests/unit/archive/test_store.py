"""What is on the wire, and what is made of a store's refusals; what the operations do is the contract suite's."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest
from atlas_archive.store import ClockOff, S3Address, S3Store, open_store
from atlas_errors.policy import Fate, fate_of
from botocore.exceptions import ClientError

_ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: "1"\r\n\r\n'


async def test_a_small_object_goes_out_in_one_piece_with_its_headers() -> None:
    """A writer that is killed in between must not leave a request whose body is to come."""
    pieces: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            pieces.append(piece)
            if piece.endswith(b"the body's end"):
                writer.write(_ANSWER)
            elif b"100-continue" in piece:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_store(S3Address("bucket", f"http://127.0.0.1:{port}", "key", "secret")) as store:
            assert await store.put_if_absent("manifest", b"x" * 2000 + b"the body's end")
            await store.put("data", [b"x" * 2000, b"the body's end"])
    assert [piece[:12] for piece in pieces] == [b"PUT /bucket/", b"PUT /bucket/"]


@asynccontextmanager
async def answering(answer: Callable[[], bytes]) -> AsyncIterator[S3Store]:
    """A store that answers every request alike."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(answer())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_store(S3Address("bucket", f"http://127.0.0.1:{port}", "key", "secret")) as store:
            yield store


def refusal(status: str, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>so it is</Message></Error>".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("507 Insufficient Storage", "XMinioStorageFull"),
        ("500 Internal Server Error", "InternalError"),
        ("403 Forbidden", "QuotaExceeded"),
        ("403 Forbidden", "RequestTimeTooSkewed"),
    ],
)
async def test_a_store_that_is_full_or_goes_by_another_clock_is_waited_for(status: str, code: str) -> None:
    async with answering(lambda: refusal(status, code)) as store:
        with pytest.raises(ClientError, match=code) as caught:
            await store.put_if_absent("manifest", b"x")
    assert fate_of(caught.value) is Fate.TRANSIENT


@pytest.mark.parametrize(("off_s", "words"), [(7200, "(7199|7200) s behind"), (-7200, "(7200|7201) s ahead of")])
async def test_the_bucket_is_waited_for_where_the_clock_is_off(off_s: int, words: str) -> None:
    """A HEAD is refused without a word of why."""

    def answer() -> bytes:
        date = formatdate(time.time() + off_s, usegmt=True)
        return f"HTTP/1.1 403 Forbidden\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode()

    async with answering(answer) as store:
        # A date has whole seconds, and may be one old.
        with pytest.raises(ClockOff, match=f"clock is {words} the object store's"):
            await store.create()
        assert abs(await store.now() - time.time() - off_s) < 5


async def test_a_refusal_at_the_right_time_is_one_for_good() -> None:
    date = formatdate(usegmt=True)
    refused = f"HTTP/1.1 403 Forbidden\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode()
    async with answering(lambda: refused) as store:
        with pytest.raises(ClientError) as caught:
            await store.create()
    assert fate_of(caught.value) is Fate.CRASH

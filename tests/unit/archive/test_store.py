"""What a put looks like on the wire; what it does is the contract suite's."""

import asyncio

from atlas_archive.store import S3Address, open_store

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

"""A server that answers as a service of the mesh does, and commands run against it."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from atlas_cli.main import app
from typer.testing import CliRunner

Answer = Callable[[str, str, bytes], tuple[int, Any]]


@contextmanager
def serving(answer: Answer, logins: list[str | None] | None = None) -> Iterator[str]:
    """The address of a server within the block; `answer(method, path, body)` gives status and JSON. `logins` gets the
    header Authorization of each request.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if logins is not None:
                logins.append(self.headers.get("Authorization"))
            status, found = answer(self.command, self.path, body)
            text = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def serving_raw(body: bytes, status: int = 200, *, cut: bool = False, silent: bool = False) -> Iterator[str]:
    """The address of a server that answers everything with these bytes; `cut`: half of them, `silent`: never."""
    over = threading.Event()

    def talk(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65_536)
                if silent:
                    over.wait(30)
                    return
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                connection.sendall(head + (body[: len(body) // 2] if cut else body))
            except OSError:
                return  # the command has heard enough

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def run(*arguments: str, answer: str = "") -> str:
    """What `atlas …` printed; raises what it raised. `answer` is what its user types."""
    result = CliRunner().invoke(app, arguments, input=answer)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output

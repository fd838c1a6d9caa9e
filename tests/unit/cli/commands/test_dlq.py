import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest
from atlas_cli.commands import dlq
from atlas_cli.main import app
from atlas_cli.output import CommandError
from typer.testing import CliRunner

ID = "users/users.events/0@17"
RECORD: dict[str, Any] = {
    "id": ID,
    "projection": "users",
    "key": "u-1",
    "state": "dead",
    "error": "a bad address",
    "attempts": 2,
    "request": None,
}


class Projector(BaseHTTPRequestHandler):
    """Answers as the projector does; `waiting` is what a look after a retry or a drop finds."""

    asked: ClassVar[list[tuple[str, str, Any]]]
    waiting: ClassVar[list[dict[str, Any]]]

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.command, self.path, json.loads(body) if body else None))
        if self.command == "POST":
            answer: Any = {"asked": [ID]}
        elif self.path.partition("?")[0] == "/dead-letters":
            answer = {"records": self.waiting, "waiting": len(self.waiting)}
        else:
            answer = RECORD | {"headers": {"ce_type": "users.UserRegistered"}, "value": {"hex": "00"}}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    do_POST = do_GET  # noqa: N815

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def projector(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Projector]]:
    class Own(Projector):
        asked: ClassVar[list[tuple[str, str, Any]]] = []
        waiting: ClassVar[list[dict[str, Any]]] = [RECORD]

    with HTTPServer(("127.0.0.1", 0), Own) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("ATLAS_PROJECTOR_URL", f"http://127.0.0.1:{server.server_port}")
        yield Own
        server.shutdown()
        thread.join()


def run(*arguments: str, answer: str = "") -> str:
    result = CliRunner().invoke(app, ["dlq", *arguments], input=answer)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_what_waits_is_listed(projector: type[Projector]) -> None:
    assert json.loads(run("ls", "users", "--json")) == [RECORD]
    assert "a bad address" in run("ls", "--all")
    assert [path for _, path, _ in projector.asked] == ["/dead-letters?projection=users", "/dead-letters?all=1"]
    projector.waiting = []
    assert run("ls") == "nothing waits\n"


def test_one_record_is_shown_whole(projector: type[Projector]) -> None:
    shown = run("show", ID)
    assert "ce_type: users.UserRegistered" in shown
    assert '"hex": "00"' in shown
    assert json.loads(run("show", ID, "--json"))["id"] == ID
    assert projector.asked[0][1] == f"/dead-letters/{ID}"


def test_retried_and_gone(projector: type[Projector]) -> None:
    projector.waiting = []
    assert run("retry", ID) == "1 records handled\n"
    assert projector.asked[0] == ("POST", "/dead-letters/retry", {"ids": [ID]})
    assert json.loads(run("retry", "--projection", "users", "--json")) == {"settled": [ID], "failed": {}}


def test_failed_again(projector: type[Projector]) -> None:
    with pytest.raises(CommandError, match=r"1 of 1 records failed again, users/users.events/0@17: a bad address"):
        run("retry", ID)


def test_nobody_takes_it_up(projector: type[Projector], monkeypatch: pytest.MonkeyPatch) -> None:
    projector.waiting = [RECORD | {"request": "retry"}]
    monkeypatch.setattr(dlq, "SETTLED_WITHIN_S", 0.1)
    with pytest.raises(CommandError, match="is the projection running"):
        run("retry", ID)


def test_dropping_is_asked_about(projector: type[Projector]) -> None:
    projector.waiting = []
    assert CliRunner().invoke(app, ["dlq", "drop", ID], input="n\n").exit_code == 1
    assert projector.asked == []
    assert "given up" in run("drop", ID, "--yes")
    assert projector.asked[0] == ("POST", "/dead-letters/drop", {"ids": [ID]})


@pytest.mark.parametrize("arguments", [("retry",), ("retry", ID, "--projection", "users")])
def test_one_choice_of_records(projector: type[Projector], arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="say which records"):
        run(*arguments)


def test_a_record_that_does_not_wait_is_named(projector: type[Projector]) -> None:
    with pytest.raises(CommandError, match=r"users/users\.events/0@18: no such record waits"):
        run("retry", ID, "users/users.events/0@18")

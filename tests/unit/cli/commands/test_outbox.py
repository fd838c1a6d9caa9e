import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from atlas_cli.main import app
from atlas_cli.output import CommandError
from typer.testing import CliRunner

ROW = {"id": 7, "topic": "users.events", "key": "u-1", "error": "unknown topic"}
GROUP = {"group": 0, "owner": "relay-a", "epoch": 3}
ANSWERS = {
    "/outbox": {"backlog_rows": 12, "parked_rows": 1, "groups": [GROUP]},
    "/outbox/parked": {"rows": [ROW]},
    "/outbox/parked/retry": {"retried": 3},
    "/outbox/parked/discard": {"discarded": 2},
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Any]]]:
    """A relay that answers, and what it was asked."""
    requests: list[tuple[str, Any]] = []

    class Relay(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            requests.append((self.path, json.loads(body) if body else None))
            answer = json.dumps(ANSWERS[self.path.partition("?")[0]]).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Relay) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("ATLAS_RELAY_URL", f"http://127.0.0.1:{server.server_port}/")
        yield requests
        server.shutdown()
        thread.join()


def run(*arguments: str, answer: str = "") -> str:
    result = CliRunner().invoke(app, ["outbox", *arguments], input=answer)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_status_shows_figures_and_groups(asked):
    out = run("status")
    assert "12" in out
    assert "relay-a" in out
    assert json.loads(run("status", "--json")) == ANSWERS["/outbox"]


def test_parked_passes_its_filters_on(asked):
    assert json.loads(run("parked", "--topic", "users.events", "--waiting", "-n", "5", "--json")) == [ROW]
    assert asked == [("/outbox/parked?limit=5&waiting=1&topic=users.events", None)]


def test_retry_and_discard_name_the_rows(asked):
    assert "3 rows" in run("retry", "7", "8")
    assert "2 rows" in run("discard", "--topic", "t", "--yes")
    assert json.loads(run("retry", "--all", "--json")) == {"retried": 3}
    assert asked == [
        ("/outbox/parked/retry", {"ids": [7, 8]}),
        ("/outbox/parked/discard", {"topic": "t"}),
        ("/outbox/parked/retry", {"all": True}),
    ]


def test_discard_asks_first(asked):
    with pytest.raises(AssertionError, match="Aborted"):
        run("discard", "7", answer="n\n")
    assert asked == []
    run("discard", "7", answer="y\n")
    assert asked == [("/outbox/parked/discard", {"ids": [7]})]


@pytest.mark.parametrize("arguments", [(), ("1", "--all"), ("--all", "--topic", "t")])
def test_an_unclear_choice_is_one_line(arguments):
    with pytest.raises(CommandError, match="say which rows"):
        run("retry", *arguments)


def test_no_relay_is_one_line(monkeypatch):
    monkeypatch.setenv("ATLAS_RELAY_URL", "http://127.0.0.1:1")
    with pytest.raises(CommandError, match=r"the relay at .* does not answer"):
        run("status")

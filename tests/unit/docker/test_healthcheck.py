"""The image's health check, against a real HTTP server."""

import importlib.util
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).resolve().parents[3] / "infra" / "docker" / "healthcheck.py"


@pytest.fixture
def healthcheck() -> ModuleType:
    spec = importlib.util.spec_from_file_location("healthcheck", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Service(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        alive = self.path == "/health/live"
        self.send_response(200 if alive else 503)
        self.end_headers()
        self.wfile.write(b"alive" if alive else b'{"reasons": {"kafka": "away"}}')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the parent's
        pass


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Service) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("ATLAS_HTTP_PORT", str(server.server_port))
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("port")
def test_a_service_that_answers_is_alive(healthcheck: ModuleType) -> None:
    assert healthcheck.main([]) == 0
    assert healthcheck.main(["live"]) == 0


@pytest.mark.usefixtures("port")
def test_a_service_that_is_not_ready_says_why(healthcheck: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert healthcheck.main(["ready"]) == 1
    assert capsys.readouterr().err == '503 {"reasons": {"kafka": "away"}}\n'


def test_a_port_that_nobody_listens_on_is_a_failure(
    healthcheck: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ATLAS_HTTP_PORT", "1")
    assert healthcheck.main(["live"]) == 1
    assert "ConnectionRefusedError" in capsys.readouterr().err

"""Zipkin is part of a mesh that asks for it, and of no other."""

from pathlib import Path

import pytest
from atlas_local.home import Home
from atlas_local.mesh import Mesh
from atlas_local.ports import Ports
from atlas_local.servers import zipkin
from atlas_local.servers.zipkin import Zipkin


@pytest.mark.parametrize(("value", "wanted"), [("1", True), ("true", True), ("", False), ("0", False), (None, False)])
def test_a_mesh_has_it_when_it_is_asked_for(tmp_path: Path, value: str | None, wanted: bool) -> None:
    mesh = Mesh(Home(tmp_path), environ={} if value is None else {"ATLAS_TRACES": value})
    assert ("zipkin" in mesh.components) is wanted
    assert ("ATLAS_OTLP_ENDPOINT" in mesh.service_env()) is wanted


def test_spans_go_where_the_user_says_if_he_does(tmp_path: Path) -> None:
    environ = {"ATLAS_TRACES": "1", "ATLAS_OTLP_ENDPOINT": "http://tempo:4318"}
    assert Mesh(Home(tmp_path), environ=environ).service_env()["ATLAS_OTLP_ENDPOINT"] == "http://tempo:4318"


def test_the_command_is_a_receiver_before_a_server_on_the_loopback_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipkin, "find_java", lambda: "/java")
    home = Home(tmp_path)
    home.make()
    server = Zipkin(home, Ports(tmp_path / "ports.json"))
    command = server.command()
    assert command.argv[1:5] == ["-m", "atlas_local.servers.otlp_to_zipkin", server.endpoint[17:], server.url]
    assert "--armeria.ports[0].ip=127.0.0.1" in command.argv
    assert command.env["STORAGE_TYPE"] == "mem"

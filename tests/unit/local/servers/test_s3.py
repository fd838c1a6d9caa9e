import json
import stat

import pytest
from atlas_local.home import Home
from atlas_local.ports import Ports
from atlas_local.servers import s3
from atlas_local.servers.s3 import S3


@pytest.fixture
def server(tmp_path):
    return S3(Home(tmp_path), Ports(tmp_path / "ports.json"), "key", "secret")


async def test_the_keys_are_in_a_file_of_its_owner_and_not_in_the_arguments(server, tmp_path):
    await server.prepare()
    keys = tmp_path / "data" / "s3" / "keys.json"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert json.loads(keys.read_text())["identities"][0]["credentials"] == [{"accessKey": "key", "secretKey": "secret"}]
    assert "secret" not in " ".join(server.command().argv)


def test_it_listens_on_the_loopback_address_only_and_tells_nobody(server):
    argv = server.command().argv
    assert {"-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"} <= set(argv)
    ports = {argument.split("=")[1] for argument in argv if ".port" in argument}
    assert len(ports) == 9  # eight of its own, and 0 for the two that it is not to open


async def test_a_socket_that_another_user_left_moves_it_to_another_port(server, monkeypatch):
    before = {name: server._ports.get(name) for name in server.port_names}
    foreign = s3._grpc_socket("filer", before["s3-filer-grpc"])
    monkeypatch.setattr(s3, "_removed", lambda path: path != foreign)
    await server.prepare()
    moved = [name for name in server.port_names if server._ports.get(name) != before[name]]
    assert moved == ["s3-filer-grpc"]
    assert foreign not in server.command().leaves

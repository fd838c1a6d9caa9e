import socket
from pathlib import Path

import pytest
from atlas_local import ports
from atlas_local.ports import NoFreePort, Ports, free_port, is_free


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_ports_are_remembered(tmp_path):
    path = tmp_path / "ports.json"
    first = Ports(path).get("kafka")
    assert Ports(path).get("kafka") == first


def test_each_name_has_a_port_of_its_own(tmp_path):
    known = Ports(tmp_path / "ports.json")
    assert len({known.get(str(number)) for number in range(50)}) == 50


def test_ports_are_below_those_of_outgoing_connections():
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(free_port() < lowest for _ in range(100))


def test_the_preferred_port_is_taken_when_it_is_free(tmp_path, listener):
    preferred = free_port()
    assert Ports(tmp_path / "a.json", {"gateway": preferred}).get("gateway") == preferred
    assert Ports(tmp_path / "b.json", {"gateway": listener}).get("gateway") != listener


def test_a_port_that_something_else_listens_on_is_replaced_for_good(tmp_path, listener):
    path = tmp_path / "ports.json"
    path.write_text(f'{{"a": {listener}, "b": {free_port()}}}')
    known = Ports(path)
    kept = known.get("b")
    assert known.replace_taken(["a", "b"]) == ["a"]
    assert known.get("a") != listener
    assert is_free(known.get("a"))
    assert Ports(path).get("a") == known.get("a")
    assert Ports(path).get("b") == kept


def test_a_port_is_free_again_while_old_connections_linger():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the server's side closes first: it is the one that lingers
        client.close()
    assert is_free(port)


def test_no_port_at_all_is_said(monkeypatch):
    monkeypatch.setattr(ports, "is_free", lambda _port: False)
    with pytest.raises(NoFreePort, match="20000"):
        free_port()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"a": "x"}', '{"a": 0}', '{"a": true}', '{"a": 70000}'])
def test_a_file_that_is_no_list_of_ports_is_begun_anew(tmp_path, content):
    (tmp_path / "ports.json").write_text(content)
    port = Ports(tmp_path / "ports.json").get("a")
    assert Ports(tmp_path / "ports.json").get("a") == port


def test_a_port_that_could_not_be_written_down_is_not_used(tmp_path, monkeypatch):
    ports = Ports(tmp_path / "ports.json")
    first = ports.get("a")

    def full(_self: Path, _text: str) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space left"):
            ports.replace("a")
    assert ports.get("a") == first

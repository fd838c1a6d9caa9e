import os
import stat

import pytest
from atlas_local.home import Home
from atlas_local.ports import Ports
from atlas_local.servers import postgres
from atlas_local.servers.postgres import Postgres
from atlas_local.supervising.component import StartFailed
from atlas_local.supervising.processes import Account

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as somebody else")


@pytest.fixture
def server(tmp_path):
    home = Home(tmp_path)
    home.make()
    yield Postgres(home, Ports(tmp_path / "ports.json"), "secret")
    home.remove()


def test_the_address_shows_no_password(server):
    assert "secret" in server.dsn
    assert "secret" not in server.url


def test_what_is_confirmed_is_on_disk(server):
    settings = " ".join(server.command().argv)
    assert "fsync=on" in settings
    assert "synchronous_commit=on" in settings
    assert "listen_addresses=127.0.0.1" in settings


@needs_root
def test_under_root_it_runs_as_somebody_else(server):
    account = server.command().account
    assert account is not None
    assert account.uid != 0


@needs_root
def test_a_home_that_its_user_cannot_enter_keeps_the_data_elsewhere(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    home = Home(closed / "home")
    home.make()
    server = Postgres(home, Ports(home.path / "ports.json"), "secret")
    try:
        server._prepare()
        link = home.data("postgres")
        assert link.is_symlink()
        assert (link / "PG_VERSION").exists()
        assert link.stat().st_uid == Account.unprivileged().uid
        assert stat.S_IMODE(link.stat().st_mode) == 0o700
        again = Postgres(home, Ports(home.path / "ports.json"), "secret")
        again._prepare()
        assert again.command().cwd == link.resolve()
    finally:
        outside = link.resolve().parent
        home.remove()
    assert not outside.exists()


@needs_root
def test_a_place_aside_that_is_not_ours_is_not_used(tmp_path):
    aside = tmp_path / "aside"
    aside.mkdir()
    os.chown(aside, 65534, 65534)
    with pytest.raises(StartFailed, match="belongs to someone else"):
        postgres._make_aside(aside)


def test_a_first_start_that_was_cut_short_is_done_again(server, tmp_path):
    data = tmp_path / "data" / "postgres"
    data.mkdir(parents=True)
    (data / "half").write_text("")
    server._prepare()
    assert (data / "PG_VERSION").exists()
    assert not (data / "half").exists()
    assert not (tmp_path / "data" / ".postgres-password").exists()

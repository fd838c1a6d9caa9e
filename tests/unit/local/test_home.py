import os
import stat

import pytest
from atlas_local.home import AlreadyRuns, Home, read_env_file, write_private


def test_mesh_env_is_readable_by_its_owner_only(tmp_path):
    home = Home(tmp_path)
    home.write_env({"ATLAS_S3_SECRET_KEY": "s"})
    assert stat.S_IMODE(home.env_file.stat().st_mode) == 0o600
    assert home.read_env() == {"ATLAS_S3_SECRET_KEY": "s"}


def test_a_private_file_replaces_an_open_one_with_a_closed_one(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_secret_is_kept_once_it_is_written(tmp_path):
    home = Home(tmp_path)
    first = home.secret("KEY")
    assert len(first) == 32
    home.write_env({"KEY": first})
    assert home.secret("KEY") == first


def test_env_files_may_have_quotes_comments_and_export(tmp_path):
    path = tmp_path / ".env"
    path.write_text("# a comment = no setting\n\nA=1\nexport B='two words'\nC=\"x=y\"\n")
    assert read_env_file(path) == {"A": "1", "B": "two words", "C": "x=y"}
    assert read_env_file(tmp_path / "none") == {}


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_state_that_is_not_whole_counts_as_none(tmp_path, text):
    home = Home(tmp_path)
    home.state_file.write_text(text)
    assert home.read_state() == {}


def test_a_home_is_held_by_one_at_a_time(tmp_path):
    home = Home(tmp_path)
    with home.held(), pytest.raises(AlreadyRuns), home.held():
        pass
    with home.held():
        pass


def test_remove_takes_what_the_mesh_keeps_and_nothing_else(tmp_path):
    outside = tmp_path / "var" / "atlas-1"
    (outside / "postgres").mkdir(parents=True)
    home = Home(tmp_path / "home")
    home.make()
    home.write_env({"A": "1"})
    (home.data("kafka")).mkdir()
    home.data("postgres").symlink_to(outside / "postgres")
    (home.path / "notes.txt").write_text("mine")
    home.remove()
    assert [path.name for path in home.path.iterdir()] == ["notes.txt"]
    assert not outside.exists()


def test_the_home_is_in_the_checkout_unless_the_user_says_otherwise(monkeypatch, tmp_path):
    monkeypatch.delenv("ATLAS_HOME", raising=False)
    assert Home.find().path.name == ".atlas"
    assert (Home.find().path.parent / "infra" / "local").is_dir()
    monkeypatch.setenv("ATLAS_HOME", str(tmp_path))
    assert Home.find().path == tmp_path


def test_who_holds_a_home_is_proved_by_the_open_lock_file(tmp_path):
    home = Home(tmp_path / "home")
    assert home.holder() is None
    with home.held():
        assert home.holder() == os.getpid()
        home.lock_file.write_text("1")  # a process, but not one that has the file open
        assert home.holder() is None
        home.lock_file.write_text("garbage")
        assert home.holder() is None
    assert home.holder() is None

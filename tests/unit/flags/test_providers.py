"""The file is read again when it changes, wins over the settings, and does no harm when it is broken."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from atlas_flags.flag import Flag
from atlas_flags.providers import FileProvider, SettingsProvider, provide
from openfeature import api

OPEN = Flag("t.open", True, "Whether it is open")


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A file of flags that is not there yet, for this process's flags."""
    path = tmp_path / "flags.json"
    provide({"t.open": True}, path)
    yield path
    api.clear_providers()


def write(path: Path, text: str) -> None:
    """In one step, as a new file: a change within one tick of the clock counts too."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


def test_the_file_comes_changes_and_goes(file: Path) -> None:
    assert OPEN.found().source == "settings"
    write(file, '{"t.open": false}')
    assert (OPEN.value(), OPEN.found().source) == (False, str(file))
    write(file, '{"t.open": true}')
    assert OPEN.value() is True
    write(file, '{"t.open": false, "t.other": 1}')
    assert OPEN.value() is False
    write(file, '{"t.other": 1}')
    assert OPEN.found().source == "settings"
    file.unlink()
    assert OPEN.found().source == "settings"


@pytest.mark.parametrize("text", ["{", "[]", "\x00", "[" * 100_000])
def test_a_file_that_is_none_leaves_what_was(text: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(file, '{"t.open": false}')
    assert OPEN.value() is False
    write(file, text)
    assert (OPEN.value(), OPEN.value()) == (False, False)
    assert capsys.readouterr().out.count("flags stay as they were") == 1
    write(file, '{"t.open": true}')
    assert OPEN.value() is True


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    path.write_text('{"t.open": false}')
    provider = FileProvider(path, SettingsProvider({}))
    assert provider.find("t.open") == (False, str(path))
    stat = path.stat()
    path.write_text('{"t.open": 12345}')
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert provider.find("t.open") == (False, str(path))

"""Contexts of the checkout that are not installed are found, and installed by uv."""

import sys
from pathlib import Path

import pytest
from atlas_cli.mesh import new_contexts
from atlas_cli.terminal.output import CommandError
from atlas_local.home import ROOT


def test_those_of_this_checkout_are_installed() -> None:
    assert new_contexts.install(ROOT) == []


def test_a_new_one_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "contexts/nowhere"
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text("")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    monkeypatch.setattr(sys, "executable", str(bin_folder / "python"))
    with pytest.raises(CommandError, match="the context nowhere is not installed; install it: make up"):
        new_contexts.install(tmp_path)
    (bin_folder / "uv").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\n')
    (bin_folder / "uv").chmod(0o755)
    assert new_contexts.install(tmp_path) == ["nowhere"]
    assert (tmp_path / "called").read_text().split()[-2:] == ["-e", str(folder)]
    (bin_folder / "uv").write_text("#!/bin/sh\necho why >&2\nexit 1\n")
    with pytest.raises(CommandError, match="could not be installed: nowhere") as refused:
        new_contexts.install(tmp_path)
    assert refused.value.details == ("why",)


def test_a_part_that_was_added_is_installed_again(tmp_path: Path) -> None:
    """pip knows the entry points of the day on which it installed the context."""
    name = sorted(path.parent.name for path in ROOT.glob("contexts/*/pyproject.toml"))[0]
    text = (ROOT / "contexts" / name / "pyproject.toml").read_text()
    folder = tmp_path / "contexts" / name
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(text)
    assert new_contexts.missing(tmp_path) == []
    (folder / "pyproject.toml").write_text(
        text + f'[project.entry-points."atlas.more"]\n{name} = "atlas_{name}.more"\n'
    )
    assert new_contexts.missing(tmp_path) == [folder]

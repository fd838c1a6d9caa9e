"""Files that are no Python are checked too, before a commit and by `make lint`, without asking anybody."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

# For each check a file that it must refuse.
WRONG = {
    "whitespace": ("a.txt", "a \n"),
    "end-of-file": ("a.txt", "a"),
    "line-endings": ("a.txt", "a\r\nb\n"),
    "merge-conflicts": ("a.txt", "<<<<<<< ours\n=======\n>>>>>>> theirs\n"),
    "json": ("a.json", '{"a": 1,}'),
    "toml": ("a.toml", "a = \n"),
    "yaml": ("a.yml", "a:   [1,2 ]\n"),
    "markdown": ("a.md", "# A\n\n### C\n"),
    "shell": ("a.sh", "#!/bin/sh\nrm $1\n"),
}
# These look at git's index or at modes.
OF_THE_REPOSITORY = {"case-conflicts", "executables"}


@pytest.fixture(scope="module")
def hooks(root: Path) -> dict[str, Any]:
    """The hooks by their ids."""
    config = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"], "another repository is fetched over the network"
    return {hook["id"]: hook for repo in config["repos"] for hook in repo["hooks"]}


def test_every_tool_is_in_the_virtual_environment(root: Path, hooks: dict[str, Any]) -> None:
    programs = {name: shlex.split(hook["entry"])[0] for name, hook in hooks.items()}
    assert not {name: at for name, at in programs.items() if at != "make" and not (root / at).is_file()}
    assert all(hook["language"] == "system" for hook in hooks.values())


def test_make_lint_runs_them(root: Path, hooks: dict[str, Any]) -> None:
    assert {name for name, hook in hooks.items() if "manual" in hook.get("stages", ())} == {*WRONG, *OF_THE_REPOSITORY}
    assert "pre-commit run --all-files --hook-stage manual" in (root / "Makefile").read_text()


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused(name: str, root: Path, hooks: dict[str, Any], tmp_path: Path) -> None:
    file, content = WRONG[name]
    (tmp_path / file).write_bytes(content.encode())
    command = [*shlex.split(hooks[name]["entry"]), str(tmp_path / file)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr

"""`make mine` on a clean clone with an environment of its own: it lints, tests, runs, and takes a next version."""

import json
import os
import re
import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from atlas_local.home import ROOT

from tests.e2e.runbook import Copy, commit, copy_files, run, steps

STEP_S = 1200
RUNBOOK = ROOT / "docs" / "runbooks" / "upgrade.md"
NOT_ANEW = "make -o .venv/.stamp-local -o .venv/.stamp-dev "


class Clone:
    """A repository of the checkout's files alone, and what is typed in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        copy_files(path)
        commit(path, "Atlas")
        ours = {"PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "VIRTUAL_ENV"}
        named = {
            name: value for name, value in os.environ.items() if not name.startswith("ATLAS_") and name not in ours
        }
        self._env = {**named, "ATLAS_HOME": str(path / ".atlas")}

    def run(self, line: str) -> str:
        """What the line printed; fails with that when its exit code is not 0."""
        return run(["sh", "-euc", f'PATH="$PWD/.venv/bin:$PATH"; {line}'], self.path, self._env, STEP_S)


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    clone = Clone(tmp_path / "acme")
    yield clone
    if (clone.path / ".venv/bin/atlas").exists():
        clone.run("atlas down --purge --yes")


def test_it_lints_tests_and_runs(clone: Clone) -> None:
    told = clone.run("make mine NAME=acme YES=1")
    assert "new     contexts/acme/pyproject.toml" in told
    assert not list(clone.path.glob("contexts/users*"))
    assert not list(clone.path.glob("contexts/flights*"))
    commit(clone.path, "Ours")
    if (ROOT / ".mypy_cache").is_dir():  # of the same files, but for the contexts: the types are checked in seconds
        shutil.copytree(ROOT / ".mypy_cache", clone.path / ".mypy_cache")
    clone.run("make lint")
    tested = clone.run("make test TESTS='tests/architecture tests/unit/projection contexts/acme/tests'")
    assert " passed" in tested
    assert "failed" not in tested
    assert "ready in" in clone.run("make up")
    assert "No context shows anything yet" in clone.run("atlas demo")
    clone.run("atlas new event acme.NoteKept note_id:uuid kept_at:timestamp")
    clone.run("atlas new command acme.KeepNote --emits NoteKept --changes")
    clone.run("make up")
    gateway = clone.run("atlas env ATLAS_GATEWAY_URL").strip()
    note = _posted(f"{gateway}/notes", {"text": "hello"})
    kept = _posted(f"{gateway}/notes/{note['id']}/keep-note", {})
    assert (note["version"], kept["version"]) == (1, 2)
    assert [row["text"] for row in _rows(f"{gateway}/notes")] == ["hello"]
    assert "acme.NoteKept" in clone.run("atlas tail acme.events --from beginning --until-end")
    clone.run("make down")


def test_a_next_version_is_a_merge_that_leaves_what_is_the_teams(tmp_path: Path) -> None:
    atlas, ours = Clone(tmp_path / "atlas"), Copy(tmp_path / "acme", "acme")
    commit(tmp_path / "acme", "Atlas")
    # One history, as of a clone.
    ours.run(["sh", "-euc", 'git fetch --quiet "$0" main && git reset --quiet FETCH_HEAD', str(atlas.path)])
    ours.run(["sh", "-euc", f"{NOT_ANEW} mine NAME=acme YES=1"])
    readme = ours.path / "README.md"
    readme.write_text(readme.read_text() + "\nWe sell notes.\n")
    commit(ours.path, "Ours")
    kept = {path: path.read_bytes() for path in _of_the_team(ours.path)}
    assert len(kept) > 10

    _next_version(atlas.path)
    for step in steps(RUNBOOK):
        text = step.text.replace("make ", NOT_ANEW).replace("git commit", "git -c user.name=t -c user.email=t@x commit")
        ours.run(["sh", "-euc", f"ORIGIN={atlas.path}\n{text}"])

    assert {path: path.read_bytes() for path in _of_the_team(ours.path)} == kept
    assert not list(ours.path.glob("contexts/users*"))
    assert "# A next version." in (ours.path / "libs/errors/atlas_errors/backoff.py").read_text()
    assert (ours.path / "docs/new.md").is_file()
    assert ours.run(["git", "status", "--porcelain"]) == ""
    assert "Atlas, its next version" in ours.run(["git", "log", "--merges", "--format=%s"])
    ours.run(["sh", "-euc", "atlas schemas check"])


def _next_version(atlas: Path) -> None:
    """Changes of everything that `make mine` touched, and of an engine."""
    for name in ("contexts/users/atlas_users/commands.py", "libs/errors/atlas_errors/backoff.py", "Makefile"):
        (atlas / name).write_text((atlas / name).read_text() + "\n# A next version.\n")
    for name in ("README.md", "docs/runbooks/getting-started.md", "schemas/users/topics.yaml"):
        text = (atlas / name).read_text()
        (atlas / name).write_text(re.sub(r"\Z", "\n" if name.endswith(".yaml") else "\nNews.\n", text))
    (atlas / "docs/new.md").write_text("# New\n")
    commit(atlas, "A next version")


def _of_the_team(root: Path) -> list[Path]:
    folders = [root / "contexts/acme", root / "schemas/acme"]
    found = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return [root / "README.md", *(path for path in found if path.suffix != ".pyc")]


def _posted(url: str, body: dict[str, str]) -> dict[str, object]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        answer: dict[str, object] = json.load(response)
    return answer


def _rows(url: str) -> list[dict[str, object]]:
    """Of the list, once it has some."""
    deadline = time.monotonic() + 30
    while True:
        with urllib.request.urlopen(url, timeout=30) as response:
            rows: list[dict[str, object]] = json.load(response)["items"]
        if rows:
            return rows
        assert time.monotonic() < deadline, f"no row at {url}"

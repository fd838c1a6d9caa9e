"""A new migration comes after the last of its branch, and a context's first one behind Atlas's own tables."""

from pathlib import Path

import pytest
from atlas_runtime import new_migration
from atlas_runtime.new_migration import after, arguments
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.integers(1, 9998), unique=True), st.sampled_from(["yards_", "sea_side_"]))
def test_the_number_is_above_all_others(numbers: list[int], prefix: str) -> None:
    names = [f"{prefix}{number:04d}_x.py" for number in numbers]
    assert after([*names, "__init__.py", "notes.txt"]) == f"{max(numbers, default=0) + 1:04d}"


def test_the_first_begins_a_branch_and_the_next_goes_on_with_it(tmp_path: Path) -> None:
    first = arguments("yards", "yards", tmp_path)
    assert first[-8:] == [
        "--rev-id",
        "yards_0001",
        "--head",
        "base",
        "--branch-label",
        "yards",
        "--depends-on",
        "http_0001",
    ]
    (tmp_path / "yards_0001_yards.py").touch()
    assert arguments("yards", "a column", tmp_path)[-4:] == ["--rev-id", "yards_0002", "--head", "yards@head"]


def test_the_first_of_a_lib_depends_on_nothing(tmp_path: Path) -> None:
    assert arguments("sundial", "sundial", tmp_path)[-4:] == ["--head", "base", "--branch-label", "sundial"]


@pytest.mark.parametrize("branch", ["", "nobody"])
def test_what_has_no_migrations_is_refused(branch: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        new_migration.main(branch, "x")
    said = capsys.readouterr().err
    assert f"no context or lib {branch!r} has migrations; those that have: " in said
    assert "outbox" in said
    assert "yards" in said

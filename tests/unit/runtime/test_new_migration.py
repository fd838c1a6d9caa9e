"""A new migration comes after the last of its branch, and a context's first one behind Atlas's own tables."""

from pathlib import Path

import pytest
from atlas_runtime import new_migration
from atlas_runtime.new_migration import after, arguments
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.integers(1, 9998), unique=True), st.sampled_from(["", "yards_", "sea_side_"]))
def test_the_number_is_above_all_others(numbers: list[int], prefix: str) -> None:
    names = [f"{prefix}{number:04d}_x.py" for number in numbers]
    assert after([*names, "__init__.py", "notes.txt"]) == f"{max(numbers, default=0) + 1:04d}"


def test_the_first_begins_a_branch_and_the_next_goes_on_with_it(tmp_path: Path) -> None:
    first = arguments("bookings", "bookings", tmp_path)
    assert first[-8:] == [
        "--rev-id",
        "bookings_0001",
        "--head",
        "base",
        "--branch-label",
        "bookings",
        "--depends-on",
        "0002",
    ]
    (tmp_path / "bookings_0001_bookings.py").touch()
    assert arguments("bookings", "a column", tmp_path)[-4:] == ["--rev-id", "bookings_0002", "--head", "bookings@head"]


def test_a_context_without_migrations_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        new_migration.main("nobody", "x")
    said = capsys.readouterr().err
    assert "no context nobody has migrations; those that have: " in said
    assert "yards" in said

"""A plan is carried out whole or not at all."""

from pathlib import Path

import pytest
from atlas_cli.scaffold.plan import Plan
from atlas_cli.terminal.output import CommandError


def test_it_writes_changes_and_deletes(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old/a").write_text("a")
    (tmp_path / "b").write_text("b")
    plan = Plan(tmp_path)
    plan.add("new/deep/c", "c")
    plan.change("b", "B")
    plan.change("old/a", "a")
    plan.remove("old/a")
    plan.remove("never")
    assert list(plan.lines()) == [("new", "new/deep/c"), ("changed", "b"), ("removed", "old/a")]
    plan.apply()
    assert (tmp_path / "new/deep/c").read_text() == "c"
    assert (tmp_path / "b").read_text() == "B"
    assert not (tmp_path / "old").exists()


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    with pytest.raises(CommandError, match="a is there already"):
        Plan(tmp_path).add("a", "yours")


def test_where_a_write_fails_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("b")
    (tmp_path / "file").write_text("no folder")
    plan = Plan(tmp_path, new={"new/a": "a", "file/below": "x"}, changed={"b": "B"}, gone=["b"])
    with pytest.raises(OSError, match="file"):
        plan.apply()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "file"]
    assert (tmp_path / "b").read_text() == "b"


def test_a_folder_with_nothing_but_compiled_modules_goes(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/other").write_text("x")
    (tmp_path / "kept/gone/__pycache__").mkdir(parents=True)
    (tmp_path / "kept/gone/__pycache__/a.pyc").write_text("x")
    (tmp_path / "kept/gone/a.py").write_text("x")
    plan = Plan(tmp_path)
    plan.remove("kept/gone/a.py")
    plan.apply()
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["other"]

"""`atlas dev`: what has changed, and what is said of it."""

from pathlib import Path

from atlas_cli.mesh.developing import changes, files, named, told


def test_what_is_looked_at(tmp_path: Path) -> None:
    for name in (
        "contexts/a/b.py",
        "contexts/a/tests/test_b.py",
        "schemas/topics.yaml",
        "schemas/note.txt",
        "libs/x.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    seen = files(tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in seen} == {"contexts/a/b.py", "schemas/topics.yaml"}
    assert changes(seen, files(tmp_path)) == []
    (tmp_path / "contexts/a/b.py").write_text("x")
    (tmp_path / "contexts/a/c.py").write_text("x")
    (tmp_path / "schemas/topics.yaml").unlink()
    assert named(changes(seen, files(tmp_path)), tmp_path) == "contexts/a/b.py, contexts/a/c.py, schemas/topics.yaml"


def test_many_changes_are_one_line(tmp_path: Path) -> None:
    assert named([tmp_path / str(number) for number in range(5)], tmp_path) == "0, 1, 2 and 2 more"


def test_what_came_of_it() -> None:
    assert told({"restarted": ["gateway"], "failed": []}) == ["restarted: gateway"]
    assert told({"restarted": [], "failed": ["database: no\n  such"]}) == ["not well: database: no such"]
    assert told({"restarted": [], "failed": []}) == ["nothing that runs reads it"]

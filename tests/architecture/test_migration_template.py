"""What `make migration NAME=…` begins passes `make lint` as it stands, whatever the name."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = [
    "x",
    'add a "quoted" column and a \\ too',
    "ends with a period.",
    "word " * 60,
    "w" * 250,
    "naïve\nin two lines",
    '"""; import os',
]


@pytest.mark.parametrize("name", NAMES)
def test_a_new_migration_passes_lint(root: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(root / "infra" / "postgres", tmp_path / "postgres", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "postgres" / "migrations" / "versions").mkdir(exist_ok=True)
    alembic = [sys.executable, "-m", "alembic", "-c", str(tmp_path / "postgres" / "alembic.ini")]
    subprocess.run(
        [*alembic, "revision", "-m", name, "--rev-id", "9999"],
        check=True,
        capture_output=True,
    )
    [made] = (tmp_path / "postgres" / "migrations" / "versions").glob("9999_*.py")
    text = made.read_bytes()
    compile(text, made.name, "exec")
    where = "libs/outbox/atlas_outbox/migrations/outbox_9999_new.py"  # as if it were there: the same rules count
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "--stdin-filename", where, "-"],
            input=text,
            capture_output=True,
            check=False,
            cwd=root,
        )
        assert done.returncode == 0, text.decode() + done.stdout.decode() + done.stderr.decode()


def test_a_new_migration_is_formatted_by_itself(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "infra" / "postgres", tmp_path / "postgres", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", tmp_path)
    with (tmp_path / "postgres" / "migrations" / "script.py.mako").open("a") as template:
        template.write("import os\nNAMES = {'a':1,\n  'b':2}\n")
    (tmp_path / "postgres" / "migrations" / "versions").mkdir(exist_ok=True)
    alembic = [sys.executable, "-m", "alembic", "-c", str(tmp_path / "postgres" / "alembic.ini")]
    subprocess.run([*alembic, "revision", "-m", "x", "--rev-id", "9999"], check=True, capture_output=True)
    [made] = (tmp_path / "postgres" / "migrations" / "versions").glob("9999_*.py")
    assert 'NAMES = {"a": 1, "b": 2}\n' in made.read_text()
    assert "import os" not in made.read_text()

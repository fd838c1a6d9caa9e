"""Programs that only checks use: a test says which one it lacks and is skipped."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., str]


@pytest.fixture
def run_program() -> Run:
    """Call it with a program and its arguments: what it printed; fails with that when its exit code is not 0."""

    def run(program: str, *arguments: str | Path) -> str:
        beside_python = Path(sys.executable).parent / program
        found = beside_python if beside_python.exists() else shutil.which(program)
        if found is None:
            pytest.skip(f"{program} is not installed")
        done = subprocess.run(
            [str(found), *map(str, arguments)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{program} {' '.join(map(str, arguments))}:\n{done.stdout}"
        return done.stdout

    return run

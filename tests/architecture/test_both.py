"""`make test` in two processes: nothing is left out, nothing fails unseen."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.both import commands, run


def says(text: str, code: int = 0) -> list[str]:
    return [sys.executable, "-c", f"print({text!r}, flush=True); raise SystemExit({code})"]


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize(("on_servers", "others", "code"), [(0, 0, 0), (1, 0, 1), (0, 3, 3), (1, 3, 1), (0, -9, 247)])
def test_a_failure_of_either_is_the_whole_runs(
    on_servers: int, others: int, code: int, cores: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(says("one", on_servers), says("two", others), cores) == code
    said = capfd.readouterr().out.split("\n")
    assert {"one", "two"} <= set(said)
    results = [line for line in said if line.startswith("tests ")]
    assert ["FAILED" in line for line in results] == [bool(on_servers), bool(others)]


def test_what_runs_beside_is_told_at_the_end(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The first to speak is heard last."""
    spoke = tmp_path / "spoke"
    first = f"import pathlib; print('beside', flush=True); pathlib.Path({str(spoke)!r}).touch()"
    second = f"import pathlib\nwhile not pathlib.Path({str(spoke)!r}).exists(): pass\nprint('servers', flush=True)"
    assert run([sys.executable, "-c", second], [sys.executable, "-c", first], cores=2) == 0
    said = capfd.readouterr().out
    assert said.index("servers\n") < said.index("beside\n")


def test_every_test_file_is_in_one_of_the_two(root: Path) -> None:
    on_servers, others = commands(root)
    left_out = {word.removeprefix("--ignore=") for word in on_servers if word.startswith("--ignore=")}
    assert "tests" in on_servers
    assert left_out <= set(others)
    assert {str(path.relative_to(root)) for path in root.glob("contexts/*/tests")} <= set(others)
    assert all((root / path).exists() for path in left_out)


def test_a_run_that_is_told_to_end_ends_both(tmp_path: Path) -> None:
    """Each is up before the signal comes, and is waited for."""
    child = "import pathlib, time; pathlib.Path({!r}).touch(); time.sleep(60)"
    files = [tmp_path / "one", tmp_path / "two"]
    words = [[sys.executable, "-c", child.format(str(file))] for file in files]
    command = [sys.executable, "-c", f"from tests.both import run; raise SystemExit(run(*{words!r}, cores=2))"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while not all(file.exists() for file in files):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == signal.SIGTERM
    assert said.count(f"FAILED, exit code {-signal.SIGTERM}") == 2

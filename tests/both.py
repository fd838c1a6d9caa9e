"""Every test, in two processes: those that need no server run beside those that do, which mostly wait.

What the second process says is kept in a file and printed whole at the end, so that the two do not mix. On one core
they run one after the other. A test that is in neither list of folders runs with those on servers: none is left out.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_SERVERS = (
    "tests/unit",
    "tests/architecture",
    *(f"tests/conformance/test_{name}.py" for name in ("edges", "pairs", "parquet", "properties")),
)
# The tests on servers have deadlines, the others count their own CPU time: these give way.
GIVES_WAY = 5
# pytest's own code, and what a signal leaves.
INTERRUPTED = (2, -signal.SIGINT, -signal.SIGTERM)


def commands(root: Path) -> tuple[list[str], list[str]]:
    """The command for the tests on servers and the one for the others."""
    pytest = [sys.executable, "-m", "pytest"]
    contexts = sorted(str(path.relative_to(root)) for path in root.glob("contexts/*/tests"))
    on_servers = [*pytest, "tests", *(f"--ignore={folder}" for folder in WITHOUT_SERVERS)]
    # What failed last is written down at the end of a run: each has a folder of its own for it.
    return on_servers, [*pytest, "-o", "cache_dir=.pytest_cache/beside", *WITHOUT_SERVERS, *contexts]


def run(on_servers: Sequence[str], others: Sequence[str], cores: int) -> int:
    """Run both to their ends; the first exit code that is not 0."""
    running: list[subprocess.Popen[bytes]] = []

    def asked_to_end(number: int, _frame: object) -> None:
        # Ctrl-C in a terminal reaches both by itself. Each stops its servers meanwhile: they are waited for.
        if number == signal.SIGTERM:
            for process in running:
                process.terminate()

    def started(command: Sequence[str], said: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT if said else None)
        running.append(process)
        return process

    before = {number: signal.signal(number, asked_to_end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with tempfile.TemporaryFile() as said:
            beside = started(others, said if cores > 1 else None)
            if cores > 1:
                os.setpriority(os.PRIO_PROCESS, beside.pid, GIVES_WAY)
            elif (code := beside.wait()) in INTERRUPTED:
                return abs(code)
            codes = {"on servers": started(on_servers).wait(), "that need no server": beside.wait()}
            said.seek(0)
            print("\nThe tests that need no server:" if cores > 1 else "", flush=True)
            sys.stdout.buffer.write(said.read())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for name, code in codes.items():
        print(f"tests {name}: {'passed' if code == 0 else f'FAILED, exit code {code}'}", flush=True)
    return next((abs(code) for code in codes.values() if code), 0)


if __name__ == "__main__":
    sys.exit(run(*commands(ROOT), cores=len(os.sched_getaffinity(0))))

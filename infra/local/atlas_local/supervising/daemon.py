"""The supervisor as a process: in the background of `atlas up`, or in its foreground."""

import argparse
import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from atlas_local.home import ROOT, AlreadyRuns, Home
from atlas_local.mesh import Mesh
from atlas_local.ports import NoFreePort
from atlas_local.supervising.control import serve
from atlas_local.supervising.processes import Command, Process, StillThere
from atlas_local.supervising.supervisor import Supervisor

FAILED, ALREADY_RUNS = 1, 3  # exit codes


async def supervise(supervisor: Supervisor, wanted: tuple[str, ...]) -> None:
    """Run the supervisor and its control socket until SIGTERM, SIGINT or a request; the caller holds the home."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serve(supervisor, stop):
        await supervisor.run(wanted, stop)


def main() -> int:
    """Parse the arguments of `python -m atlas_local`, run, give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m atlas_local", description="The supervisor of one mesh.")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--isolated", action="store_true", help="ignore ATLAS_ settings and .env; any ports")
    parser.add_argument("parts", nargs="*", help="what to start; everything when none is named")
    arguments = parser.parse_args()
    home = Home(arguments.home.resolve())
    try:
        with home.held():
            asyncio.run(supervise(Supervisor(Mesh(home, isolated=arguments.isolated)), tuple(arguments.parts)))
    except AlreadyRuns as error:
        sys.stderr.write(f"{error}\n")
        return ALREADY_RUNS
    except (OSError, StillThere, NoFreePort) as error:
        sys.stderr.write(f"the mesh can't be started: {error}\n")
        return FAILED
    return 0


def _argv(home: Home, parts: tuple[str, ...], isolated: bool) -> list[str]:
    flags = ["--isolated"] if isolated else []
    return [sys.executable, "-m", "atlas_local", "--home", str(home.path), *flags, *parts]


def spawn_detached(home: Home, parts: tuple[str, ...]) -> "subprocess.Popen[bytes]":
    """Start a supervisor that outlives this process; its output goes to logs/supervisor.log."""
    home.make()
    with _output(home.log("supervisor")) as output:
        return subprocess.Popen(
            _argv(home, parts, isolated=False),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@contextmanager
def _output(log: Path) -> Iterator[BinaryIO]:
    """Begins the log anew, the last one beside it; a full disk is no reason not to start."""
    try:
        if log.exists() and log.stat().st_size:
            log.replace(log.with_name(log.name + ".1"))
        output = log.open("ab")
    except OSError:
        output = Path("/dev/null").open("ab")  # noqa: SIM115 - closed below
    with output:
        yield output


def spawn_isolated(home: Home, parts: tuple[str, ...]) -> Process:
    """Start a supervisor that ends with this process and cares for no setting of the user: for tests."""
    home.make()
    return Process.spawn(Command(argv=_argv(home, parts, isolated=True), stop_s=40.0), home.log("supervisor"))

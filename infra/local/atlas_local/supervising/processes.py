"""Child processes: started in a session of their own, found again after a crash of the parent, stopped for good."""

import asyncio
import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG = 1
_LOG_LIMIT_BYTES = 10_000_000
_KILL_S = 10.0  # the kernel may take that long to end a large process


class StillThere(Exception):
    """A process that could not be ended; the message names it and says what can be done."""


@dataclass(frozen=True, slots=True)
class Account:
    """A system user that a server runs as."""

    name: str
    uid: int
    gid: int

    @classmethod
    def unprivileged(cls) -> "Account | None":
        """Whom a server that refuses root runs as: nobody under root, else None for the caller itself."""
        if os.geteuid() != 0:
            return None
        entry = pwd.getpwnam("nobody")
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid)


@dataclass(frozen=True, slots=True)
class Command:
    """What to run and how to end it: `stop_signal`, then SIGKILL after `stop_s` seconds."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: Path | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_s: float = 10.0
    leaves: Sequence[Path] = ()  # files outside its directories, removed after its end


@dataclass(frozen=True, slots=True)
class Identity:
    """A process that can't be mistaken for a later one with the same id: `started` is in clock ticks since boot."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """The identity of a live process, or None."""
        started = _started(pid)
        return None if started is None else cls(pid, started)

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return _started(self.pid) == self.started


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field, the command's name, may hold blanks and brackets; the fields after it do not.
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


class Process:
    """A running child. Not bound to an event loop, so that a test's fixture can hand it from one loop to the next."""

    def __init__(self, popen: subprocess.Popen[bytes], command: Command) -> None:
        self._popen = popen
        self._command = command
        self.identity = Identity.of(popen.pid) or Identity(popen.pid, 0)

    @classmethod
    def spawn(cls, command: Command, log: Path) -> "Process":
        """Start it, its output appended to `log`. It gets the stop signal when this process dies.

        The kernel watches the thread that starts the child, so call this from the main thread.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        account = command.account
        with log.open("ab") as output:
            popen = subprocess.Popen(
                command.argv,
                env=command.env,
                cwd=command.cwd or log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in a terminal is for the supervisor alone
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=_die_with_parent(command.stop_signal),  # noqa: PLW1509
            )
        return cls(popen, command)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number when a signal ended it."""
        return self._popen.poll()

    async def wait(self) -> int:
        """Wait for its end and give its exit code."""
        if (code := self._popen.poll()) is not None:
            return code
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        descriptor = os.pidfd_open(self.pid)
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return self._popen.wait()

    async def stop(self) -> int:
        """End it: the stop signal, then SIGKILL to it and all its children. Returns the exit code."""
        family = _family(self.pid)
        self.send(self._command.stop_signal)
        try:
            async with asyncio.timeout(self._command.stop_s):
                await self.wait()
        except TimeoutError:
            self.kill()
        code = await self.wait()
        _kill_all(family)
        self._tidy()
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone; nothing when it has ended."""
        if self.exit_code is None:
            self._popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to the process and its children, at once; returns when it is gone."""
        family = _family(self.pid)
        if self.exit_code is None:
            self._popen.kill()
        _kill_all(family)
        self._popen.wait()
        self._tidy()

    def _tidy(self) -> None:
        for path in self._command.leaves:
            path.unlink(missing_ok=True)


def _family(pid: int) -> list[Identity]:
    """All descendants of a process."""
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(pid).children(recursive=True)
        return [identity for child in children if (identity := Identity.of(child.pid))]
    return []


def _kill_all(identities: Sequence[Identity]) -> None:
    for identity in identities:
        if identity.alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(identity.pid, signal.SIGKILL)


def spawned_into(logs: Path) -> list[tuple[str, Identity]]:
    """The live processes that `Process.spawn` started with a log in this directory, or that those started: name of the
    log and identity. This process is left out.

    Asked of the kernel: nothing that was written down can mislead. The proof is what only `spawn` does: no input, and
    both outputs are that log. Neither the environment (servers write their title over it) nor a command line has it.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        identity = Identity.of(int(entry.name))
        try:
            opened = [str((entry / "fd" / number).readlink()) for number in "012"]
        except OSError:  # it has ended, is another user's and so not ours, or has closed them
            continue
        log = Path(opened[1].removesuffix(" (deleted)"))
        if opened[0] == os.devnull and opened[1] == opened[2] and log.parent == logs and identity and identity.alive:
            found.append((log.name.partition(".log")[0], identity))
    return found


async def reap(identities: Sequence[Identity], stop_signal: signal.Signals, stop_s: float) -> int:
    """End processes left behind by a parent that is gone, with their children; give how many there were.

    Raises StillThere when one can't be ended.
    """
    left = [identity for identity in identities if identity.alive]
    family = [child for identity in left for child in _family(identity.pid)]
    for identity in left:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(identity.pid, stop_signal)
    deadline = time.monotonic() + stop_s
    while still := [identity for identity in left + family if identity.alive]:
        if time.monotonic() > deadline:
            _kill_all(still)
        if time.monotonic() > deadline + _KILL_S:
            raise StillThere(_in_the_way(still[0]))
        await asyncio.sleep(0.05)
    return len(left)


def _in_the_way(identity: Identity) -> str:
    try:
        process = psutil.Process(identity.pid)
        what = f"{process.pid} ({process.name()}, of user {process.username()}, {process.status()})"
    except psutil.Error:
        what = str(identity.pid)
    return f"process {what} was left behind and can't be ended from here; end it: kill -9 {identity.pid}"


def _die_with_parent(number: signal.Signals) -> Callable[[], None]:
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # loaded before the fork: after it only simple calls are safe

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)

    return before_exec


def rotate(log: Path, limit_bytes: int = _LOG_LIMIT_BYTES) -> bool:
    """Move the content of a log that grew past the limit to `<log>.1`; the writer goes on with the same open file.

    Lines written between the copy and the cut are lost; the children then need no pipe that could block them.
    """
    try:
        if log.stat().st_size <= limit_bytes:
            return False
    except FileNotFoundError:
        return False
    shutil.copyfile(log, log.with_name(log.name + ".1"))
    os.truncate(log, 0)
    return True


def last_lines(log: Path, count: int = 10) -> list[str]:
    """The last lines of a log; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []

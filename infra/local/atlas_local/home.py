"""Where one mesh lives: the directory `.atlas`, what is kept in it, and the secrets made for it."""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SOURCE = Path(__file__).resolve().parents[3]
# The checkout; installed from a wheel there is none, and what is kept is kept where the process was started.
ROOT = _SOURCE if (_SOURCE / "infra" / "local").is_dir() else Path.cwd()
_HEADER = "# Written by `atlas up`: the addresses and secrets of this mesh. Overwritten at each start.\n"


class AlreadyRuns(Exception):
    """Another supervisor holds this home."""


@dataclass(frozen=True, slots=True)
class Home:
    """The directory of one mesh; two meshes with two homes share nothing."""

    path: Path

    @classmethod
    def find(cls) -> "Home":
        """The home that ATLAS_HOME names, else `.atlas` in the checkout."""
        chosen = os.environ.get("ATLAS_HOME")
        return cls(Path(chosen).expanduser().resolve() if chosen else ROOT / ".atlas")

    @property
    def env_file(self) -> Path:
        """Every address and secret as ATLAS_… lines; mode 0600."""
        return self.path / "mesh.env"

    @property
    def state_file(self) -> Path:
        """What a set of servers for tests runs, with process ids, as its owner last wrote it."""
        return self.path / "state.json"

    @property
    def lock_file(self) -> Path:
        """Locked by the supervisor as long as it lives."""
        return self.path / "supervisor.lock"

    @property
    def logs(self) -> Path:
        """The directory of the logs, one a component."""
        return self.path / "logs"

    @property
    def socket(self) -> Path:
        """Where the supervisor takes requests."""
        return self.path / "control.sock"

    def log(self, name: str) -> Path:
        """The log of one component."""
        return self.logs / f"{name}.log"

    def data(self, name: str) -> Path:
        """The data of one server."""
        return self.path / "data" / name

    def make(self) -> None:
        """Make the directories."""
        for directory in (self.path, self.logs, self.path / "data"):
            directory.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the home alone; the kernel lets go of it when this process ends in any way. Raises AlreadyRuns."""
        self.make()
        with self.lock_file.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRuns(f"another supervisor holds {self.path}") from None
            with suppress(OSError):  # a full disk: the lock holds all the same
                file.truncate(0)
                file.write(str(os.getpid()))
                file.flush()
            yield

    def holder(self) -> int | None:
        """The process that holds the home, when it can be named for certain: it has the lock file open."""
        try:
            pid = int(self.lock_file.read_text())
            lock = self.lock_file.stat()
            descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
        except (OSError, ValueError):
            return None
        for descriptor in descriptors:
            with suppress(OSError):  # closed since
                if os.path.samestat(descriptor.stat(), lock):
                    return pid
        return None

    def remove(self) -> None:
        """Delete all that a mesh keeps, also what a server had to keep outside; other files in the directory stay."""
        outside = self.data("postgres")
        if outside.is_symlink():
            shutil.rmtree(outside.resolve().parent, ignore_errors=True)
        for directory in ("data", "logs"):
            shutil.rmtree(self.path / directory, ignore_errors=True)
        for file in (self.env_file, self.state_file, self.lock_file, self.socket, self.path / "ports.json"):
            file.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()  # unless something else is in it

    def read_env(self) -> dict[str, str]:
        """What `mesh.env` says; empty when there is none."""
        return read_env_file(self.env_file)

    def write_env(self, values: Mapping[str, str]) -> None:
        """Replace `mesh.env`, never readable by others, not even for a moment."""
        write_private(self.env_file, _HEADER + "".join(f"{key}={value}\n" for key, value in values.items()))

    def secret(self, key: str) -> str:
        """The secret kept under this name in `mesh.env`, or a new one."""
        return self.read_env().get(key) or secrets.token_hex(16)

    def read_state(self) -> dict[str, Any]:
        """The last written state; empty when there is none or it is not whole."""
        try:
            state = json.loads(self.state_file.read_text())
        except (OSError, ValueError, RecursionError):
            return {}
        return state if isinstance(state, dict) else {}

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Replace the state in one step."""
        write_private(self.state_file, json.dumps(state, indent=1))


def read_env_file(path: Path) -> dict[str, str]:
    """KEY=value lines, quotes taken off; comments and blank lines left out; empty when there is no such file."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {key.strip().removeprefix("export "): value.strip().strip("'\"") for key, value in pairs}


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step with one that only its owner can read."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)

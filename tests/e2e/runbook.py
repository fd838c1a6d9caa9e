"""Follows a runbook as it is written: on a copy of the checkout, with a mesh of its own."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from atlas_local.home import ROOT

_BLOCK = re.compile(r"^```(\w+)(?: ([^\n]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STEP_S = 900
# A copy must not install itself over the checkout that it came from.
_NOT_ANEW = ("-o", ".venv/.stamp-local", "-o", ".venv/.stamp-dev")


@dataclass(frozen=True, slots=True)
class Step:
    """A fenced block: its language, what it says behind it, and its text."""

    language: str
    about: str
    text: str


def steps(runbook: Path) -> Iterator[Step]:
    """The blocks of a runbook, in order."""
    for match in _BLOCK.finditer(runbook.read_text()):
        yield Step(match[1], match[2] or "", match[3])


def copy_files(to: Path) -> None:
    """The checkout's tracked and new files, links as links."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name, follow_symlinks=False)


def commit(folder: Path, message: str) -> None:
    """Everything in it, into its own repository, which is begun where there is none."""
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    if not (folder / ".git").exists():
        subprocess.run(["git", "init", "--quiet", "--initial-branch", "main", str(folder)], check=True)
        (folder / ".git/info/exclude").write_text(".venv\n")  # a link, in a Copy
    subprocess.run(["git", "-C", str(folder), "add", "--all"], check=True)
    subprocess.run(["git", "-C", str(folder), *who, "commit", "--quiet", "--message", message], check=True)


def run(command: list[str], folder: Path, env: Mapping[str, str], timeout_s: float = _STEP_S) -> str:
    """What the command printed; fails with that when its exit code is not 0."""
    done = subprocess.run(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=timeout_s, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}"
    return done.stdout


class Copy:
    """A copy of the checkout's tracked and new files that runs with the checkout's virtual environment."""

    def __init__(self, path: Path, *coming: str) -> None:
        """`coming`: contexts that are not there yet; what runs by then has to find them."""
        self.path = path
        self._installed: set[str] = set()
        copy_files(path)
        (path / ".venv").symlink_to(ROOT / ".venv")
        packages = [*path.glob("libs/*"), *path.glob("services/*"), path / "infra/local", path / ".installed"]
        packages += [*path.glob("contexts/*"), *(path / "contexts" / name for name in coming)]
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ATLAS_")},
            "PYTHONPATH": os.pathsep.join(map(str, packages)),
            "ATLAS_HOME": str(path / ".atlas"),
            "PATH": f"{path / '.venv/bin'}{os.pathsep}{os.environ['PATH']}",
        }
        self._made: Path | None = None

    def follow(self, step: Step) -> str:
        """Do what the block says; what its commands printed. Fails with that when one of them fails."""
        verb, _, name = step.about.partition("=")
        if step.language == "console":
            return "".join(self._console(line) for line in step.text.splitlines() if line.startswith("$ "))
        if step.language == "sh":
            return self.run(["sh", "-euc", f'eval "$(atlas env)"\n{step.text}'])
        if step.language == "diff":
            self._edit(self.path / name, step.text)
        elif verb == "append":
            with (self.path / name).open("a") as file:
                file.write(step.text)
        elif verb == "migration":
            self._write_migration(step.text)
        else:
            assert verb == "file", f"a block that says neither what it is nor where it goes: {step}"
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text(step.text)
        return ""

    def run(self, command: list[str]) -> str:
        """What the command printed; fails with that when its exit code is not 0."""
        return run(command, self.path, self._env)

    def _console(self, line: str) -> str:
        words = line.removeprefix("$ ")
        if words == "make shell":
            return ""  # the shell's addresses are set for each `sh` block
        if words.startswith("make "):
            words = words.replace("make ", f"make {' '.join(_NOT_ANEW)} ", 1)
        self._install_contexts()
        before = self._migrations()
        output = self.run(["sh", "-euc", words])
        made = self._migrations() - before
        self._made = next(iter(made), self._made)
        return output

    def _migrations(self) -> set[Path]:
        return set(self.path.glob("contexts/*/atlas_*/migrations/*_*.py"))

    def _install_contexts(self) -> None:
        """What `make` does with a context that is new, without touching the environment that the copy shares."""
        for context in self.path.glob("contexts/*/pyproject.toml"):
            folder = context.parent
            if (ROOT / "contexts" / folder.name).exists() or folder.name in self._installed:
                continue
            self._installed.add(folder.name)
            install = [".venv/bin/uv", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
            self.run([*install, "--python", ".venv/bin/python", "--target", ".installed", "-e", str(folder)])

    def _write_migration(self, text: str) -> None:
        assert self._made is not None, "no command made a migration"
        head, _, _ = self._made.read_text().partition("def upgrade")
        self._made.write_text(head + text)

    @staticmethod
    def _edit(path: Path, diff: str) -> None:
        content, lines = path.read_text(), diff.splitlines()
        while lines:
            old = [lines.pop(0)[1:] for _ in _leading(lines, "-")]
            new = [lines.pop(0)[1:] for _ in _leading(lines, "+")]
            assert content.count("\n".join(old)) == 1, f"{path.name} has to have once: {old}"
            content = content.replace("\n".join(old), "\n".join(new))
        path.write_text(content)


def _leading(lines: list[str], sign: str) -> range:
    count = next((number for number, line in enumerate(lines) if not line.startswith(sign)), len(lines))
    assert count, f"expected a line that begins with {sign}: {lines[:1]}"
    return range(count)

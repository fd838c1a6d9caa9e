"""What is to be written, changed and deleted, all of it known before the first byte is."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from atlas_cli.terminal.output import CommandError


@dataclass
class Plan:
    """Files by their path below `root`. A new one must not be there; a changed one has all of its new text.

    `gone`: files and whole folders that are deleted.
    """

    root: Path
    new: dict[str, str] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    next_steps: list[str] = field(default_factory=list)

    def add(self, path: str, text: str) -> None:
        """A file to be written. Raises CommandError where something is."""
        if (self.root / path).exists():
            raise CommandError(f"{path} is there already")
        self.new[path] = text

    def change(self, path: str, text: str) -> None:
        """The whole new text of a file that is there; nothing where it is the old."""
        if (self.root / path).read_text() != text:
            self.changed[path] = text

    def remove(self, path: str) -> None:
        """A file or a folder with all that is in it."""
        if (self.root / path).exists():
            self.gone.append(path)

    def lines(self) -> Iterator[tuple[str, str]]:
        """What becomes of which path, for people."""
        yield from (("new", path) for path in self.new)
        yield from (("changed", path) for path in self.changed)
        yield from (("removed", path) for path in self.gone)

    def apply(self) -> None:
        """Do it. Where a write fails, what was written before is taken back; deletions come last."""
        with ExitStack() as undo:
            for path, text in self.new.items():
                self._make_folders(self.root / path, undo)
                undo.callback((self.root / path).unlink, missing_ok=True)
                (self.root / path).write_text(text)
            for path, text in self.changed.items():
                undo.callback(_writer(self.root / path))
                (self.root / path).write_text(text)
            undo.pop_all()
        for path in self.gone:
            full = self.root / path
            shutil.rmtree(full) if full.is_dir() else full.unlink()
            self._drop_empty(full.parent)

    def _make_folders(self, path: Path, undo: ExitStack) -> None:
        for folder in reversed(path.relative_to(self.root).parents):
            if not (self.root / folder).is_dir():
                (self.root / folder).mkdir()
                undo.callback((self.root / folder).rmdir)

    def _drop_empty(self, folder: Path) -> None:
        """A folder that holds nothing but what Python left there is no folder of git's."""
        while folder != self.root and folder.is_dir() and all(each.name == "__pycache__" for each in folder.iterdir()):
            shutil.rmtree(folder)
            folder = folder.parent


def _writer(path: Path) -> Callable[[], object]:
    before = path.read_bytes()
    return lambda: path.write_bytes(before)

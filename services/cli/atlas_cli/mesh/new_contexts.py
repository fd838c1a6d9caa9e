"""Contexts that are in the checkout and not installed yet: what `make up` does for them, for those who call atlas."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from atlas_cli.terminal.output import CommandError

_INSTALL_S = 120


def install(root: Path) -> list[str]:
    """Install the contexts of this checkout that are not; gives their names. Raises CommandError."""
    folders = missing(root)
    if folders:
        uv = Path(sys.executable).with_name("uv")
        if not uv.exists():
            raise CommandError(f"the context {folders[0].name} is not installed; install it: make up")
        command = [str(uv), "pip", "install", "--quiet", "--python", sys.executable, "--no-deps"]
        editable = [word for folder in folders for word in ("-e", str(folder))]
        done = subprocess.run(
            [*command, "--no-build-isolation", *editable],
            capture_output=True,
            text=True,
            timeout=_INSTALL_S,
            check=False,
        )
        if done.returncode != 0:
            names = ", ".join(each.name for each in folders)
            raise CommandError(f"these contexts could not be installed: {names}", done.stderr.splitlines())
    return [folder.name for folder in folders]


def missing(root: Path) -> list[Path]:
    """The contexts that are not installed, or have other parts since."""
    return [project.parent for project in sorted(root.glob("contexts/*/pyproject.toml")) if not _is_installed(project)]


def _is_installed(project: Path) -> bool:
    """Under its own name, with the entry points that its pyproject.toml has now."""
    try:
        found = distribution(f"atlas-{project.parent.name}")
    except PackageNotFoundError:
        return False
    text = project.read_text()
    return all(entry.value in text for entry in found.entry_points) and text.count("[project.entry-points.") == len(
        {entry.group for entry in found.entry_points}
    )

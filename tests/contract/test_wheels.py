"""Every lib, and the embedded mesh, is a wheel to use alone: typed, versioned, with a README whose example is true."""

import re
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]
LIBS = sorted(path.parent for path in ROOT.glob("libs/*/pyproject.toml"))
BUILT = [*LIBS, ROOT / "infra" / "local"]
EXAMPLE = re.compile(r"(?ms)^```python\n(.*?)^```")

by_lib = pytest.mark.parametrize("lib", BUILT, ids=lambda lib: lib.name)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each lib's wheel, by its directory's name; built as `make dist` does."""
    folder = tmp_path_factory.mktemp("dist")
    return {
        built.name: Path(next(WheelBuilder(str(built)).build(directory=str(folder), versions=["standard"])))
        for built in BUILT
    }


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as files:
        (name,) = [name for name in files.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(files.read(name).decode())


@by_lib
def test_a_wheel_says_what_it_is(lib: Path, wheels: dict[str, Path]) -> None:
    project: dict[str, Any] = tomllib.loads((lib / "pyproject.toml").read_text())["project"]
    metadata = metadata_of(wheels[lib.name])
    assert metadata["Name"] == f"atlas-{lib.name}"
    assert metadata["Version"] == project["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", metadata["Version"])
    assert metadata["Summary"] == project["description"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()).strip() == (lib / "README.md").read_text().strip()
    assert len(metadata.get_all("Requires-Dist") or []) == len(project.get("dependencies", [])) + sum(
        map(len, project.get("optional-dependencies", {}).values())
    )


@by_lib
def test_a_wheel_holds_every_module_and_is_typed(lib: Path, wheels: dict[str, Path]) -> None:
    with zipfile.ZipFile(wheels[lib.name]) as files:
        held = {name for name in files.namelist() if ".dist-info/" not in name}
    source = lib / f"atlas_{lib.name.replace('-', '_')}"
    kept = {path.relative_to(lib) for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert held == {str(path) for path in kept}
    assert f"{source.name}/py.typed" in held


@by_lib
def test_a_readme_says_what_it_is_shows_it_and_says_what_is_guaranteed(lib: Path) -> None:
    text = (lib / "README.md").read_text()
    assert re.findall(r"(?m)^#+ .*$", EXAMPLE.sub("", text)) == [
        f"# atlas-{lib.name}",
        "## Example",
        "## What is guaranteed",
    ]
    (example,) = EXAMPLE.findall(text)
    assert 5 <= len([line for line in example.splitlines() if line.strip()]) <= 10


@by_lib
def test_the_example_of_a_readme_runs(lib: Path) -> None:
    """What needs no server is done and holds; of the rest, all that it imports is there."""
    (example,) = EXAMPLE.findall((lib / "README.md").read_text())
    ran = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr


def test_a_lib_names_only_libs_among_what_it_needs_of_ours() -> None:
    """So it can be used without services, contexts and the embedded mesh."""
    ours = {f"atlas-{lib.name}" for lib in LIBS}
    for lib in LIBS:
        needed = tomllib.loads((lib / "pyproject.toml").read_text())["project"].get("dependencies", [])
        assert {name for name in needed if name.startswith("atlas-")} <= ours, lib.name

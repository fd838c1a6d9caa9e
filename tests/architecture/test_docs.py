"""What docs, alerts and docstrings tell a reader to type, to open or to set exists."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from atlas_cli.main import app

FENCED = re.compile(r"(?ms)^( *)```[^\n]*\n(.*?)^\1```")
SPAN = re.compile(r"`([^`\n]+)`")
# Where one command ends and another may begin.
BETWEEN = re.compile(r"[|;&\n]+|\$\(|\)|(?:^|\s)#[^\n]*")
LINK = re.compile(r"\]\(([^)\s]+)\)")
# "[`writer.py`](libs/…/writer.py) `Writer.write`": a module, and what is meant in it.
NAMED_IN = re.compile(r"\]\(([^)\s]+\.py)\) `([A-Za-z_][\w.]*)`")
PATH = re.compile(r"(?:contexts|docs|infra|libs|schemas|services|tests)/[\w./-]+")
SETTING = re.compile(r"ATLAS_[A-Z0-9_]*[A-Z0-9]\b(?!_)")
TARGET = re.compile(r"(?m)^([a-z-]+):")
# The modules of these are run by `make bench WHAT=…` and `make chaos WHAT=…`.
OF_A_MODULE = ("bench", "chaos")

Written = tuple[str, str]


@pytest.fixture(scope="module")
def pages(root: Path, tracked: list[Path]) -> dict[str, str]:
    """Every page of docs by its path."""
    found = {str(path.relative_to(root)): path.read_text() for path in tracked if path.suffix == ".md"}
    assert "README.md" in found
    return found


@pytest.fixture(scope="module")
def commands(root: Path, tracked: list[Path], pages: dict[str, str]) -> list[Written]:
    """Every command line that begins with `atlas` or `make`, with the file that it is in."""
    texts = {str(path.relative_to(root)): path.read_text() for path in tracked if path.suffix in {".py", ".yml"}}
    texts.pop(str(Path(__file__).relative_to(root)))
    code = [(where, piece) for where, text in {**texts, **pages}.items() for piece in SPAN.findall(text)]
    code += [(where, block) for where, text in pages.items() for _indent, block in FENCED.findall(text)]
    found = [(where, command) for where, piece in code for command in _commands(piece)]
    assert len(found) > 100, "too few: they are not found any more"
    return found


def _commands(code: str) -> Iterator[str]:
    for piece in BETWEEN.split(code):
        words = [word for word in piece.split(" ") if word not in {"", "$", "exec"}]
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        if words and words[0].rpartition("/")[2] in {"atlas", "make"}:
            yield " ".join([words[0].rpartition("/")[2], *words[1:]])


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # a quote that goes on in the next line
        return command.split()


def _fault_of_atlas(words: list[str]) -> str | None:
    """The first word that is no command, or no option of the command before it."""
    current = typer.main.get_command(app)
    for word in words:
        if word in {"--", "…"}:
            return None
        if word.startswith("-"):
            options = {name for each in current.params for name in (*each.opts, *each.secondary_opts)}
            if word.partition("=")[0] not in options | {"--help", "-h"}:
                return f"no option {word}"
        elif (inner := getattr(current, "commands", None)) is not None and re.fullmatch(r"[a-z-]+", word):
            if word not in inner:
                return f"no command {word}"
            current = inner[word]
    return None


def test_every_command_and_its_options_exist(commands: list[Written]) -> None:
    faults = []
    for where, command in commands:
        name, *words = _words(command)
        if name == "atlas" and (fault := _fault_of_atlas(words)):
            faults.append(f"{where}: `{command}`: {fault}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("lag --json", None),
        ("archive verify hauls.events --offline", None),
        ("db shell -- -c 'SELECT 1'", None),
        ("archive … --json", None),
        ("lags", "no command lags"),
        ("archive prove hauls.events", "no command prove"),
        ("rebuild hauls --verified", "no option --verified"),
    ],
)
def test_what_does_not_exist_is_named(command: str, fault: str | None) -> None:
    assert _fault_of_atlas(_words(command)) == fault


def test_every_target_of_make_exists(root: Path, commands: list[Written]) -> None:
    targets = set(TARGET.findall((root / "Makefile").read_text()))
    faults = []
    for where, command in commands:
        name, *words = _words(command)
        if name != "make":
            continue
        named = [word for word in words if re.fullmatch(r"[a-z-]+", word)]
        faults += [f"{where}: make {target}" for target in named if target not in targets]
        what = re.search(r"WHAT=(\w+)", command)
        if what and named[0] in OF_A_MODULE and not (root / "tests" / named[0] / f"{what[1]}.py").exists():
            faults.append(f"{where}: `{command}`: no module {what[1]}")
    assert not faults, "\n".join(faults)


def test_every_link_and_every_path_leads_somewhere(root: Path, pages: dict[str, str]) -> None:
    faults = []
    for where, text in pages.items():
        links = [link.partition("#")[0] for link in LINK.findall(text) if "://" not in link and link[0] != "#"]
        faults += [f"{where}: {link}" for link in links if not (root / where).parent.joinpath(link).exists()]
        paths = [span for span in SPAN.findall(FENCED.sub("", text)) if PATH.fullmatch(span)]
        faults += [f"{where}: {path}" for path in paths if not (root / path).exists()]
    assert not faults, "\n".join(faults)


def _defined(path: Path) -> set[str]:
    """What a module defines: functions, classes, constants, methods with and without their class."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
            names |= methods | {f"{node.name}.{method}" for method in methods}
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def test_what_is_named_beside_a_module_is_in_it(root: Path, pages: dict[str, str]) -> None:
    named = [(where, path, name) for where, text in pages.items() for path, name in NAMED_IN.findall(text)]
    assert named, "CONTRIBUTING names functions: they are not found"
    faults = [
        f"{where}: {path} has no {name}"
        for where, path, name in named
        if (module := (root / where).parent / path).exists() and name not in _defined(module)
    ]
    assert not faults, "\n".join(faults)


def test_every_setting_is_one(root: Path, pages: dict[str, str]) -> None:
    local = root / "infra" / "local" / "atlas_local"  # what `atlas env` shows beside the settings, and the mesh's place
    known = {
        name
        for file in (root / ".env.sample", local / "mesh.py", local / "home.py")
        for name in SETTING.findall(file.read_text())
    }
    named = {(where, name) for where, text in pages.items() for name in SETTING.findall(text)}
    assert not [f"{where}: {name}" for where, name in sorted(named) if name not in known]

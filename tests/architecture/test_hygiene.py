"""What must not be in the repository: paths of one machine, registries, unfinished work, prints, large files."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

TRACKED_MAX_BYTES = 2 * 1024 * 1024

# Put together here, so that this file does not find itself.
MACHINE = re.compile(
    r"/(home|Users)/[a-z]\w*/|(?<![\w.-])/({})/|/tmp/{}\b".format("|".join(("ro" + "ot", "wo" + "rk")), "d" + "ev")
)
REGISTRIES = re.compile(
    "|".join(
        re.escape(".".join(host))
        for host in (
            ("pypi", "org"),
            ("files", "pythonhosted", "org"),
            ("registry", "npmjs", "org"),
            ("repo1", "maven", "org"),
            ("repo", "maven", "apache", "org"),
            ("deb", "debian", "org"),
            ("proxy", "golang", "org"),
            ("crates", "io"),
        )
    )
)
UNFINISHED = re.compile(r"\b({})\b".format("|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"))))


def texts(tracked: list[Path]) -> list[tuple[Path, str]]:
    found = []
    for file in tracked:
        data = file.read_bytes()
        if b"\0" not in data:
            found.append((file, data.decode()))
    return found


def lines_with(pattern: re.Pattern[str], root: Path, tracked: list[Path]) -> str:
    return "\n".join(
        f"{file.relative_to(root)}:{number}: {line.strip()[:160]}"
        for file, text in texts(tracked)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    )


def test_no_path_of_one_machine(root: Path, tracked: list[Path]) -> None:
    assert not (found := lines_with(MACHINE, root, tracked)), found


def test_no_registry_is_named(root: Path, tracked: list[Path]) -> None:
    """Where packages come from is the machine's setting."""
    assert not (found := lines_with(REGISTRIES, root, tracked)), found


def test_nothing_is_left_unfinished(root: Path, tracked: list[Path]) -> None:
    assert not (found := lines_with(UNFINISHED, root, tracked)), found


def test_bandit_passes_over_nothing_that_it_would_not_find(root: Path, tracked: list[Path]) -> None:
    """It says so on standard error, and `make lint` would go on."""
    mark = "# no" + "sec"
    marked = [
        str(file)
        for file in tracked
        if file.suffix == ".py" and file.relative_to(root).parts[0] != "tests" and mark in file.read_text()
    ]
    assert marked
    bandit = [sys.executable, "-m", "bandit", "--quiet", "--configfile", "pyproject.toml", *marked]
    ran = subprocess.run(bandit, cwd=root, capture_output=True, text=True, check=False)
    assert "WARNING" not in ran.stderr, ran.stderr
    assert ran.returncode == 0, ran.stdout


def test_nothing_is_a_placeholder(sources: dict[str, ast.Module]) -> None:
    """`...` is the body of a protocol's method or of an overload; a body of any other function does something."""
    found = []
    for where, tree in sources.items():
        protocols = {
            id(method)
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)
            for method in node.body
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and "NotImplemented" in ast.unparse(node):
                found.append(f"{where}:{node.lineno}: {ast.unparse(node)}")
            if (
                not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                or id(node) in protocols
                or node.decorator_list
            ):
                continue
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            # A docstring alone is a body that says why it does nothing.
            if any(ast.unparse(statement) in {"...", "pass"} for statement in body):
                found.append(f"{where}:{node.lineno}: {node.name} does nothing")
    assert not found, "\n".join(found)


def test_only_the_cli_prints(sources: dict[str, ast.Module]) -> None:
    """A service logs; the CLI prints what it was asked for."""
    found = [
        f"{where}:{node.lineno}"
        for where, tree in sources.items()
        if not where.startswith("services/cli/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not found, "\n".join(found)


def test_no_file_is_large(root: Path, tracked: list[Path]) -> None:
    large = {
        str(file.relative_to(root)): file.stat().st_size for file in tracked if file.stat().st_size > TRACKED_MAX_BYTES
    }
    assert not large


def test_nothing_generated_is_tracked(root: Path, tracked: list[Path]) -> None:
    parts: dict[str, Any] = {str(file.relative_to(root)): set(file.relative_to(root).parts) for file in tracked}
    generated = {"__pycache__", ".atlas", ".venv", "dist", "build", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
    assert not [name for name, each in parts.items() if each & generated or name == ".env"]

"""One module of the CLI writes to the terminal, so that one place escapes what came from outside."""

import ast

ALLOWED = {
    "services/cli/atlas_cli/terminal/output.py": {"stdout", "stderr", "Console"},
    "services/cli/atlas_cli/main.py": {"stdout"},  # flushes it
    "services/cli/atlas_cli/terminal/faults.py": {"stdout", "stderr"},  # sets how they encode
}
# `isatty` asks a stream something and writes nothing.
ASKING = {"isatty"}
WRITES = {"stdout", "stderr", "Console", "print", "echo", "secho"}


def test_nothing_else_of_the_cli_writes_to_the_terminal(sources: dict[str, ast.Module]) -> None:
    found = []
    for where, tree in sources.items():
        if where.startswith("services/cli/"):
            allowed = ALLOWED.get(where, set())
            found += [f"{where}:{line} {name}" for line, name in _uses(tree) if name not in allowed]
    assert not found, "\n".join(found)


def _uses(tree: ast.Module) -> list[tuple[int, str]]:
    harmless = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in ASKING}
    uses = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and id(node) not in harmless:
            if node.value.id in {"sys", "typer"} and node.attr in WRITES:
                uses.append((node.lineno, node.attr))
        elif isinstance(node, ast.Name) and node.id in {"print", "Console"} and isinstance(node.ctx, ast.Load):
            uses.append((node.lineno, node.id))
    return uses

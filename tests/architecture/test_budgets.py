"""A module fits a few screens, a function one, and what a class inherits can be held in the head."""

import ast
from collections.abc import Iterator
from typing import Any

MODULE_LINES_MAX = 300
FUNCTION_LINES_MAX = 50
PARAMETERS_MAX = 6
# The attributes of a CloudEvent and the options of `atlas replay`, `atlas tail` and `atlas logs`, each given by name.
MANY_PARAMETERS = {"cloud_event_headers", "replay_topic", "tail", "logs"}
ANCESTORS_MAX = 2

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.Module) -> Iterator[Function]:
    """Every function and method, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def parameters(function: Function) -> list[str]:
    """The names of what a caller may pass; not self or cls."""
    arguments = function.args
    named = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    named = named[1:] if named[:1] in (["self"], ["cls"]) else named
    rest = [each.arg for each in (arguments.vararg, arguments.kwarg) if each is not None]
    return [*named, *(each.arg for each in arguments.kwonlyargs), *rest]


def test_a_module_has_at_most_300_lines(root: Any, sources: dict[str, ast.Module]) -> None:
    lines = {where: len((root / where).read_text().splitlines()) for where in sources}
    long = {where: count for where, count in lines.items() if count > MODULE_LINES_MAX}
    assert not long


def test_a_function_has_at_most_50_lines(sources: dict[str, ast.Module]) -> None:
    long = [
        f"{where}:{function.lineno} {function.name}: {function.end_lineno - function.lineno + 1}"
        for where, tree in sources.items()
        for function in functions(tree)
        if function.end_lineno is not None and function.end_lineno - function.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert not long, "\n".join(long)


def test_a_function_has_at_most_6_parameters(sources: dict[str, ast.Module]) -> None:
    many = [
        f"{where}:{function.lineno} {function.name}({', '.join(parameters(function))})"
        for where, tree in sources.items()
        for function in functions(tree)
        if len(parameters(function)) > PARAMETERS_MAX and function.name not in MANY_PARAMETERS
    ]
    assert not many, "\n".join(many)


def test_a_class_has_at_most_2_levels_of_our_ancestors(modules: list[Any]) -> None:
    bases = {
        (module.dotted, node.name): [_resolve(module, base) for base in node.bases]
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    }

    def depth(name: tuple[str, str]) -> int:
        return max((1 + depth(base) for base in bases[name] if base in bases), default=0)

    assert any(depth(name) > 0 for name in bases), "no class of ours has an ancestor of ours: the resolving is broken"
    deep = {".".join(name): depth(name) for name in bases if depth(name) > ANCESTORS_MAX}
    assert not deep


def _resolve(module: Any, base: ast.expr) -> tuple[str, str]:
    """Module and name of a base class, through `from … import … as …`; generics without their parameters."""
    while isinstance(base, ast.Subscript):
        base = base.value
    written = ast.unparse(base)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == written:
                    return node.module, alias.name
    head, _, name = written.rpartition(".")
    return head or module.dotted, name

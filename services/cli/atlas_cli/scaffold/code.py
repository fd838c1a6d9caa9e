"""Python that is written: imports in order, and text that stands as ruff would leave it."""

from collections.abc import Iterable

_STDLIB = ("datetime", "decimal", "json", "typing", "uuid")


def imports(wanted: Iterable[str], own: str = "") -> str:
    """The lines for names given as `module:name`: standard library, others, `own` package, each in order."""
    by_module: dict[str, set[str]] = {}
    for each in wanted:
        module, _, name = each.partition(":")
        by_module.setdefault(module, set()).add(name)
    groups: list[list[str]] = [[], [], []]
    for module in sorted(by_module):
        names = by_module[module]
        group = 0 if module in _STDLIB else 2 if own and module.split(".")[0] == own else 1
        groups[group].append(
            f"import {module}" if names == {""} else f"from {module} import {', '.join(sorted(names, key=_place))}"
        )
    return "\n\n".join("\n".join(sorted(group, key=_plain_first)) for group in groups if group)


def _place(name: str) -> tuple[int, str]:
    """isort's order: constants, classes, functions."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2, name)


def _plain_first(line: str) -> tuple[int, str]:
    return (0 if line.startswith("import ") else 1, line)


def docstring(text: str) -> str:
    """A sentence as the first line of a module, a class or a function holds it."""
    return f'"""{text[:1].upper()}{text[1:].rstrip(".")}."""'

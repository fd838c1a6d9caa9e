"""Python that is written: imports in order, and text that stands as ruff would leave it."""

from collections.abc import Iterable

_STDLIB = ("dataclasses", "datetime", "decimal", "typing", "uuid")


def imports(wanted: Iterable[str]) -> str:
    """The lines for names given as `module:name`: the standard library's, then others, each in order."""
    by_module: dict[str, set[str]] = {}
    for each in wanted:
        module, _, name = each.partition(":")
        by_module.setdefault(module, set()).add(name)
    groups: list[list[str]] = [[], []]
    for module in sorted(by_module):
        names = ", ".join(sorted(by_module[module], key=_place))
        groups[module not in _STDLIB].append(f"from {module} import {names}")
    return "\n\n".join("\n".join(group) for group in groups if group)


def _place(name: str) -> tuple[int, str]:
    """isort's order: constants, classes, functions."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2, name)


def docstring(text: str) -> str:
    """A sentence as the first line of a module, a class or a function holds it."""
    return f'"""{text[:1].upper()}{text[1:].rstrip(".")}."""'

"""What aiokafka does not promise is used in one place: its private parts, and modules that it does not document."""

import ast
from collections.abc import Iterator
from typing import Any

ADAPTER = "atlas_kafka.internals."
# The private parts of pools of connections, which are no Kafka's.
OF_POOLS = "atlas_runtime.pool_internals"
# What its documentation tells of.
PUBLIC = {
    "aiokafka",
    "aiokafka.abc",
    "aiokafka.admin",
    "aiokafka.admin.config_resource",
    "aiokafka.coordinator.assignors.range",
    "aiokafka.coordinator.assignors.roundrobin",
    "aiokafka.errors",
    "aiokafka.helpers",
    "aiokafka.structs",
}
# A named tuple's methods, which begin with an underscore so that no field can have their name.
NAMED_TUPLE = {"_asdict", "_fields", "_make", "_replace"}


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module


def _of_others(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Private attributes of anything but the class at hand: read, written, or named in getattr and the like."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and not _is_own(node.value):
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"getattr", "setattr", "hasattr", "delattr"}:
            name = node.args[1]
            if isinstance(name, ast.Constant) and _is_private(str(name.value)) and not _is_own(node.args[0]):
                yield node.lineno, ast.unparse(node)


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in NAMED_TUPLE


def _is_own(value: ast.expr) -> bool:
    return ast.unparse(value) in {"self", "cls", "super()", "os"}  # os._exit is public


def _elsewhere(modules: list[Any]) -> list[Any]:
    found = [module for module in modules if not module.dotted.startswith(ADAPTER)]
    assert len(found) < len(modules), f"no module below {ADAPTER}"
    return found


def _knows_kafka(package: Any) -> bool:
    return any(each.startswith(("aiokafka", "atlas-kafka")) for each in package.metadata["project"]["dependencies"])


def test_only_the_adapter_imports_what_aiokafka_does_not_document(modules: list[Any]) -> None:
    wrong = [
        f"{module.where}:{line}: {name}"
        for module in _elsewhere(modules)
        for line, name in _imported(module.tree)
        if name.partition(".")[0] == "aiokafka" and name not in PUBLIC
    ]
    assert not wrong, "these belong into atlas_kafka/internals:\n" + "\n".join(wrong)


def test_only_the_adapter_touches_private_parts(modules: list[Any]) -> None:
    """Of anything that is not the class at hand: so none of aiokafka's, under whatever name it comes.

    In every package that can know a consumer: the others declare neither aiokafka nor atlas-kafka.
    """
    near = [each for each in _elsewhere(modules) if _knows_kafka(each.package) and each.dotted != OF_POOLS]
    assert len({module.package.kebab for module in near}) >= 8
    wrong = [f"{module.where}:{line}: {what}" for module in near for line, what in _of_others(module.tree)]
    assert not wrong, "private parts of others:\n" + "\n".join(wrong)


def test_requests_are_made_in_one_place(modules: list[Any]) -> None:
    """A request or an answer of Kafka's protocol is declared below atlas_kafka/wire, whoever sends it."""
    makers = {
        module.dotted
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and {"API_KEY", "SCHEMA"} & set(_assigned(node))
    }
    assert makers
    assert not [name for name in makers if not name.startswith("atlas_kafka.wire.")]


def _assigned(node: ast.ClassDef) -> Iterator[str]:
    for line in node.body:
        if isinstance(line, ast.Assign):
            yield from (ast.unparse(target) for target in line.targets)


def test_the_rule_sees_what_it_is_for() -> None:
    lines = "consumer._client", "x.y._fetcher = 1", "getattr(a.b, '_sender')", "self._mine", "t._replace()", "x.y__z"
    seen = [what for line in lines for _, what in _of_others(ast.parse(line))]
    assert seen == ["consumer._client", "x.y._fetcher", "getattr(a.b, '_sender')"]


def test_aiokafka_is_bounded_wherever_it_is_declared(packages: list[Any], root: Any) -> None:
    declared = {
        package.kebab: each
        for package in packages
        for each in package.metadata["project"]["dependencies"]
        if each.startswith("aiokafka")
    }
    declared["requirements.in"] = next(
        line for line in (root / "requirements.in").read_text().splitlines() if line.startswith("aiokafka")
    )
    assert "kafka" in declared
    assert set(declared.values()) == {"aiokafka>=0.14,<0.15"}, declared

"""What `atlas new` added, taken out again: the tree is then as it was."""

import re
from pathlib import Path

from atlas_cli.scaffold import contexts, migrations, schemas
from atlas_cli.scaffold.naming import context_name, read_model_name, snake, type_name
from atlas_cli.scaffold.plan import Plan
from atlas_cli.terminal.output import CommandError


def remove_context(root: Path, name: str) -> Plan:
    """Plan the end of a context and of its events. Raises CommandError."""
    plan = Plan(root)
    context = context_name(name)
    contexts.require(root, context)
    events = schemas.without_events(plan, lambda event: event.startswith(f"{context}."))
    used = contexts.modules_naming(root, events, besides=[context])
    if used:
        raise CommandError(f"{', '.join(used)} names an event of {context}; take that out first")
    plan.remove(contexts.folder(context))
    return plan


def remove_event(root: Path, text: str) -> Plan:
    """Plan the end of an event that nothing handles and nothing emits. Raises CommandError."""
    plan = Plan(root)
    context, name = type_name(text, "an event", "bookings.SeatBooked")
    schemas.newest(root, f"{context}.{name}")
    if used := contexts.modules_naming(root, [f"{context}.{name}"]):
        raise CommandError(f"{', '.join(used)} names {context}.{name}; take that out first")
    schemas.without_events(plan, lambda event: event == f"{context}.{name}")
    return plan


def remove_command(root: Path, text: str) -> Plan:
    """Plan the end of a command, and of its migration where that is the context's last. Raises CommandError."""
    plan = Plan(root)
    context, name = type_name(text, "a command", "bookings.BookSeat")
    module = f"{contexts.package(context)}/commands/{snake(name)}.py"
    if not (root / module).is_file():
        raise CommandError(f"there is no command {text}: {module} is not there")
    text_of = (root / module).read_text()
    entity = re.search(r'Entity\("([a-z0-9_]+)"', text_of)
    name_of_migration = snake(name)
    if entity and f"_{entity[1].upper()}.create(" in text_of:
        others = [
            path.name for path in _commands(root, context) if entity[0] in path.read_text() and path.stem != snake(name)
        ]
        if others:
            raise CommandError(f"{', '.join(others)} changes what {text} makes; take that out first")
        name_of_migration = entity[1]
    for path in migrations.of_command(root, context, name_of_migration):
        if path != migrations.last(root, context):
            raise CommandError(f"{path} was written with it, and later ones follow; take those commands out first")
        plan.remove(path)
    plan.remove(module)
    plan.remove(f"{contexts.folder(context)}/tests/commands/test_{snake(name)}.py")
    return plan


def remove_projection(root: Path, text: str) -> Plan:
    """Plan the end of a projection. Raises CommandError."""
    plan = Plan(root)
    context, name = read_model_name(text)
    module = f"{contexts.package(context)}/projections/{name}.py"
    if not (root / module).is_file():
        raise CommandError(f"there is no projection {text}: {module} is not there")
    plan.remove(module)
    plan.remove(f"{contexts.folder(context)}/tests/projections/test_{name}.py")
    return plan


def _commands(root: Path, context: str) -> list[Path]:
    return sorted((root / contexts.package(context) / "commands").glob("*.py"))

"""A new event: its schema, its id and its topic."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atlas_contracts.topics import Source

from atlas_cli.scaffold import schemas
from atlas_cli.scaffold.contexts import require
from atlas_cli.scaffold.fields import fields
from atlas_cli.scaffold.naming import type_name, words
from atlas_cli.scaffold.plan import Plan
from atlas_cli.terminal.output import CommandError


@dataclass(frozen=True, slots=True)
class Wanted:
    """An event as it is asked for: `text` is CONTEXT.Name; what is empty is found out."""

    text: str
    fields: Sequence[str]
    topic: str = ""
    anybody: bool = False


def new_event(root: Path, wanted: Wanted) -> Plan:
    """Plan it: on `<context>.events`, with its first field as the key, unless said otherwise. Raises CommandError."""
    plan = Plan(root)
    context, name = type_name(wanted.text, "an event", "bookings.SeatBooked")
    require(root, context)
    found = fields(wanted.fields)
    if not found:
        raise CommandError("an event has fields; say each as name:type, the record's key first")
    key = found[0]
    if key.optional or key.many:
        raise CommandError(f"the first field is the record's key, so {key.name} is one value, and always there")
    schemas.with_event(
        plan,
        f"{context}.{name}",
        found,
        doc=f"{' '.join(words(name)).capitalize()}.",
        topic=wanted.topic or f"{context}.events",
        on=schemas.On(key.name, Source.ANY if wanted.anybody else Source.OUTBOX),
    )
    plan.next_steps = [f"atlas new projection {context}.NAME --of {name}"]
    if not wanted.anybody:
        plan.next_steps.insert(0, f"atlas new command {context}.NAME --emits {name}")
    return plan

"""A new event: its schema, its id and its topic."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atlas_contracts.topics import Source

from atlas_cli.output import CommandError
from atlas_cli.scaffold import schemas
from atlas_cli.scaffold.contexts import require
from atlas_cli.scaffold.fields import fields
from atlas_cli.scaffold.naming import type_name, words
from atlas_cli.scaffold.plan import Plan


@dataclass(frozen=True, slots=True)
class Wanted:
    """An event as it is asked for: `text` is CONTEXT.Name; what is empty is found out."""

    text: str
    fields: Sequence[str]
    doc: str = ""
    topic: str = ""
    key: str = ""
    anybody: bool = False


def new_event(root: Path, wanted: Wanted) -> Plan:
    """Plan it: on `<context>.events`, with its first field as the key, unless said otherwise. Raises CommandError."""
    plan = Plan(root)
    context, name = type_name(wanted.text, "an event", "bookings.SeatBooked")
    require(root, context)
    found = fields(wanted.fields)
    if not found:
        raise CommandError("an event has fields; say each as name:type, the record's key first")
    key = wanted.key or found[0].name
    if not any(each.name == key and not each.optional for each in found):
        raise CommandError(f"the key {key} is none of the fields that are always there")
    schemas.with_event(
        plan,
        f"{context}.{name}",
        found,
        doc=wanted.doc or f"{' '.join(words(name)).capitalize()}.",
        topic=wanted.topic or f"{context}.events",
        on=schemas.On(key, Source.ANY if wanted.anybody else Source.OUTBOX),
    )
    plan.next_steps = [f"atlas new projection {context}.NAME --of {name}"]
    if not wanted.anybody:
        plan.next_steps.insert(0, f"atlas new command {context}.NAME --emits {name}")
    return plan

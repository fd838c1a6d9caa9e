"""`atlas new` and `atlas remove`: contexts, events, commands and projections, written and taken out again."""

from typing import TYPE_CHECKING, Annotated

import typer

from atlas_cli.terminal.help_groups import YOURS
from atlas_cli.terminal.help_groups import add as add_command
from atlas_cli.terminal.output import CommandError, JsonFlag, YesFlag, confirm, print_json, say

if TYPE_CHECKING:
    from atlas_cli.scaffold.plan import Plan

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")]
_EVENT_TEXT = "CONTEXT.Name, like bookings.SeatBooked"


def register(parent: typer.Typer) -> None:
    """Add both groups."""
    new = typer.Typer(
        help="Write the first lines of a context, an event, a command, a projection.", no_args_is_help=True
    )
    add_command(new, context, "atlas new context bookings")
    add_command(new, event, "atlas new event bookings.SeatBooked booking_id:uuid seat:string booked_at:timestamp")
    add_command(new, command, "atlas new command bookings.BookSeat --emits SeatBooked")
    add_command(new, projection, "atlas new projection bookings.bookings --of SeatBooked --filter seat")
    parent.add_typer(new, name="new", rich_help_panel=YOURS)
    gone = typer.Typer(help="Take out what `atlas new` wrote.", no_args_is_help=True)
    add_command(gone, remove_context, "atlas remove context bookings", name="context")
    add_command(gone, remove_event, "atlas remove event bookings.SeatBooked", name="event")
    add_command(gone, remove_command, "atlas remove command bookings.BookSeat", name="command")
    add_command(gone, remove_projection, "atlas remove projection bookings.bookings", name="projection")
    parent.add_typer(gone, name="remove", rich_help_panel=YOURS)
    add_command(parent, mine, "atlas mine acme", group=YOURS)


def context(
    name: Annotated[str, typer.Argument(help="In lower case, like bookings.")],
    doc: Annotated[str, typer.Option(help="What it is about, in a sentence.")] = "",
    dry_run: DryRun = False,
    as_json: JsonFlag = False,
) -> None:
    """Begin a bounded context: a package of its own, which the services find by themselves."""
    from atlas_local.home import ROOT

    from atlas_cli.scaffold.contexts import new_context

    _write(new_context(ROOT, name, doc or f"The context {name}."), dry_run=dry_run, as_json=as_json)


def event(
    text: Annotated[str, typer.Argument(metavar="TYPE", help=f"{_EVENT_TEXT}.")],
    fields: Annotated[
        list[str] | None, typer.Argument(metavar="FIELD:TYPE…", help="seat:string price:decimal(9,2) note:string?")
    ] = None,
    topic: Annotated[str, typer.Option(help="By default CONTEXT.events, which is made when it is not there.")] = "",
    anybody: Annotated[bool, typer.Option("--anybody", help="Anybody may post it; otherwise commands alone.")] = False,
    dry_run: DryRun = False,
    as_json: JsonFlag = False,
) -> None:
    """Begin an event: its schema, its id, its topic. The first field is the record's key."""
    from atlas_local.home import ROOT

    from atlas_cli.scaffold.events import Wanted, new_event

    said = list(fields or ()) or _asked_fields()
    wanted = Wanted(text, said, topic=topic, anybody=anybody)
    _write(new_event(ROOT, wanted), dry_run=dry_run, as_json=as_json)


def command(
    text: Annotated[str, typer.Argument(metavar="NAME", help="CONTEXT.Name, like bookings.BookSeat.")],
    emits: Annotated[str, typer.Option(metavar="EVENT", help="The event that tells of it.")] = "",
    changes: Annotated[
        bool, typer.Option("--changes", help="It changes an entity that is there; otherwise it makes one.")
    ] = False,
    entity: Annotated[str, typer.Option(help="In the singular; by default what the key is of: booking_id.")] = "",
    dry_run: DryRun = False,
    as_json: JsonFlag = False,
) -> None:
    """Begin a command: POST with its body, state and event in one transaction, a migration and a test."""
    from atlas_local.home import ROOT

    from atlas_cli.scaffold.commands import Wanted, new_command

    emitted = emits or _asked("--emits", "Which event tells of it")
    _write(new_command(ROOT, Wanted(text, emitted, changes, entity)), dry_run=dry_run, as_json=as_json)


def projection(
    text: Annotated[str, typer.Argument(metavar="NAME", help="CONTEXT.name, like bookings.bookings.")],
    of: Annotated[
        list[str] | None, typer.Option(metavar="EVENT", help="The first makes a row, the others change it.")
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option("--filter", metavar="FIELD", help="The list can be asked for these; repeat it.")
    ] = None,
    path: Annotated[str, typer.Option(help="Where it is read; by default /NAME.")] = "",
    dry_run: DryRun = False,
    as_json: JsonFlag = False,
) -> None:
    """Begin a projection: a table, handlers, GET of one row and of a list, a test."""
    from atlas_local.home import ROOT

    from atlas_cli.scaffold.projections import Wanted, new_projection

    events = tuple(of or ()) or (_asked("--of", "Of which event"),)
    wanted = Wanted(text, events, tuple(by or ()), path)
    _write(new_projection(ROOT, wanted), dry_run=dry_run, as_json=as_json)


def remove_context(
    name: Annotated[str, typer.Argument(help="Its name.")],
    dry_run: DryRun = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Take a context out: its package, its schemas with their ids, its topics in topics.yaml."""
    from atlas_local.home import ROOT

    from atlas_cli.scaffold import removal

    _remove(removal.remove_context(ROOT, name), yes=yes, dry_run=dry_run, as_json=as_json)


def remove_event(
    text: Annotated[str, typer.Argument(metavar="TYPE", help=f"{_EVENT_TEXT}.")],
    dry_run: DryRun = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Take out an event that was never released, and its topic where that has no other."""
    from atlas_local.home import ROOT

    from atlas_cli.scaffold import removal

    _remove(removal.remove_event(ROOT, text), yes=yes, dry_run=dry_run, as_json=as_json)


def remove_command(
    text: Annotated[str, typer.Argument(metavar="NAME", help="CONTEXT.Name.")],
    dry_run: DryRun = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Take out a command, its test, and its migration, which was never released."""
    from atlas_local.home import ROOT

    from atlas_cli.scaffold import removal

    _remove(removal.remove_command(ROOT, text), yes=yes, dry_run=dry_run, as_json=as_json)


def remove_projection(
    text: Annotated[str, typer.Argument(metavar="NAME", help="CONTEXT.name.")],
    dry_run: DryRun = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Take out a projection and its test."""
    from atlas_local.home import ROOT

    from atlas_cli.scaffold import removal

    _remove(removal.remove_projection(ROOT, text), yes=yes, dry_run=dry_run, as_json=as_json)


def mine(
    name: Annotated[str, typer.Argument(help="What the product is called; its first context gets the name.")],
    dry_run: DryRun = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Make this repository your own: the samples go, a small context and a README of yours are there instead.

    May be repeated, as after the merge of a next version of Atlas, which brings its samples along.
    """
    from atlas_local.home import ROOT

    from atlas_cli.scaffold.mine import first_context, is_mine, without_samples

    begins = [] if is_mine(ROOT) else first_context(ROOT, name)
    plans = [without_samples(ROOT, name)]
    if not as_json or not (yes or dry_run):
        _print(plans[0])
    if not dry_run:
        confirm("Do all of this?", yes=yes)
        plans[0].apply()
        for begin in begins:
            plans.append(begin())
            plans[-1].apply()
            if not as_json:
                _print(plans[-1])
    steps = ["git add --all && git commit -m 'Ours'", "make up", "atlas demo"]
    if as_json:
        print_json({"dry_run": dry_run, "paths": [path for plan in plans for path in _paths(plan)], "next": steps})
    elif not dry_run:
        say("next:")
        for step in steps:
            say(f"  {step}")


def _write(plan: "Plan", *, dry_run: bool, as_json: bool) -> None:
    if not dry_run:
        plan.apply()
    if as_json:
        print_json({"dry_run": dry_run, "paths": _paths(plan), "next": plan.next_steps})
        return
    _print(plan)
    if not dry_run and plan.next_steps:
        say("next:")
        for step in plan.next_steps:
            say(f"  {step}")


def _remove(plan: "Plan", *, yes: bool, dry_run: bool, as_json: bool) -> None:
    if not as_json or not (yes or dry_run):
        _print(plan)
    if not dry_run:
        confirm("Remove all of this?", yes=yes)
        plan.apply()
    if as_json:
        print_json({"dry_run": dry_run, "paths": _paths(plan)})


def _print(plan: "Plan") -> None:
    for what, path in plan.lines():
        say(f"{what:8}{path}")


def _paths(plan: "Plan") -> list[dict[str, str]]:
    return [{"path": path, "what": what} for what, path in plan.lines()]


def _asked_fields() -> list[str]:
    """Of a person at a terminal, until an empty line."""
    found: list[str] = []
    while answer := _asked(
        "FIELD:TYPE", "Next field, name:type (empty: that was all)" if found else "Key field, name:uuid"
    ):
        found.append(answer)
    return found


def _asked(what: str, question: str) -> str:
    """The answer of a person at a terminal; CommandError where there is none."""
    import sys

    if not sys.stdin.isatty():
        raise CommandError(f"{what} is missing")
    answer: str = typer.prompt(question, default="", show_default=False, err=True)
    return answer.strip()

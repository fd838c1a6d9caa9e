"""`atlas ledger`: what became of each record. Asks the servers themselves, not a service."""

import asyncio
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas_cli.settings import CliSettings, load_settings
from atlas_cli.terminal.completing import topics as known_topics
from atlas_cli.terminal.help_groups import OPERATE, add
from atlas_cli.terminal.output import CommandError, JsonFlag, print_json, print_rows, say

if TYPE_CHECKING:
    from atlas_ledger.audit import Ledger
    from atlas_ledger.lines import Line

RUNBOOK = "docs/runbooks/a-record-is-unaccounted-for.md"
# What of a line goes first where the terminal is narrow.
SPARE_COLUMNS = ("offsets", "aside")
_TOLD = 10


def register(parent: typer.Typer) -> None:
    """Add the command."""
    add(parent, ledger, "atlas ledger", "atlas ledger --topic bookings.events --partitions", group=OPERATE)


def ledger(
    topic: Annotated[str | None, typer.Option(help="Only this topic.", autocompletion=known_topics)] = None,
    partitions: Annotated[bool, typer.Option("--partitions", help="A row for each partition.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """What became of each record: outbox = topic = archive = projected + set aside, or it is unaccounted for.

    A row is a topic and who reads it, worst first. `handled` are records archived or projected; `aside` those that are
    dead-lettered, dropped, skipped, or wait for others; `in flight` those still to come, with ≤ where only offsets were
    counted. `unaccounted` is 0, or something is lost: then the exit code is 1. `unproven` could not be counted yet, for
    it lies between two counts: look again when less is in flight.
    """
    settings = load_settings()
    found = asyncio.run(_take(settings, topic))
    if as_json:
        print_json(as_document(found))
    else:
        rows = [_row([line]) | {"partition": line.partition} for line in found.lines] if partitions else summed(found)
        print_rows(rows, as_json=False, empty="no topic has a record", spare=SPARE_COLUMNS)
        for each in found.outbox:
            say(f"outbox, {each.topic}: {each.waiting} rows wait since {each.oldest_s:.0f} s, {each.parked} are parked")
        _tell_reasons(found.lines)
    if found.unaccounted:
        raise CommandError(f"{found.unaccounted} records are unaccounted for; {RUNBOOK}")


def as_document(found: "Ledger") -> dict[str, Any]:
    """All of it, as JSON has it."""
    return {
        "taken_at_ms": found.taken_at,
        "unaccounted": found.unaccounted,
        "lines": [line.as_json() for line in found.lines],
        "outbox": [rows.as_json() for rows in found.outbox],
    }


def summed(found: "Ledger") -> list[dict[str, Any]]:
    """A row for each topic and group, in the order of their worst partitions."""
    of: dict[tuple[str, str], list[Line]] = {}
    for line in found.lines:
        of.setdefault((line.topic, line.group), []).append(line)
    return [_row(lines) for lines in of.values()]


def _row(lines: "Collection[Line]") -> dict[str, Any]:
    first = next(iter(lines))
    outcomes = [line.outcomes for line in lines]
    in_flight = sum(line.in_flight for line in lines)
    exact = all(line.in_flight_exact for line in lines)
    return {
        "topic": first.topic,
        "group": first.group,
        "offsets": sum(line.end for line in lines),
        "handled": _total(outcomes, ("archived", "projected")),
        "aside": _total(outcomes, ("dead_lettered", "dropped", "skipped", "waiting")),
        "in_flight": in_flight if exact else f"≤{in_flight}",
        "unproven": sum(line.unproven for line in lines),
        "unaccounted": sum(line.unaccounted for line in lines),
    }


def _total(outcomes: "Iterable[Any]", names: Collection[str]) -> int:
    return sum(of.get(name, 0) for of in outcomes for name in names)


def _tell_reasons(lines: "Collection[Line]") -> None:
    wrong = [line for line in lines if line.unaccounted]
    for line in wrong[:_TOLD]:
        say(f"{line.topic}/{line.partition}, {line.group}: {line.reason}", err=True)
    if len(wrong) > _TOLD:
        say(f"and {len(wrong) - _TOLD} more partitions", err=True)


async def _take(settings: CliSettings, topic: str | None) -> "Ledger":
    from atlas_contracts.canary import carriers
    from atlas_ledger.audit import Sources, open_auditor

    from atlas_cli.connect import load_registry
    from atlas_cli.terminal.faults import hush_structlog

    declared = load_registry(settings).topics
    sources = Sources(
        brokers=settings.kafka_brokers,
        state_dsn=settings.postgres_dsn.get_secret_value(),
        readmodel_dsn=settings.readmodel_dsn.get_secret_value(),
        archive=settings.s3_address(),
        excluded=settings.not_archived,
    )
    hush_structlog()
    async with open_auditor(sources) as auditor:
        if topic is not None and topic not in declared:
            raise CommandError(f"{topic} is no declared topic; `atlas topics ls` shows them")
        # Of canaries no account is kept: those in the archive are given up.
        return await auditor.take([topic] if topic else sorted(declared.keys() - carriers(declared.values())))

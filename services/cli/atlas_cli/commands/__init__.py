"""One module a group of commands; each has register(app), listed here in the order that `atlas --help` shows them."""

from collections.abc import Callable

import typer

from atlas_cli.commands.archive import batch, replay, segments
from atlas_cli.commands.events import outbox, produce, tail, topics
from atlas_cli.commands.mesh import demo, logs, parts, scaffold, seed
from atlas_cli.commands.operate import database, flags, groups, health, ledger, metrics, schemas, transactions
from atlas_cli.commands.read_models import compare, dlq, projections, retire

COMMANDS: tuple[Callable[[typer.Typer], None], ...] = (
    parts.register,
    logs.register,
    demo.register,
    seed.register,
    scaffold.register,
    produce.register,
    tail.register,
    topics.register,
    outbox.register,
    projections.register,
    retire.register,
    compare.register,
    dlq.register,
    segments.register,
    replay.register,
    batch.register,
    schemas.register,
    health.register,
    groups.register,
    ledger.register,
    metrics.register,
    flags.register,
    transactions.register,
    database.register,
)

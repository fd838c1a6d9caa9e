"""One module a group of commands; each has register(app), listed here in the order that `atlas --help` shows them."""

from collections.abc import Callable

import typer

from atlas_cli.commands import (
    archive,
    batch,
    compare,
    database,
    demo,
    dlq,
    flags,
    health,
    mesh,
    metrics,
    outbox,
    produce,
    projections,
    replay,
    retire,
    scaffold,
    schemas,
    seed,
    tail,
    topics,
    transactions,
)

COMMANDS: tuple[Callable[[typer.Typer], None], ...] = (
    mesh.register,
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
    archive.register,
    replay.register,
    batch.register,
    schemas.register,
    health.register,
    metrics.register,
    flags.register,
    transactions.register,
    database.register,
)

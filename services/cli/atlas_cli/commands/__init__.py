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
    health,
    mesh,
    metrics,
    outbox,
    produce,
    projections,
    replay,
    schemas,
    seed,
    tail,
    topics,
    transactions,
)

COMMANDS: tuple[Callable[[typer.Typer], None], ...] = (
    mesh.register,
    demo.register,
    produce.register,
    tail.register,
    topics.register,
    schemas.register,
    outbox.register,
    projections.register,
    compare.register,
    dlq.register,
    archive.register,
    replay.register,
    batch.register,
    health.register,
    transactions.register,
    metrics.register,
    database.register,
    seed.register,
)

"""`atlas retire`: what a projection that is no longer declared has left in databases and in Kafka."""

import asyncio
from typing import Annotated

import typer

from atlas_cli.settings import CliSettings, load_settings
from atlas_cli.terminal.help_groups import READ_MODELS, add
from atlas_cli.terminal.output import CommandError, JsonFlag, YesFlag, confirm, print_json, say


def register(app: typer.Typer) -> None:
    """Add `retire`."""
    add(app, retire, "atlas retire bookings", group=READ_MODELS)


def retire(
    name: Annotated[str, typer.Argument(help="The read model; no context may declare it any more.")],
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Remove a read model whose projection is gone: its tables, what waits, its positions, its consumer group."""
    from atlas_runtime import contexts

    for context, projections in contexts.offered(contexts.PROJECTIONS).items():
        if any(projection.name == name for projection in projections):
            raise CommandError(f"{context} declares {name}; first: atlas remove projection {context}.{name}, atlas up")
    confirm(f"Remove the read model {name} with its rows, what waits of it and its consumer group?", yes=yes)
    group, removed = asyncio.run(_retire(load_settings(), name))
    if not group and not removed:
        raise CommandError(f"there is no read model {name}")
    if as_json:
        print_json({"group": group, "removed": removed})
        return
    say(f"{name}: {'the consumer group and ' if group else ''}{len(removed)} tables and keys are gone")


async def _retire(settings: CliSettings, name: str) -> tuple[bool, list[str]]:
    from aiokafka.errors import NonEmptyGroup
    from atlas_kafka.cluster.admin import open_admin
    from atlas_kafka.cluster.groups import delete_group
    from atlas_readmodel.stores import open_stores

    from atlas_cli.connect import kafka_reader

    group = f"projector.{name}"
    # The reader says that nobody answers; an admin would wait for that.
    async with kafka_reader(settings), open_admin(settings.kafka_brokers, "atlas-cli") as admin:
        try:
            deleted = await delete_group(admin, group)
        except NonEmptyGroup:
            raise CommandError(f"a projector still runs {name}; have it take over what is declared: atlas up") from None
    dsn = settings.readmodel_dsn.get_secret_value()
    async with open_stores(dsn, settings.redis_url, settings.redis_namespace, max_size=2) as stores:
        return deleted, await stores.retire(name)

"""atlas seed: a little real data, to have something to look at."""

from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated

import typer

from atlas_cli.help_groups import MESH, add
from atlas_cli.output import JsonFlag, print_json, say
from atlas_cli.settings import load_settings

if TYPE_CHECKING:
    from atlas_cli.demo.load import Progress


def register(app: typer.Typer) -> None:
    """Add `seed`."""
    add(app, seed, "atlas seed", "atlas seed --users 10 --flights 100", group=MESH)


def seed(
    users: Annotated[int, typer.Option(min=0, max=50_000, help="How many users to register.")] = 50,
    flights: Annotated[int, typer.Option(min=0, help="How many of the first flights of 2013 to post.")] = 2_000,
    as_json: JsonFlag = False,
) -> None:
    """Register some users and post some flights, with all airlines and airports, through the running mesh."""
    import asyncio

    gateway = load_settings().gateway_url
    progress = asyncio.run(_load(gateway, users, flights))
    if as_json:
        print_json({"users": progress.users, "events": progress.events})
    else:
        counts = [f"{progress.users} users", *(f"{count} on {topic}" for topic, count in progress.events.items())]
        say(", ".join(counts))


async def _load(gateway: str, users: int, flights: int) -> "Progress":
    import asyncio

    import aiohttp

    from atlas_cli import flights_data
    from atlas_cli.demo.load import Progress, post_events, register_users

    progress = Progress()
    reference = chain(flights_data.airlines(), flights_data.airports())
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        group.create_task(register_users(session, gateway, users, progress))
        group.create_task(post_events(session, gateway, "flights.reference", reference, progress))
        some = islice(flights_data.flights(), flights)
        group.create_task(post_events(session, gateway, "flights.events", some, progress))
    return progress

"""atlas seed: a little of what each context has to show, to have something to look at."""

from typing import TYPE_CHECKING, Annotated

import typer

from atlas_cli.settings import load_settings
from atlas_cli.terminal.help_groups import MESH, add
from atlas_cli.terminal.output import JsonFlag, print_json, say

if TYPE_CHECKING:
    from atlas_cli.demo.chosen import Demos
    from atlas_cli.demo.load import Progress


def register(app: typer.Typer) -> None:
    """Add `seed`."""
    add(app, seed, "atlas seed", "atlas seed --json", group=MESH)


def seed(
    sizes: Annotated[
        list[str] | None,
        typer.Option("--size", metavar="CONTEXT=N", help="How much of a context, like bookings=20; may be repeated."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Send a little of what each context has to show through the running mesh; ATLAS_CONTEXTS chooses contexts."""
    import asyncio

    from atlas_cli.demo.chosen import chosen, places, say_what_to_do

    settings = load_settings()
    demos = chosen(settings, sizes or (), lambda demo: demo.seed_size)
    if not demos:
        say_what_to_do(settings, as_json=as_json)
        return
    gateway = settings.gateway_url.rstrip("/")
    progress = asyncio.run(_load(gateway, demos))
    look = places(gateway, demos)
    if as_json:
        print_json({"contexts": {name: demo.size for name, demo in demos.items()}, "sent": progress.sent, "look": look})
        return
    say(", ".join(f"{count:,} to {topic}" for topic, count in sorted(progress.sent.items())))
    for url in look:
        say(f"look at {url}")


async def _load(gateway: str, demos: "Demos") -> "Progress":
    import asyncio

    import aiohttp

    from atlas_cli.demo.load import HttpGateway, Progress, loading

    progress = Progress()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for demo in demos.values():
            for load in loading(HttpGateway(session, gateway), demo, progress):
                group.create_task(load)
    return progress

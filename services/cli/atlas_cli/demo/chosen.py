"""Which contexts show something, and how much of it: what `atlas demo` and `atlas seed` begin with."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import aiohttp
from atlas_runtime import contexts
from atlas_runtime.demo import Demo

from atlas_cli.settings import CliSettings
from atlas_cli.terminal.output import CommandError, print_json, say

Demos = Mapping[str, Demo]

# What to do where no context shows anything yet.
NEXT = (
    "atlas new context NAME",
    "atlas new event NAME.SomethingHappened thing_id:uuid happened_at:timestamp",
    "docs/runbooks/add-an-event-a-command-and-a-projection.md goes on from there",
)


def chosen(settings: CliSettings, sizes: Sequence[str], usual: Callable[[type[Demo]], int]) -> Demos:
    """A run of each context's demo, of those in ATLAS_CONTEXTS; `usual` is the size where `sizes` says none.

    Raises CommandError for a size that is no CONTEXT=N, or of a context without a demo.
    """
    classes: dict[str, type[Demo]] = contexts.offered(contexts.DEMO, settings.contexts)
    asked = dict(_size(text) for text in sizes)
    if unknown := sorted(asked.keys() - classes.keys()):
        raise CommandError(f"no context {', '.join(unknown)} has a demo; there are: {', '.join(classes) or 'none'}")
    return {name: of_context(asked.get(name, usual(of_context))) for name, of_context in classes.items()}


def _size(text: str) -> tuple[str, int]:
    name, _, size = text.partition("=")
    if not name or not size.isdecimal() or not 1 <= int(size) <= 10_000_000:
        raise CommandError(f"--size {text}: not CONTEXT=N, with N from 1 to 10,000,000")
    return name, int(size)


def places(gateway: str, demos: Demos) -> list[str]:
    """Where a person can look at what the demos sent."""
    return [f"{gateway}{path}" for demo in demos.values() for path in demo.look]


def say_what_to_do(settings: CliSettings, *, as_json: bool) -> None:
    """What to say instead of a demo where no context has one. Raises CommandError when the mesh is not up."""
    asyncio.run(_wait_for(settings))
    if as_json:
        print_json({"contexts": {}, "mismatches": 0, "next": NEXT})
        return
    say("The mesh is up. No context shows anything yet; begin with your own:")
    for line in NEXT:
        say(f"  {line}")


async def _wait_for(settings: CliSettings) -> None:
    # Here, as an image that seeds a mesh has no atlas_local.
    from atlas_cli.demo.ready import require_ready, services_of

    async with aiohttp.ClientSession() as session:
        await require_ready(session, services_of(settings))

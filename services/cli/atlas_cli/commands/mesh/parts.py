"""The mesh on this machine: up, down, status, env, and start, stop, restart of one part."""

import asyncio
from typing import Annotated

import typer

from atlas_cli.terminal import completing
from atlas_cli.terminal.help_groups import MESH, add
from atlas_cli.terminal.output import CommandError, JsonFlag, YesFlag, confirm, print_json, say

Part = Annotated[
    str,
    typer.Argument(help="A part of the mesh, as `atlas status` names it.", autocompletion=completing.parts),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", help="A part with all it needs, or `servers`, or `services`; may be repeated."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add(app, up, "atlas up", "atlas up --only gateway", group=MESH)
    add(app, dev, "atlas dev", group=MESH)
    add(app, down, "atlas down", "atlas down --purge --yes", group=MESH)
    add(app, status, "atlas status", group=MESH)
    add(app, env, 'eval "$(atlas env)"', "atlas env ATLAS_GATEWAY_URL", group=MESH)
    add(app, start, "atlas start relay", group=MESH)
    add(app, stop, "atlas stop relay", group=MESH)
    add(app, restart, "atlas restart projector", group=MESH)


def up(
    only: Only = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay, and stop the mesh on Ctrl-C.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Start the mesh and return when all of it is ready; one that runs already is found and completed."""
    from atlas_local.home import Home

    from atlas_cli.mesh.mesh_up import bring_up, run_in_foreground

    home, names = Home.find(), tuple(only or ())
    if foreground:
        run_in_foreground(home, names, as_json=as_json)
    else:
        asyncio.run(bring_up(home, names, as_json=as_json))


def dev(as_json: JsonFlag = False) -> None:
    """Start the mesh, and have each change of a context or a schema run in it as soon as it is saved."""
    from atlas_local.home import Home

    from atlas_cli.mesh.mesh_up import develop

    asyncio.run(develop(Home.find(), as_json=as_json))


def down(
    purge: Annotated[bool, typer.Option("--purge", help="Also delete all data, logs and secrets.")] = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Stop the mesh; no process is left, also when its supervisor was killed."""
    from atlas_local.home import Home

    from atlas_cli.mesh.mesh_up import take_down

    home = Home.find()
    if purge and home.path.exists():
        confirm(f"Delete all data, logs and secrets below {home.path}?", yes=yes)
    stopped = asyncio.run(take_down(home))
    if purge:
        home.remove()
    if as_json:
        print_json({"was_running": stopped, "purged": purge})
    else:
        say("the mesh is down" if stopped else "no mesh was running")
        if purge:
            say("its data are gone")


def status(as_json: JsonFlag = False) -> None:
    """Show every part: state, process, restarts, last exit, address; exit code 1 when one is in trouble."""
    from atlas_local.client import status as read_status
    from atlas_local.home import Home

    from atlas_cli.mesh.mesh_view import healthy, print_status

    state = asyncio.run(read_status(Home.find()))
    if as_json:
        print_json(state)
    else:
        print_status(state)
    if not healthy(state):
        raise typer.Exit(1)


def env(
    name: Annotated[str | None, typer.Argument(help="Only the value of this one: ATLAS_GATEWAY_URL.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Print every address and secret of the mesh: eval "$(atlas env)"; or the value of one."""
    import shlex

    from atlas_local.home import Home

    values = Home.find().read_env()
    if not values:
        raise CommandError("there is no mesh yet; start one: atlas up")
    if name is not None and name not in values:
        raise CommandError(f"no address or secret is named {name}; there are {', '.join(values)}")
    if as_json:
        print_json(values if name is None else {name: values[name]})
    elif name is not None:
        say(values[name])
    else:
        for key, value in values.items():
            say(f"export {key}={shlex.quote(value)}")


def start(part: Part, as_json: JsonFlag = False) -> None:
    """Start one part and wait until it is ready."""
    _ask(part, ("start",), as_json=as_json)


def stop(part: Part, as_json: JsonFlag = False) -> None:
    """Stop one part in an orderly way and leave it stopped."""
    _ask(part, ("stop",), as_json=as_json)


def restart(part: Part, as_json: JsonFlag = False) -> None:
    """Stop one part, start it again and wait until it is ready."""
    _ask(part, ("stop", "start"), as_json=as_json)


def _ask(part: str, requests: tuple[str, ...], *, as_json: bool) -> None:
    from atlas_local.home import Home
    from atlas_local.supervising.control import request

    async def ask() -> dict[str, object]:
        reply: dict[str, object] = {}
        for do in requests:
            reply = await request(Home.find(), do, name=part)
        return reply

    reply = asyncio.run(ask())
    if as_json:
        print_json(reply)
    else:
        say(f"{reply['name']}: {reply['state']}")
    if reply["state"] == "back-off":
        first, *details = str(reply["detail"]).splitlines()
        raise CommandError(first, details)

"""A new context: a package that engines find, whose commands and projections are found in it one module each."""

import re
from collections.abc import Collection
from pathlib import Path

from atlas_cli.scaffold.naming import context_name
from atlas_cli.scaffold.plan import Plan
from atlas_cli.terminal.output import CommandError

FOLDER = "contexts"

_PROJECT = """\
[project]
name = "atlas-{name}"
version = "0.1.0"
description = "{doc}"
requires-python = ">=3.11"
dependencies = [
    "atlas-contracts",
    "atlas-http",
    "atlas-projection",
    "atlas-readmodel",
    "atlas-runtime",
    "aiohttp>=3.14",
    "pydantic>=2.11",
]

[project.entry-points."atlas.routes"]
{name} = "atlas_{name}.commands:ROUTES"

[project.entry-points."atlas.projections"]
{name} = "atlas_{name}.projections:PROJECTIONS"

[project.entry-points."atlas.migrations"]
{name} = "atlas_{name}.migrations"

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["atlas_{name}"]
"""
_COMMANDS = '''\
"""The commands: each module beside this one has ROUTES."""

from atlas_http.routes import Route
from atlas_runtime.contexts import gathered

ROUTES: list[Route] = gathered(__name__, __path__, "ROUTES")
'''
_PROJECTIONS = '''\
"""The projections: each module beside this one has PROJECTIONS."""

from atlas_projection.projection import Projection
from atlas_runtime.contexts import gathered

PROJECTIONS: list[Projection] = gathered(__name__, __path__, "PROJECTIONS")
'''


def package(context: str) -> str:
    """The folder of its code."""
    return f"{folder(context)}/atlas_{context}"


def folder(context: str) -> str:
    """The folder of all that is its own but schemas."""
    return f"{FOLDER}/{context}"


def new_context(root: Path, name: str, doc: str) -> Plan:
    """Plan its package. Raises CommandError."""
    plan = Plan(root)
    context = context_name(name)
    if (root / folder(context)).exists():
        raise CommandError(f"the context {context} is there already: {folder(context)}")
    plan.add(f"{folder(context)}/pyproject.toml", _PROJECT.format(name=context, doc=one_sentence(doc)))
    code = package(context)
    plan.add(f"{code}/__init__.py", f'"""{doc}"""\n')
    plan.add(f"{code}/py.typed", "")
    plan.add(f"{code}/commands/__init__.py", _COMMANDS)
    plan.add(f"{code}/projections/__init__.py", _PROJECTIONS)
    plan.add(
        f"{code}/migrations/__init__.py", f'"""The tables behind the commands; the branch is called `{context}`."""\n'
    )
    plan.next_steps = [f"atlas new event {context}.SomethingHappened thing_id:uuid happened_at:timestamp"]
    return plan


def require(root: Path, context: str) -> None:
    """Raises CommandError where there is no such context, or one that has its modules in another way."""
    if not (root / folder(context) / "pyproject.toml").is_file():
        raise CommandError(f"there is no context {context}; make it: atlas new context {context}")


def require_gathering(root: Path, context: str, part: str) -> None:
    """Raises CommandError where the context does not find the modules of its `part` by itself."""
    require(root, context)
    init = root / package(context) / part / "__init__.py"
    if not init.is_file() or "gathered(" not in init.read_text():
        raise CommandError(
            f"{package(context)}/{part} does not gather its modules, so `atlas new context` did not make it; add by"
            " hand to it"
        )


def modules_naming(root: Path, events: Collection[str], besides: Collection[str] = ()) -> list[str]:
    """The modules of contexts that name one of these events, `shop.` for all of `shop`; not of those in `besides`."""
    if not events:
        return []
    quote = "[\"']"
    ends = ((re.escape(event), "[A-Z]" if event.endswith(".") else quote) for event in events)
    named = re.compile("|".join(f"{quote}{event}{end}" for event, end in ends))
    modules = [path.relative_to(root) for path in sorted((root / FOLDER).glob("*/atlas_*/**/*.py"))]
    others = [path for path in modules if path.parts[1] not in besides]
    return [str(path) for path in others if named.search((root / path).read_text())]


def one_sentence(doc: str) -> str:
    """A text for people as it may stand in quotes."""
    return " ".join(doc.split()).rstrip(".").replace("\\", "").replace('"', "'")

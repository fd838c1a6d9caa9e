"""`atlas flags`: the feature flags of the contexts, with their values now."""

import typer

from atlas_cli.settings import load_settings
from atlas_cli.terminal.help_groups import OPERATE, add
from atlas_cli.terminal.output import JsonFlag, print_rows


def register(parent: typer.Typer) -> None:
    """Add the command."""
    add(parent, flags, "atlas flags", group=OPERATE)


def flags(as_json: JsonFlag = False) -> None:
    """Every feature flag: type, default, value now, and where that is from. A change in the file counts at once."""
    from atlas_flags.providers import provide
    from atlas_runtime import contexts

    settings = load_settings()
    provide(settings.flags, settings.flags_file)
    rows = [
        {
            "flag": flag.name,
            "type": flag.kind,
            "default": flag.default,
            "value": (found := flag.found()).value,
            "from": found.source,
            "description": flag.description,
        }
        for flag in contexts.flat(contexts.FLAGS, settings.contexts)
    ]
    print_rows(rows, as_json=as_json, empty="no context has a flag", spare=("description",))

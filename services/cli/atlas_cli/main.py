"""The `atlas` command: one module a group, registered here."""

import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated

import typer

from atlas_cli.commands import COMMANDS
from atlas_cli.terminal import faults
from atlas_cli.terminal.help_groups import Grouped
from atlas_cli.terminal.output import say

app = typer.Typer(
    name="atlas",
    cls=Grouped,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for register in COMMANDS:
    register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"atlas {metadata.version('atlas-cli')}")
        raise typer.Exit


@app.callback()
def _atlas(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Run the mesh, produce and tail events, watch lag, rebuild projections, verify the archive."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, by default this process's; gives its exit code.

    0: done. 1: failed, in one line on stderr. 2: not a command line. 70: a defect of atlas, also in one line.
    130: Ctrl-C. Nothing else comes out of it, in particular no exception.
    """
    try:
        code = app(args=arguments, prog_name="atlas", standalone_mode=False)
        sys.stdout.flush()  # here, where a full disk behind it can still be told
    except BrokenPipeError:
        # `atlas topics | head` has what it wanted. Without this, Python complains when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as ended:
        code = ended.code
    except KeyboardInterrupt:
        code = faults.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last place where an error can become a line
        code = faults.report(error)
    return code if isinstance(code, int) else 0


def main() -> None:
    """The entry point of the command."""
    faults.hush()
    raise SystemExit(run())


if __name__ == "__main__":
    main()

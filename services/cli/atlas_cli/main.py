"""The `atlas` command: one module a group, registered here."""

import sys

import typer

from atlas_cli.commands import COMMANDS
from atlas_cli.output import CommandError

app = typer.Typer(
    name="atlas",
    help="Run the mesh, produce and tail events, watch lag, rebuild projections, verify the archive.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for register in COMMANDS:
    register(app)


def main() -> None:
    """Run the command; an expected failure is one line on stderr and exit code 1."""
    try:
        app()
    except CommandError as error:
        sys.stderr.write(f"atlas: {error}\n")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()

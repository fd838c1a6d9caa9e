"""`atlas retire` takes nothing away that is still declared."""

import pytest
import typer
from atlas_cli.commands.read_models.retire import register
from atlas_cli.terminal.output import CommandError
from atlas_runtime import contexts
from typer.testing import CliRunner

app = typer.Typer()
app.callback()(lambda: None)
register(app)


def test_what_a_context_declares_stays() -> None:
    for projections in contexts.offered(contexts.PROJECTIONS).values():
        for projection in projections:
            with pytest.raises(CommandError, match=rf"\w+ declares {projection.name}; first: atlas remove projection"):
                CliRunner().invoke(app, ["retire", projection.name, "--yes"], catch_exceptions=False)


def test_it_asks_first() -> None:
    with pytest.raises(CommandError, match="nobody answered; --yes does it without asking"):
        CliRunner().invoke(app, ["retire", "nobodys"], catch_exceptions=False)

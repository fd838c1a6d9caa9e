"""What is written lints, is formatted, is typed and has tests that pass, whatever the fields."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from atlas_cli.scaffold import commands, projections
from atlas_cli.scaffold.contexts import new_context
from atlas_cli.scaffold.events import Wanted, new_event
from atlas_cli.scaffold.fields import KINDS
from atlas_cli.terminal.output import CommandError
from atlas_local.home import ROOT

LONG = "W" + "w" * 31


def run(root: Path, *command: str, **environment: str) -> None:
    """Fails with what it printed when its exit code is not 0."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def is_typed(context: Path) -> None:
    """Checked as `make type` checks, from the same folder: what it has cached of Atlas is not checked again."""
    atlas = [path.relative_to(ROOT) for kind in ("libs", "services") for path in sorted((ROOT / kind).iterdir())]
    packages = [*atlas, Path("infra/local"), context]
    run(ROOT, "mypy", str(context / f"atlas_{context.name}"), MYPYPATH=os.pathsep.join(map(str, packages)))


def every_kind(root: Path) -> None:
    """A context with each type, alone, many and optional, and names as long as they may be."""
    typed = [*KINDS, "decimal(9,2)", "decimal(38,0)"]
    fields = [
        f"f{number}{end.count('[]')}{end.count('?')}:{kind}{end}"
        for number, kind in enumerate(typed)
        for end in ("", "[]", "?", "[]?")
    ]
    new_context(root, "shop", "What is sold.").apply()
    new_event(root, Wanted(f"shop.{LONG}", ["thing_id:uuid", *fields, "made_at:timestamp"])).apply()
    new_event(root, Wanted("shop.Bare", ["thing_id:uuid"])).apply()
    new_event(root, Wanted("shop.Later", ["thing_id:uuid", f"{LONG.lower()}:string?", "f000:string"])).apply()
    new_event(root, Wanted("shop.Said", ["word:string", "many:int"], topic="shop.said", anybody=True)).apply()
    commands.new_command(root, commands.Wanted(f"shop.{LONG}", LONG, changes=False)).apply()
    commands.new_command(root, commands.Wanted("shop.Later", "Later", changes=True)).apply()
    commands.new_command(root, commands.Wanted("shop.Bare", "Bare", changes=True)).apply()
    wanted = projections.Wanted(f"shop.{LONG.lower()}", (LONG, "Bare", "Later"), ("f500",))
    projections.new_projection(root, wanted).apply()
    projections.new_projection(root, projections.Wanted("shop.said", ("Said",), ("many",))).apply()


def test_it_passes_lint_and_its_own_tests(bare: Path) -> None:
    every_kind(bare)
    run(bare, "ruff", "check", "--config", str(ROOT / "pyproject.toml"), "--no-cache", "contexts")
    run(bare, "ruff", "format", "--check", "--config", str(ROOT / "pyproject.toml"), "--no-cache", "contexts")
    is_typed(bare / "contexts/shop")
    packages = str(bare / "contexts/shop")
    run(bare, "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", "contexts", PYTHONPATH=packages)
    installed = bare / "contexts/shop/atlas_shop-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: atlas-shop\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[atlas.projections]\nshop = atlas_shop.projections:PROJECTIONS\n")
    run(bare, "atlas_projector.declared", "schemas", "shop", PYTHONPATH=packages)


def test_what_it_can_not_be_made_of_is_said(root: Path) -> None:
    def refused(wanted: projections.Wanted) -> str:
        with pytest.raises(CommandError) as error:
            projections.new_projection(root, wanted)
        return str(error.value)

    new_event(root, Wanted("shop.Said", ["word:string"], topic="shop.said", anybody=True)).apply()
    assert "there is no event shop.Never" in refused(projections.Wanted("shop.x", ("Never",)))
    assert "these events are on shop.events, shop.said" in refused(projections.Wanted("shop.x", ("OrderPaid", "Said")))
    assert "no event has the field nope" in refused(projections.Wanted("shop.x", ("OrderPaid",), ("nope",)))
    assert "tags is no field to filter by" in refused(projections.Wanted("shop.x", ("OrderPlaced",), ("tags",)))
    projections.new_projection(root, projections.Wanted("shop.x", ("OrderPaid",))).apply()
    assert "has a read model x already" in refused(projections.Wanted("shop.x", ("OrderPaid",)))

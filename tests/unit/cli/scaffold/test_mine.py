"""A repository made a team's own: no sample is left, and what is the team's is never touched."""

import json
import shutil
from pathlib import Path

import pytest
from atlas_cli.scaffold.contexts import new_context
from atlas_cli.scaffold.events import Wanted, new_event
from atlas_cli.scaffold.mine import first_context, is_mine, samples, without_samples
from atlas_cli.terminal.output import CommandError
from atlas_contracts.checks import check
from atlas_contracts.registry import Registry

from tests.unit.cli.scaffold.conftest import tree

PAGE = "Before.\n\n<!-- samples -->\nTry `atlas seed`.\n\n<!-- end of samples -->\nAfter.\n"


@pytest.fixture
def checkout(bare: Path) -> Path:
    """With two samples, of which one is `shop`, and a context that is none."""
    for name in ("shop", "stock", "billing"):
        new_context(bare, name, f"The context {name}.").apply()
        new_event(bare, Wanted(f"{name}.ThingSeen", ["thing_id:uuid"])).apply()
    for name in ("shop", "stock"):
        with (bare / "contexts" / name / "pyproject.toml").open("a") as project:
            project.write("\n[tool.atlas]\nsample = true\n")
    (bare / "README.md").write_text("# Atlas\n")
    (bare / "docs" / "runbooks").mkdir(parents=True)
    (bare / "docs" / "runbooks" / "start.md").write_text(PAGE)
    return bare


def make_mine(root: Path, name: str) -> None:
    begins = [] if is_mine(root) else first_context(root, name)
    without_samples(root, name).apply()
    for begin in begins:
        begin().apply()


def test_samples_say_so(checkout: Path) -> None:
    assert samples(checkout) == ["shop", "stock"]


def test_samples_go_and_a_context_of_ones_own_is_there(checkout: Path) -> None:
    before = tree(checkout)
    make_mine(checkout, "acme")
    after = tree(checkout)
    assert samples(checkout) == []
    assert not [path for path in after if "/shop/" in path or "/stock/" in path]
    registry = Registry.load(checkout / "schemas")
    assert "acme.NoteTaken" in registry.event_types
    assert "shop.ThingSeen" not in registry.event_types
    assert check(checkout / "schemas") == []
    assert (checkout / "contexts/acme/atlas_acme/projections/notes.py").is_file()
    assert (checkout / "contexts/acme/tests/commands/test_take_note.py").is_file()
    assert (checkout / "docs/runbooks/start.md").read_text() == "Before.\n\nAfter.\n"
    assert (checkout / "README.md").read_text().startswith("# Acme\n")
    kept = {path for path in before if "billing" in path}
    assert kept
    assert {path: after[path] for path in kept} == {path: before[path] for path in kept}


def test_it_may_be_repeated(checkout: Path) -> None:
    """As after a merge that brought the samples back: what is the team's stays as it is, byte for byte."""
    sample, events = checkout / "contexts/shop", checkout / "schemas/shop"
    kept = [shutil.copytree(folder, checkout / "kept" / folder.parent.name) for folder in (sample, events)]
    make_mine(checkout, "acme")
    (checkout / "README.md").write_text("# What we are\n")
    (checkout / "contexts/acme/atlas_acme/own.py").write_text("ours = 1\n")
    once = tree(checkout)
    make_mine(checkout, "acme")
    assert tree(checkout) == once
    for folder, from_where in zip((sample, events), kept, strict=True):
        shutil.copytree(from_where, folder)
    make_mine(checkout, "acme")
    assert tree(checkout) == once


def test_what_the_team_did_since_is_not_done_again(checkout: Path) -> None:
    """It took its first context out, wrote a README, and has a context that is called as a sample was."""
    make_mine(checkout, "acme")
    shutil.rmtree(checkout / "contexts/acme")
    shutil.rmtree(checkout / "schemas/acme")
    (checkout / "README.md").write_text("# What we are\n")
    new_context(checkout, "shop", "Ours.").apply()
    new_event(checkout, Wanted("shop.Sold", ["sale_id:uuid"])).apply()
    before = tree(checkout)
    make_mine(checkout, "acme")
    make_mine(checkout, "another")
    assert tree(checkout) == before


@pytest.mark.parametrize("taken", ["contexts/billing", "schemas/hauls", "contexts/shop"])
def test_a_name_that_is_taken(checkout: Path, taken: str) -> None:
    """By a context, by schemas alone, by a sample."""
    before = tree(checkout)
    with pytest.raises(CommandError, match=f"{taken} is there already; give another NAME"):
        without_samples(checkout, taken.partition("/")[2])
    assert tree(checkout) == before


def test_what_still_needs_a_sample_is_named(checkout: Path) -> None:
    handler = checkout / "contexts/billing/atlas_billing/projections/bills.py"
    handler.write_text('HANDLED = "shop.ThingSeen"\n')
    with pytest.raises(CommandError, match=r"billing/projections/bills.py names an event of shop or stock"):
        without_samples(checkout, "acme")


def test_a_broken_project_is_named(checkout: Path) -> None:
    (checkout / "contexts/shop/pyproject.toml").write_text("[")
    with pytest.raises(CommandError, match=r"^contexts/shop/pyproject.toml: "):
        samples(checkout)


def test_git_is_told_what_is_the_teams(checkout: Path) -> None:
    (checkout / ".gitattributes").write_text("*.png binary\n")
    make_mine(checkout, "acme")
    assert (checkout / ".gitattributes").read_text().splitlines()[0] == "*.png binary"
    assert "README.md merge=ours" in (checkout / ".gitattributes").read_text()


def test_locks_are_whole(checkout: Path) -> None:
    make_mine(checkout, "acme")
    lock = json.loads((checkout / "schemas/acme/ids.lock").read_text())["schemas"]
    assert list(lock) == ["note_taken.v1.avsc"]

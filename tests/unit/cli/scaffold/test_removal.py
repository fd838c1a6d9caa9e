"""What `atlas new` adds, `atlas remove` takes out: the tree is the same, byte for byte."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from atlas_cli.scaffold import commands, projections, removal
from atlas_cli.scaffold.contexts import new_context
from atlas_cli.scaffold.events import Wanted, new_event
from atlas_cli.terminal.output import CommandError
from atlas_contracts.checks import check
from atlas_local.home import ROOT

from tests.unit.cli.scaffold.conftest import tree


def place_order(root: Path) -> None:
    commands.new_command(root, commands.Wanted("shop.PlaceOrder", "OrderPlaced", changes=False)).apply()


def pay_order(root: Path) -> None:
    commands.new_command(root, commands.Wanted("shop.PayOrder", "shop.OrderPaid", changes=True)).apply()


def orders(root: Path) -> None:
    wanted = projections.Wanted("shop.orders", ("OrderPlaced", "OrderPaid"), ("customer",))
    projections.new_projection(root, wanted).apply()


def test_each_part_in_turn(root: Path) -> None:
    states = [tree(root)]
    for add in (place_order, pay_order, orders):
        add(root)
        states.append(tree(root))
    removal.remove_projection(root, "shop.orders").apply()
    assert tree(root) == states[2]
    removal.remove_command(root, "shop.PayOrder").apply()
    assert tree(root) == states[1]
    removal.remove_command(root, "shop.PlaceOrder").apply()
    assert tree(root) == states[0]


def test_an_event(root: Path) -> None:
    before = tree(root)
    for text, anybody in (("shop.OrderSent", False), ("shop.Seen", True)):
        topic = "shop.seen" if anybody else ""
        new_event(root, Wanted(text, ["order_id:uuid", "note:string?"], topic=topic, anybody=anybody)).apply()
        removal.remove_event(root, text).apply()
        assert tree(root) == before


def test_a_whole_context(bare: Path, unchanged: Callable[[], None]) -> None:
    new_context(bare, "shop", "What is sold.").apply()
    new_event(bare, Wanted("shop.OrderPlaced", ["order_id:uuid", "customer:string", "placed_at:timestamp"])).apply()
    new_event(bare, Wanted("shop.OrderPaid", ["order_id:uuid", "paid_at:timestamp"])).apply()
    for add in (place_order, pay_order, orders):
        add(bare)
    (bare / "contexts/shop/atlas_shop/__pycache__").mkdir()
    removal.remove_context(bare, "shop").apply()
    unchanged()


@pytest.mark.parametrize("name", sorted(path.parent.name for path in (ROOT / "contexts").glob("*/pyproject.toml")))
def test_a_sample_goes_without_a_trace_in_the_schemas(bare: Path, name: str) -> None:
    shutil.copytree(ROOT / "contexts", bare / "contexts", dirs_exist_ok=True)
    before = tree(bare)
    removal.remove_context(bare, name).apply()
    own = (f"contexts/{name}/", f"schemas/{name}/")
    assert tree(bare) == {path: data for path, data in before.items() if not path.startswith(own)}
    assert check(bare / "schemas") == []


def test_a_context_touches_no_file_outside_its_own_folders(bare: Path) -> None:
    before = tree(bare)
    new_context(bare, "shop", "What is sold.").apply()
    new_event(bare, Wanted("shop.OrderPlaced", ["order_id:uuid", "placed_at:timestamp"])).apply()
    place_order(bare)
    after = tree(bare)
    assert {path: after[path] for path in before} == before
    assert {"/".join(path.split("/")[:2]) for path in after.keys() - before.keys()} == {"contexts/shop", "schemas/shop"}
    shutil.rmtree(bare / "contexts/shop")
    shutil.rmtree(bare / "schemas/shop")
    assert check(bare / "schemas") == []


def test_what_others_need_stays(root: Path) -> None:
    place_order(root)
    pay_order(root)
    before = tree(root)
    with pytest.raises(CommandError, match=r"pay_order.py changes what shop.PlaceOrder makes; take that out first"):
        removal.remove_command(root, "shop.PlaceOrder")
    with pytest.raises(CommandError, match=r"place_order.py names shop.OrderPlaced; take that out first"):
        removal.remove_event(root, "shop.OrderPlaced")
    assert tree(root) == before


def test_a_migration_that_others_follow_stays(root: Path) -> None:
    place_order(root)
    (root / "contexts/shop/atlas_shop/migrations/shop_0002_more.py").write_text("")
    with pytest.raises(CommandError, match="later ones follow"):
        removal.remove_command(root, "shop.PlaceOrder")


@pytest.mark.parametrize(
    ("remove", "text", "said"),
    [
        (removal.remove_context, "nobody", "there is no context nobody"),
        (removal.remove_event, "shop.Never", "there is no event shop.Never"),
        (removal.remove_command, "shop.Never", "there is no command shop.Never"),
        (removal.remove_projection, "shop.never", "there is no projection shop.never"),
    ],
)
def test_what_is_not_there_is_named(root: Path, remove: Callable[[Path, str], object], text: str, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        remove(root, text)

"""A checkout in which contexts may be begun and ended."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from atlas_cli.scaffold.contexts import new_context
from atlas_cli.scaffold.events import Wanted, new_event

from tests.contexts import SCHEMAS

TREE = dict[str, bytes]


def tree(root: Path) -> TREE:
    """Every file, with what is in it."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Without a context; what a topic is called and what ids are taken are those of the repository."""
    shutil.copytree(SCHEMAS, tmp_path / "schemas")
    (tmp_path / "contexts").mkdir()
    return tmp_path


@pytest.fixture
def root(bare: Path) -> Path:
    """With the context `shop` and two events of one order."""
    new_context(bare, "shop", "What is sold.").apply()
    placed = ["order_id:uuid", "customer:string", "price:decimal(9,2)", "tags:string[]", "placed_at:timestamp"]
    new_event(bare, Wanted("shop.OrderPlaced", placed)).apply()
    new_event(bare, Wanted("shop.OrderPaid", ["order_id:uuid", "by:string?", "paid_at:timestamp"])).apply()
    return bare


@pytest.fixture
def unchanged(bare: Path) -> Callable[[], None]:
    """Call it where the tree has to be as it was."""
    before = tree(bare)

    def check() -> None:
        assert tree(bare) == before

    return check

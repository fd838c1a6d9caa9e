"""What a command can't be made of is said; the rest is in test_projections.py and tests/e2e."""

from pathlib import Path

import pytest
from atlas_cli.scaffold.commands import Wanted, new_command
from atlas_cli.scaffold.contexts import new_context
from atlas_cli.scaffold.events import Wanted as WantedEvent
from atlas_cli.scaffold.events import new_event
from atlas_cli.terminal.output import CommandError


def refused(root: Path, wanted: Wanted) -> str:
    with pytest.raises(CommandError) as error:
        new_command(root, wanted)
    return str(error.value)


def test_what_it_can_not_be_made_of_is_said(root: Path) -> None:
    new_event(root, WantedEvent("shop.Said", ["word:string"], topic="shop.said", anybody=True)).apply()
    new_event(root, WantedEvent("shop.Named", ["name:string"], topic="shop.named")).apply()
    assert "there is no context bar" in refused(root, Wanted("bar.Do", "Done", changes=False))
    assert "there is no event shop.Never" in refused(root, Wanted("shop.Do", "Never", changes=False))
    assert "whose events anybody may post" in refused(root, Wanted("shop.Do", "Said", changes=False))
    assert "a command makes a UUID" in refused(root, Wanted("shop.Do", "Named", changes=False))
    assert "no command of shop makes a order yet" in refused(root, Wanted("shop.Pay", "OrderPaid", changes=True))


def test_two_contexts_do_not_share_a_table(root: Path) -> None:
    new_command(root, Wanted("shop.PlaceOrder", "OrderPlaced", changes=False)).apply()
    new_context(root, "other", "Another.").apply()
    new_event(root, WantedEvent("other.OrderSeen", ["order_id:uuid"])).apply()
    assert "makes the table app.orders already" in refused(root, Wanted("other.See", "OrderSeen", changes=False))
    made = new_command(root, Wanted("other.See", "OrderSeen", changes=False, entity="sighting"))
    assert any("app.sightings" in text for text in made.new.values())


def test_a_context_that_gathers_nothing_is_left_to_people(root: Path) -> None:
    (root / "contexts/shop/atlas_shop/commands/__init__.py").write_text("ROUTES = ()\n")
    assert "does not gather its modules" in refused(root, Wanted("shop.PlaceOrder", "OrderPlaced", changes=False))

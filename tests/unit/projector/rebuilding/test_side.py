"""What a selection takes."""

import pytest
from atlas_projector.rebuilding.side import Selection
from atlas_projector.source import Waited

RECORD = Waited(7, 1000, b"u1", b"v", (("other", None), ("ce_type", b"yards.YardRegistered")))


@pytest.mark.parametrize(
    ("selection", "taken"),
    [
        (Selection("t"), True),
        (Selection("t", until_ms=1001), True),
        (Selection("t", until_ms=1000), False),
        (Selection("t", key="u1"), True),
        (Selection("t", key="u2"), False),
        (Selection("t", type="yards.YardRegistered"), True),
        (Selection("t", type="yards.YardDeactivated"), False),
        (Selection("t", until_ms=2000, key="u1", type="yards.YardRegistered"), True),
    ],
)
def test_what_is_taken(selection: Selection, taken: bool) -> None:
    assert selection.takes(RECORD) is taken


@pytest.mark.parametrize("name", ["", "Yards", "yards_g3", "a-b", "x; drop", "1st"])
def test_names_that_no_side_table_can_have(name: str) -> None:
    with pytest.raises(ValueError, match="can't name a side table"):
        Selection(name)

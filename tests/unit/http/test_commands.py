"""What a command's body means, for its fingerprint."""

import datetime
import enum
import uuid
from decimal import Decimal
from typing import Any

import pytest
from atlas_http.commands import canonical
from pydantic import BaseModel, ConfigDict


class Colour(enum.Enum):
    RED = "red"


class Odd(BaseModel):
    """A field of every type that a team may think of."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    field: Any = None
    other: Any = None


VALUES = [
    Decimal("1.50"), Decimal("NaN"), datetime.date(2026, 1, 1), datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    datetime.time(1), datetime.timedelta(days=1), uuid.UUID(int=1), Colour.RED, b"\xff", {"b", "a"},
    frozenset({1}), (1, 2), 2**70, "\udcff", {1: "a"}, 1 + 2j, float("inf"),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_every_type_has_a_form_that_tells_it_from_others(value: Any) -> None:
    assert canonical(Odd(field=value)) == canonical(Odd(field=value))
    others = {canonical(Odd(field=other)) for other in VALUES if other is not value}
    assert canonical(Odd(field=value)) not in others


def test_only_what_was_given_counts_in_any_order() -> None:
    assert canonical(Odd(other=1, field=2)) == canonical(Odd(field=2, other=1)) == b'{"field":2,"other":1}'
    assert canonical(Odd()) == b"{}"
    assert canonical(Odd(field=None)) == b'{"field":null}'

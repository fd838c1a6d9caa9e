"""Rows as answers: forms by type, moments by what the answer declares."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from atlas_http.rows import Time, document, respond, shown
from pydantic import BaseModel


class Sale(BaseModel):
    """Whose columns are named like nothing that the house knows."""

    sold: Time
    paid: Time | None
    price: str
    registered_at: int = 0


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01T00:00:00.000000Z"),
        ("2024-01-01T00:00:00.000Z", "2024-01-01T00:00:00.000Z"),
        (2**62, 2**62),
        (None, None),
        (True, True),
    ],
)
def test_a_moment_is_one_by_its_declaration(value: Any, moment: Any) -> None:
    row = {"sold": value, "paid": value, "price": Decimal("1.50"), "registered_at": 5}
    assert shown(row, Sale) == {"sold": moment, "paid": moment, "price": "1.50", "registered_at": 5}
    assert shown(shown(row, Sale), Sale) == shown(row, Sale), "a row of the cache is answered as one that is read"


def test_a_row_is_an_answer() -> None:
    row = {"sold": 0, "paid": None, "price": float("nan"), "more": b"\xff"}
    answer = respond(row, Sale)
    assert answer.content_type == "application/json"
    assert answer.body == document(row, Sale)
    assert orjson.loads(document(row, Sale)) == {
        "sold": "1970-01-01T00:00:00.000Z", "paid": None, "price": "NaN", "more": "ÿ"
    }  # fmt: skip


def test_a_moment_is_documented_as_one() -> None:
    schema = Sale.model_json_schema()["properties"]
    assert schema["sold"]["format"] == "date-time"
    assert schema["registered_at"]["type"] == "integer"

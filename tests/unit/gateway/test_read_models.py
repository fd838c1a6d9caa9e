"""Routes that follow from what a projection declares; how they answer is told by tests/integration/gateway."""

from dataclasses import replace

import pytest
from atlas_gateway.read_models import CantBeRead, routes, versioned
from atlas_projection.projection import Projection
from atlas_projection.reads import By, Reads
from atlas_readmodel.documents import Documents
from atlas_readmodel.table import Table

SALES = Projection(
    name="sales",
    version=1,
    topics=("sales.events",),
    table=Table(
        columns={"id": "uuid NOT NULL", "day": "date NOT NULL", "paid": "numeric(12, 2)", "version": "bigint NOT NULL"},
        key=("id",),
        indexes=("(day, id)",),
    ),
    versioned="version",
    handlers={},
    reads=Reads(path="/sales", what="sale", order=("day", "id"), sorts={"id": ("id",)}, filters={"day": By()}),
)


def test_one_row_and_a_list() -> None:
    one, many = routes([SALES, replace(SALES, name="unread", reads=None)])
    assert (one.path, many.path) == ("/sales/{id}", "/sales")
    names = {part["name"]: part["schema"] for part in many.parameters if part["in"] == "query"}
    assert names.keys() == {"limit", "cursor", "day", "sort", "token"}
    assert names["sort"] == {"const": "id", "type": "string"}
    schema = one.responses["200"]["content"]["application/json"]["schema"].schema
    assert schema["required"] == ["id", "day", "paid", "version"]
    assert schema["properties"]["paid"]["anyOf"][-1] == {"type": "null"}
    operation = many.operation()
    assert operation["operationId"] == "list_sales"
    assert operation["description"]


def test_documents_have_one_route() -> None:
    assert SALES.reads is not None
    kept = replace(SALES, table=Documents(key=("id",)), reads=replace(SALES.reads, listed=False))
    (one,) = routes([kept])
    assert one.path == "/sales/{id}"


def test_all_that_can_not_be_read_is_named_at_once() -> None:
    assert SALES.reads is not None
    wrong = replace(SALES, reads=replace(SALES.reads, path="sales", filters={"paid": By()}))
    with pytest.raises(CantBeRead) as raised:
        routes([wrong, SALES])
    assert str(raised.value).startswith("sales: it is read at 'sales'")
    assert "; sales: the filter paid has no index" in str(raised.value)


def test_a_token_can_wait_for_versioned_rows() -> None:
    assert versioned([SALES, replace(SALES, name="plain", versioned=None)]) == {"sales": "id uuid"}

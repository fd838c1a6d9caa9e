"""How a read model is read: what is declared is held against the table, and every fault has its line."""

from dataclasses import replace

import pytest
from atlas_projection.reads import By, Reads, columns_of, faults, order_of
from atlas_readmodel.documents import Documents
from atlas_readmodel.pages import Sort
from atlas_readmodel.table import Table

TABLE = Table(
    columns={
        "id": "uuid NOT NULL",
        "name": "text NOT NULL",
        "paid": "numeric(12, 2)",
        "day": "date NOT NULL",
        "at": "bigint NOT NULL",
    },
    key=("id",),
    indexes=("(day, id)", "(at DESC, id)", "USING gin (name gin_trgm_ops)"),
)
READS = Reads(path="/sales", what="sale", order=("day DESC", "id DESC"), filters={"day": By()}, search=("name",))


def test_what_is_right_has_no_fault() -> None:
    assert list(faults(READS, TABLE)) == []
    assert order_of(READS, TABLE) == [Sort("day", "date", True), Sort("id", "uuid", True)]
    assert order_of(replace(READS, sorts={"oldest": ("at", "id")}), TABLE, "oldest") == [
        Sort("at", "bigint"),
        Sort("id", "uuid"),
    ]
    assert list(columns_of(replace(READS, also={"sum": "bigint"}), TABLE)) == [*TABLE.columns, "sum"]
    assert READS.tag == "sales"


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"path": "sales"}, "it is read at 'sales'; expected a path like /bookings"),
        ({"path": "/sales/{id}"}, "without parameters"),
        ({"order": ("day",)}, "its order does not tell any two rows apart: add id at its end"),
        ({"order": ("nobody", "id")}, "it is read by nobody, which the table does not have"),
        ({"order": ("paid", "id")}, "its order has paid, which may be null"),
        ({"order": ("name", "id")}, 'its order has no index: add "(name, id)" to its indexes'),
        ({"sorts": {"price": ("name", "id")}}, 'its price has no index: add "(name, id)" to its indexes'),
        ({"sorts": {"oldest": ("at", "id")}}, 'its oldest has no index: add "(at, id)" to its indexes'),
        ({"filters": {"name": By()}}, 'the filter name has no index: add "(name)" to its indexes'),
        ({"filters": {"price": By(column="paid")}}, 'the filter price has no index: add "(paid)" to its indexes'),
        ({"filters": {"limit": By(column="day")}}, "a filter can't be called limit"),
        ({"search": ("day",)}, "it is searched in day, which is date and no text"),
        ({"times": ("day",)}, "the time day is date; epoch milliseconds are a bigint"),
    ],
)
def test_every_fault_has_its_line(changed: dict[str, object], line: str) -> None:
    found = list(faults(replace(READS, **changed), TABLE))  # type: ignore[arg-type]
    assert any(line in each for each in found), found


def test_a_small_table_and_a_common_value_need_no_index() -> None:
    assert list(faults(replace(READS, small=True, filters={"name": By()}), TABLE)) == []
    assert list(faults(replace(READS, filters={"name": By(common=True)}), TABLE)) == []


def test_an_index_is_read_in_both_directions() -> None:
    for order in (("at DESC", "id"), ("at", "id DESC")):
        assert list(faults(replace(READS, order=order), TABLE)) == []


def test_a_search_has_an_index_of_its_own() -> None:
    bare = replace(TABLE, indexes=("(day, id)",))
    (line,) = faults(READS, bare)
    assert line == 'the search in name has no index: add "USING gin (name gin_trgm_ops)" to its indexes'


def test_documents_have_no_list() -> None:
    unlisted = replace(READS, listed=False)
    assert list(faults(unlisted, Documents(key=("id",)))) == []
    assert len(list(faults(READS, Documents(key=("id",))))) == 1
    assert len(list(faults(unlisted, Documents(key=("id",), per_partition=True)))) == 1

import pytest
from atlas_readmodel.table import ReadModel, Table

COLUMNS = {"id": "text NOT NULL", "size": "integer", "at": "double precision NOT NULL DEFAULT 0"}


def model(name: str = "things", table: Table | None = None) -> ReadModel:
    return ReadModel(name, 1, ("things.events",), table or Table(columns=COLUMNS, key=("id",)))


def test_a_generation_is_a_table_of_its_own_behind_one_view() -> None:
    assert model().ddl(3)[0].startswith("CREATE TABLE readmodel.things_g3 (id text NOT NULL, size integer,")
    assert model().view_sql(3) == "SELECT id, size, at, _offset FROM readmodel.things_g3"


def test_a_view_of_ones_own_names_the_table() -> None:
    table = Table(columns=COLUMNS, key=("id",), view="SELECT id, sum(size) FROM {table} GROUP BY id")
    assert model(table=table).view_sql(2) == "SELECT id, sum(size) FROM readmodel.things_g2 GROUP BY id"


def test_rows_by_partition_have_it_in_their_key() -> None:
    table = Table(columns=COLUMNS, key=("id",), per_partition=True)
    assert table.primary_key == ("id", "_partition")
    assert list(table.all_columns) == ["id", "size", "at", "_partition", "_offset"]


def test_types_are_bare() -> None:
    types = Table(columns=COLUMNS, key=("id",)).types
    assert types == {"id": "text", "size": "integer", "at": "double precision", "_offset": "bigint"}


@pytest.mark.parametrize(
    "name", ["positions", "generations", "Yards", "a-b", "1st", "yards; DROP", "", "parked", "yards_g3"]
)
def test_names_that_would_not_do(name: str) -> None:
    with pytest.raises(ValueError, match="can't name a projection"):
        model(name)


def test_a_key_must_be_a_column() -> None:
    with pytest.raises(ValueError, match="uid"):
        Table(columns=COLUMNS, key=("uid",))


def test_column_names_are_checked() -> None:
    with pytest.raises(ValueError, match="_offset"):
        Table(columns={"id": "text", "_offset": "bigint"}, key=("id",))


@pytest.mark.parametrize(
    "declared", ["citext", "char(3)", "json", "xml", "text; DROP TABLE x", "", "int4range", "point"]
)
def test_a_type_whose_values_are_not_known_is_refused_when_it_is_declared(declared: str) -> None:
    with pytest.raises(ValueError, match=r"column size: .* is no type that a column can have: expected one of"):
        Table(columns={"id": "text", "size": declared}, key=("id",))


@pytest.mark.parametrize(
    "declared", ["text[]", "jsonb", "numeric(4,2)", "double precision", "real", "interval", "uuid[]"]
)
def test_a_key_is_of_a_type_that_is_equal_on_both_sides(declared: str) -> None:
    with pytest.raises(ValueError, match="column id: a row can't be found by"):
        Table(columns={"id": declared}, key=("id",))


def test_lists_are_known() -> None:
    assert Table(columns={"id": "text", "tags": "text[] NOT NULL DEFAULT '{}'"}, key=("id",)).has_arrays
    assert not Table(columns=COLUMNS, key=("id",)).has_arrays

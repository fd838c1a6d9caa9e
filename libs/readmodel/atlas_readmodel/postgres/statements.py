"""The SQL of one generation's table."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from atlas_readmodel.table import ReadModel, Table


class Statements:
    """The SQL of one generation's table."""

    def __init__(self, model: ReadModel, generation: int) -> None:
        table, name = model.table, model.relation(generation)
        key = table.primary_key
        self.columns = tuple(table.all_columns)
        self.values_of = _values_getter(table)
        self.row_of = _row_maker(table)
        names = ", ".join(self.columns)
        rest = [column for column in self.columns if column not in key]
        conflict = f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET " + ", ".join(f"{c} = excluded.{c}" for c in rest)
        # Without sizes: a cast to varchar(3) cuts in silence what an assignment refuses.
        types = {name: column.bare for name, column in table.column_types.items()}
        keys = _arrays([types[column] for column in key])
        match = " AND ".join(f"t.{column} = k.{column}" for column in key)
        self.stage_name = f"stage_{model.name}_g{generation}"
        self.stage = f"CREATE TEMP TABLE IF NOT EXISTS {self.stage_name} (LIKE {name}) ON COMMIT DELETE ROWS"
        self.upsert_staged = f"INSERT INTO {name} ({names}) SELECT {names} FROM pg_temp.{self.stage_name} {conflict}"
        # Row by row, each in a subtransaction; what is refused for its content is noted. The names are our own, checked
        # where a table is declared.
        self.try_staged = f"""
            CREATE TEMP TABLE atlas_refused (place tid, reason text) ON COMMIT DROP;
            DO $$ DECLARE staged record; BEGIN
                FOR staged IN SELECT ctid AS place FROM pg_temp.{self.stage_name} LOOP
                    BEGIN
                        {self.upsert_staged.replace(conflict, "WHERE ctid = staged.place " + conflict)};
                    EXCEPTION WHEN cardinality_violation OR data_exception OR integrity_constraint_violation
                            OR with_check_option_violation OR program_limit_exceeded THEN
                        INSERT INTO pg_temp.atlas_refused VALUES (staged.place, SQLERRM);
                    END;
                END LOOP;
            END $$"""  # nosec B608
        self.refused = (
            f"SELECT s.*, r.reason AS atlas_refused_for FROM pg_temp.{self.stage_name} s"
            " JOIN pg_temp.atlas_refused r ON s.ctid = r.place"
        )
        self.upsert_arrays = f"INSERT INTO {name} ({names}) SELECT * FROM {_arrays(list(types.values()))} {conflict}"
        self.delete = f"DELETE FROM {name} t USING {keys} AS k ({', '.join(key)}) WHERE {match}"
        self.load = (
            f"SELECT {', '.join(f't.{column}' for column in self.columns)}"
            f" FROM {name} t JOIN {keys} AS k ({', '.join(key)}) ON {match}"
        )


def _arrays(types: Sequence[str]) -> str:
    return f"unnest({', '.join(f'${number}::{sql}[]' for number, sql in enumerate(types, start=1))})"


def _values_getter(table: Table) -> Callable[[Mapping[str, Any]], Any]:
    """A function from a row to its values as the driver takes them."""
    values_of = itemgetter(*table.column_types)
    puts = [(at, column.put) for at, column in enumerate(table.column_types.values()) if column.put is not None]
    if not puts:
        return values_of

    def converted(row: Mapping[str, Any]) -> list[Any]:
        values = list(values_of(row))
        for at, put in puts:
            if values[at] is not None:
                values[at] = put(values[at])
        return values

    return converted


def _row_maker(table: Table) -> Callable[[Any], dict[str, Any]]:
    """A function from a row as the driver gives it to the row as it is held."""
    forms = [(name, column.found) for name, column in table.column_types.items() if column.found is not None]

    def made(record: Any) -> dict[str, Any]:
        row = dict(record)
        for name, found in forms:
            if row[name] is not None:
                row[name] = found(row[name])
        return row

    return made


def tuple_getter(columns: tuple[str, ...]) -> Any:
    if len(columns) == 1:
        (only,) = columns
        return lambda row: (row[only],)
    return itemgetter(*columns)

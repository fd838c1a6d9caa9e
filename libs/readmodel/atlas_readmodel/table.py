"""What a read model is in PostgreSQL: the definition a projection states, and the SQL that follows from it.

Generation 3 of the projection `orders` is the table readmodel.orders_g3; readers use the view readmodel.orders.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from atlas_readmodel.columns.column_types import ColumnType, column_type
from atlas_readmodel.columns.row_check import RowCheck, row_taker

SCHEMA = "readmodel"
OFFSET_COLUMN = "_offset"
PARTITION_COLUMN = "_partition"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_TAKEN = {"projections", "generations", "positions", "dead_letters", "parked", "failures"}
_GENERATION = re.compile(r".*_g\d+")


@dataclass(frozen=True)
class Table:
    """The table of a projection.

    `columns` are SQL types by name (`"text NOT NULL"`), of those in atlas_readmodel.columns.column_types; `key` names
    those that identify a row; `indexes` are what follows `CREATE INDEX ON table` (`"(customer)"`, `"USING gin (email
    gin_trgm_ops)"`). `view` is the SELECT that readers see, with `{table}` for the table; without it, every column.

    `per_partition`: events with the same key come from several partitions, so each partition gets a row of its own
    for it and the view sums over them. Without it all events of a key must be on one partition.
    """

    columns: Mapping[str, str]
    key: tuple[str, ...]
    indexes: tuple[str, ...] = ()
    view: str | None = None
    per_partition: bool = False

    def __post_init__(self) -> None:
        unknown = [column for column in self.key if column not in self.columns]
        if not self.key or unknown:
            raise ValueError(f"the key must name columns of the table, not {unknown}")
        if bad := [column for column in self.columns if not _NAME.fullmatch(column)]:
            raise ValueError(f"column names are lower case and begin with a letter: {bad}")
        for name, declared in self.columns.items():
            try:
                column = column_type(declared)
            except ValueError as error:
                raise ValueError(f"column {name}: {error}") from None
            if name in self.key and not column.in_key:
                raise ValueError(
                    f"column {name}: a row can't be found by {column.sql}: text, integers, boolean, bytea, uuid, date, "
                    "time, timestamp, timestamptz and inet can"
                )

    @cached_property
    def all_columns(self) -> dict[str, str]:
        """The columns stated and those every table has: the record that a row comes from."""
        own = {PARTITION_COLUMN: "integer NOT NULL"} if self.per_partition else {}
        return {**self.columns, **own, OFFSET_COLUMN: "bigint NOT NULL"}

    @cached_property
    def primary_key(self) -> tuple[str, ...]:
        """The key, and the partition where each has a row of its own."""
        return (*self.key, PARTITION_COLUMN) if self.per_partition else self.key

    @cached_property
    def column_types(self) -> dict[str, ColumnType]:
        """What is declared of each column."""
        return {name: column_type(declared) for name, declared in self.all_columns.items()}

    @cached_property
    def types(self) -> dict[str, str]:
        """The bare SQL type of each column."""
        return {name: column.sql for name, column in self.column_types.items()}

    @cached_property
    def has_arrays(self) -> bool:
        """Whether a column holds lists."""
        return any(column.array for column in self.column_types.values())

    @cached_property
    def taker(self) -> Callable[[Any], Any] | None:
        """See row_taker: of rows as a handler makes them."""
        return row_taker({name: self.column_types[name] for name in self.columns})

    def check(self, *besides: str) -> RowCheck:
        """Of rows as a handler makes them: without the columns that the projector adds, those `besides` among them."""
        return RowCheck({name: self.column_types[name] for name in self.columns if name not in besides})


@dataclass(frozen=True)
class Model:
    """What a projection of this name and version makes from these topics."""

    name: str
    version: int
    topics: tuple[str, ...]

    def __post_init__(self) -> None:
        check_name(self.name)


@dataclass(frozen=True)
class ReadModel(Model):
    """A table under the name and version of the projection that fills it, from these topics."""

    table: Table

    def relation(self, generation: int) -> str:
        """The table of a generation, with its schema."""
        return relation(self.name, generation)

    def ddl(self, generation: int) -> list[str]:
        """The statements that make the table of a generation."""
        table = self.table
        name = self.relation(generation)
        columns = ", ".join(f"{column} {sql}" for column, sql in table.all_columns.items())
        key = ", ".join(table.primary_key)
        # Room on each page for new versions of its rows: an update that touches no index then stays on the page.
        return [
            f"CREATE TABLE {name} ({columns}, PRIMARY KEY ({key})) WITH (fillfactor = 80)",
            *(f"CREATE INDEX ON {name} {index}" for index in table.indexes),
        ]

    def view_sql(self, generation: int) -> str:
        """The SELECT behind the view, over the table of a generation."""
        select = self.table.view or f"SELECT {', '.join((*self.table.columns, OFFSET_COLUMN))} FROM {{table}}"
        return select.replace("{table}", self.relation(generation))


def check_name(projection: str) -> None:
    """Raises ValueError if this can't name a projection."""
    if not _NAME.fullmatch(projection) or projection in _TAKEN or _GENERATION.fullmatch(projection):
        raise ValueError(
            f"{projection!r} can't name a projection: lower case, digits and _, no _g3 at its end, not one of {_TAKEN}"
        )


def relation(projection: str, generation: int) -> str:
    """The table of a generation, with its schema."""
    return f"{SCHEMA}.{projection}_g{generation}"

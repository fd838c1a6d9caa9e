"""Which rows of many PostgreSQL refuses, and why; asked after it refused them together."""

from collections.abc import Mapping
from typing import Any

import asyncpg

from atlas_readmodel.columns.row_check import shown
from atlas_readmodel.postgres.statements import Statements, tuple_getter
from atlas_readmodel.table import ReadModel

# Each row that is tried is a subtransaction: of more rows than this, halves are tried before.
TRIED_MAX = 5_000

_ERRORS = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, TypeError, ValueError, ArithmeticError)


async def try_each(
    pool: Any, model: ReadModel, sql: Statements, rows: Mapping[Any, Mapping[str, Any] | None]
) -> dict[tuple[Any, ...], str]:
    """The keys of the rows that the server refuses for what they hold, with its reason; nothing is changed.

    One round trip for all of them. Empty when there are too many, and when a row does not even get to the server.
    """
    changed = [row for row in rows.values() if row is not None]
    if not 0 < len(changed) <= TRIED_MAX:
        return {}
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute(sql.stage)
            await connection.copy_records_to_table(
                sql.stage_name, records=map(sql.values_of, changed), columns=sql.columns
            )
            await connection.execute(sql.try_staged)
            refused = await connection.fetch(sql.refused)
        except (*_ERRORS, LookupError, asyncpg.IntegrityConstraintViolationError):
            return {}
        finally:
            await transaction.rollback()
    key_of = tuple_getter(model.table.primary_key)
    found = {}
    for record in refused:
        row = sql.row_of(record)
        found[key_of(row)] = str(row["atlas_refused_for"])
    return found


async def explain(pool: Any, model: ReadModel, rows: Mapping[Any, Mapping[str, Any] | None], error: str) -> str:
    """The column, its value and what the server says of it, where a value alone is refused; else the error."""
    columns = model.table.column_types
    for row in filter(None, rows.values()):
        for names in (list(columns), *([name] for name in columns)):
            try:
                values = [
                    row[name] if (put := columns[name].put) is None or row[name] is None else put(row[name])
                    for name in names
                ]
                each = (f"${number}::{columns[name].sql} IS NULL" for number, name in enumerate(names, start=1))
                await pool.fetchrow(f"SELECT {', '.join(each)}", *values)
            except (*_ERRORS, LookupError) as refused:
                if len(names) > 1:
                    continue
                (name,) = names
                if isinstance(refused, LookupError):
                    return f"column {name}: missing, expected {columns[name].sql}"
                return f"column {name}: {refused}, found {shown(row[name])}"
            else:
                if len(names) > 1:
                    break  # each is taken by itself, so none of them alone is the reason
    return error

"""Are two generations the same, row for row?"""

from dataclasses import dataclass
from typing import Any

from atlas_readmodel.table import ReadModel

TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """`rows` of the newer generation, `different_rows`: keys whose rows differ or are in one of them only."""

    rows: int
    different_rows: int

    @property
    def identical(self) -> bool:
        return self.different_rows == 0


async def compare(connection: Any, model: ReadModel, older: int, newer: int) -> Comparison:
    """Compare every column, the offset of the last record included.

    Means something only where both have handled the same records: see `generations.hold`.
    """
    key = ", ".join(model.table.primary_key)
    old, new = (_rows(model, generation) for generation in (older, newer))
    different = await connection.fetchval(
        f"SELECT count(*) FROM (SELECT DISTINCT {key} FROM"
        f" (({old} EXCEPT ALL {new}) UNION ALL ({new} EXCEPT ALL {old})) AS differing) AS keys",
        timeout=TIMEOUT_S,
    )
    rows = await connection.fetchval(f"SELECT count(*) FROM {model.relation(newer)}", timeout=TIMEOUT_S)
    return Comparison(rows, different)


async def missing(connection: Any, model: ReadModel, older: int, newer: int) -> int:
    """How many rows of the older generation the newer one does not have as they are."""
    old, new = (_rows(model, generation) for generation in (older, newer))
    return int(
        await connection.fetchval(f"SELECT count(*) FROM ({old} EXCEPT ALL {new}) AS missing", timeout=TIMEOUT_S)
    )


def _rows(model: ReadModel, generation: int) -> str:
    # Intervals as text: to PostgreSQL a month is equal to 30 days.
    types = model.table.column_types
    columns = ", ".join(f"{name}::text" if types[name].bare == "interval" else name for name in types)
    return f"SELECT {columns} FROM {model.relation(generation)}"

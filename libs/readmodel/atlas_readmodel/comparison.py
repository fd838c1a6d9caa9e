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
    # Intervals as text: to PostgreSQL a month is equal to 30 days.
    types = model.table.column_types
    columns = ", ".join(f"{name}::text" if types[name].bare == "interval" else name for name in types)
    key = ", ".join(model.table.primary_key)
    old = f"SELECT {columns} FROM {model.relation(older)}"
    new = f"SELECT {columns} FROM {model.relation(newer)}"
    different = await connection.fetchval(
        f"SELECT count(*) FROM (SELECT DISTINCT {key} FROM"
        f" (({old} EXCEPT ALL {new}) UNION ALL ({new} EXCEPT ALL {old})) AS differing) AS keys",
        timeout=TIMEOUT_S,
    )
    rows = await connection.fetchval(f"SELECT count(*) FROM {model.relation(newer)}", timeout=TIMEOUT_S)
    return Comparison(rows, different)

"""docs/types.md has the table of types as the code has it."""

from pathlib import Path
from typing import Any

import orjson
from atlas_avro.meaning import Meaning, Parquet
from atlas_avro.primitives import PRIMITIVES
from atlas_avro.table import LOGICAL, meaning

PAGE = Path(__file__).resolve().parents[4] / "docs" / "types.md"
FIXED = {"type": "fixed", "name": "t.F", "size": 2}
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "decimal": {"precision": 12, "scale": 2, "size": 16, "name": "t.D"},
    "uuid": {"size": 16, "name": "t.U"},
    "duration": {"size": 12, "name": "t.L"},
}
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
# JSON of one value of each type, as it is given out.
SHOWN: dict[str, Any] = {
    "null": None, "boolean": True, "int": 7, "long": 9_007_199_254_740_993, "float": 0.5, "double": 0.1,
    "string": "æøå", "bytes": "\u0000\u00ff", "fixed": "ab", "decimal": "12.30", "uuid": UUID, "date": "2024-02-29",
    "time-millis": "10:15:00.250", "time-micros": "10:15:00.250000", "timestamp-millis": "2024-02-29T10:15:00.250Z",
    "timestamp-micros": "2024-02-29T10:15:00.250000Z", "timestamp-nanos": "2024-02-29T10:15:00.250000001Z",
    "local-timestamp-millis": "2024-02-29T10:15:00.250", "local-timestamp-micros": "2024-02-29T10:15:00.250000",
    "local-timestamp-nanos": "2024-02-29T10:15:00.250000001", "duration": "P1M2DT3.004S",
}  # fmt: skip
HEAD = (
    "| type | on | JSON as given out | or | in an event | PostgreSQL column | Parquet |\n|---|---|---|---|---|---|---|"
)


def rows() -> list[str]:
    made = [_row(name, "", name) for name in PRIMITIVES] + [_row("fixed", "", FIXED)]
    for name, logical in LOGICAL.items():
        bases = sorted(logical.bases)
        made.append(_row(name, ", ".join(bases), {"type": bases[0], "logicalType": name, **ATTRIBUTES.get(name, {})}))
    return made


def _row(name: str, bases: str, definition: Any) -> str:
    found = meaning(definition)
    assert found is not None
    shown = SHOWN[name]
    base = found.parse(shown)
    assert found.render(base if found.value is None else found.value(base)) == shown
    text = orjson.dumps(shown).decode()
    cells = [name, bases, f"`{text}`", _or(found), found.python, f"`{found.column}`", _parquet(found.parquet)]
    return f"| {' | '.join(cells)} |"


def _or(found: Meaning) -> str:
    return "number" if found.looks == ("string", "number") else ""


def _parquet(parquet: Parquet) -> str:
    if parquet.kind == "decimal":
        return f"decimal({parquet.digits}, {parquet.scale})"
    return f"{parquet.kind}, {parquet.digits} digits" if parquet.digits else parquet.kind


def test_the_page_has_every_type_as_the_code_has_it() -> None:
    table = "\n".join([HEAD, *rows()])
    assert table in PAGE.read_text(), f"docs/types.md has another table than:\n{table}"

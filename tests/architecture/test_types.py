"""What a type means is in the table of types alone: who needs to know asks it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("logicalType", "precision", "scale")


def test_nobody_else_reads_the_attributes_of_a_logical_type() -> None:
    files = [path for folder in ("libs", "contexts", "services") for path in (ROOT / folder).glob("*/atlas_*/**/*.py")]
    readers = {
        str(path.relative_to(ROOT))
        for path in files
        for word in WORDS
        if f'"{word}"' in path.read_text() and path.parent.name != "atlas_avro"
    }
    assert not readers
    assert [
        path for path in files if path.name == "table.py" and all(f'"{word}"' in path.read_text() for word in WORDS)
    ]

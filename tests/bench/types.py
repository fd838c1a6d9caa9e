"""What decimals, dates and times cost where events are taken apart: python -m tests.bench.types

The same event with plain types and with logical ones, side by side in one run: what the gateway does with a post, the
projector with a record, and whoever shows an event. The relay passes bytes on, and the archiver looks at lengths alone.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from atlas_contracts.codec import Codec
from atlas_contracts.folder import read_schema, write_lock
from atlas_contracts.registry import Registry
from atlas_contracts.values.exact_json import parse as exactly
from atlas_readmodel.table import Table

from tests.bench.report import publish

_TOPICS = """
topics:
  bench.events:
    source: any
    key: id
    events: [bench.Plain, bench.Typed]
    partitions: 1
    retention: 1d
"""
_DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
_DATE = {"type": "int", "logicalType": "date"}
_MOMENT = {"type": "long", "logicalType": "timestamp-millis"}
_UUID = {"type": "string", "logicalType": "uuid"}
# By field: the plain type with its value, and the logical one with the value that JSON has for it.
_FIELDS: dict[str, tuple[Any, Any, Any, Any]] = {
    "id": ("string", "0f8fad5b-d9cb-469f-a165-70867728950e", _UUID, "0f8fad5b-d9cb-469f-a165-70867728950e"),
    "price": ("double", 1249.5, _DECIMAL, "1249.50"),
    "tax": ("double", 237.41, _DECIMAL, "237.41"),
    "day": ("int", 19_782, _DATE, "2024-02-29"),
    "due": ("int", 19_812, _DATE, "2024-03-30"),
    "at": ("long", 1_709_201_700_250, _MOMENT, "2024-02-29T10:15:00.250Z"),
    "note": ("string", "two of them, blue", "string", "two of them, blue"),
}
_COLUMNS = {
    "plain": ("text", "double precision", "double precision", "integer", "integer", "bigint", "text"),
    "typed": ("uuid", "numeric(12, 2)", "numeric(12, 2)", "date", "date", "bigint", "text"),
}
_EVENTS = 5_000


def registry(folder: Path) -> Registry:
    """Both events on one topic."""
    (folder / "bench").mkdir()
    (folder / "topics.yaml").write_text(_TOPICS)
    locked = {}
    for number, (name, at) in enumerate((("Plain", 0), ("Typed", 2)), start=1):
        fields = [{"name": field, "type": told[at]} for field, told in _FIELDS.items()]
        path = f"bench/{name.lower()}.v1.avsc"
        definition = {"type": "record", "namespace": "bench", "name": name, "fields": fields}
        (folder / path).write_text(json.dumps(definition))
        locked[path] = read_schema(folder, path).locked(number)
    write_lock(folder, locked)
    return Registry.load(folder)


def steps(codec: Codec, kind: str, at: int) -> dict[str, Callable[[], object]]:
    """What is done with one event, by what it is called in the figures."""
    event_type = f"bench.{kind.capitalize()}"
    posted = json.dumps({field: told[at] for field, told in _FIELDS.items()}).encode()
    loads = exactly if codec.exact(event_type) else orjson.loads
    framed = codec.encode_json(event_type, loads(posted))
    event = codec.decode(framed)
    columns = dict(zip(_FIELDS, (f"{column} NOT NULL" for column in _COLUMNS[kind]), strict=True))
    take = Table(columns=columns, key=("id",)).taker
    return {
        f"post_{kind}_us": lambda: codec.encode_json(event_type, loads(posted)),
        f"decode_{kind}_us": lambda: codec.decode(framed),
        f"row_{kind}_us": lambda: take(dict(event.value)) if take is not None else dict(event.value),
        f"show_{kind}_us": lambda: codec.to_json(event),
    }


def measure(rounds: int) -> dict[str, float]:
    """Microseconds of each step, the median of so many rounds, which take turns."""
    with tempfile.TemporaryDirectory() as folder:
        codec = Codec(registry(Path(folder)))
    work = steps(codec, "plain", 1) | steps(codec, "typed", 3)
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, step in work.items():
            begun = time.process_time()
            for _ in range(_EVENTS):
                step()
            taken[name].append((time.process_time() - begun) / _EVENTS * 1e6)
    return {name: statistics.median(found) for name, found in taken.items()}


_NOTES = {
    "post": "JSON text to Avro, as the gateway does",
    "decode": "Avro to Python, one by one",
    "row": "a row as a projection's table holds it",
    "show": "Python to JSON's types, as tail does",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    figures = measure(parser.parse_args().rounds)
    notes = {name: f"{_NOTES[name.partition('_')[0]]}, {name.split('_')[1]} types" for name in figures}
    publish("types", figures, notes=notes)


if __name__ == "__main__":
    main()

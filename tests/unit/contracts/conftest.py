"""A schemas folder to break, and Hypothesis strategies for Avro schemas and their values."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from atlas_contracts.checks import add
from atlas_contracts.values.timestamps import LEAST_MS, MOST_MS
from hypothesis import strategies as st

INT = st.integers(-(2**31), 2**31 - 1)
LONG = st.integers(-(2**63), 2**63 - 1)
TIMESTAMP = {"type": "long", "logicalType": "timestamp-millis"}
# Text that UTF-8 can hold.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": INT,
    "long": LONG,
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "string": TEXT,
    "bytes": st.binary(max_size=12),
}
_LOOK = {"null": 0, "boolean": 1, "int": 2, "long": 2, "float": 2, "double": 2, "string": 3, "bytes": 3}


@st.composite
def schemas(draw: st.DrawFn, depth: int = 2, counter: list[int] | None = None) -> Any:  # noqa: PLR0911
    """A definition as it stands in an .avsc, of any type, its unions unambiguous."""
    counter = [0] if counter is None else counter
    scalars = st.sampled_from([*SCALARS, TIMESTAMP])
    if depth == 0:
        return draw(scalars)
    kind = draw(st.sampled_from(["scalar", "record", "enum", "fixed", "array", "map", "union"]))
    inner = schemas(depth - 1, counter)
    counter[0] += 1
    name = f"t.N{counter[0]}"
    if kind == "scalar":
        return draw(scalars)
    if kind == "record":
        fields = draw(st.lists(NAMES, unique=True, max_size=4))
        return {"type": "record", "name": name, "fields": [{"name": f, "type": draw(inner)} for f in fields]}
    if kind == "enum":
        return {"type": "enum", "name": name, "symbols": draw(st.lists(NAMES, unique=True, min_size=1, max_size=4))}
    if kind == "fixed":
        return {"type": "fixed", "name": name, "size": draw(st.integers(1, 5))}
    if kind == "array":
        return {"type": "array", "items": draw(inner)}
    if kind == "map":
        return {"type": "map", "values": draw(inner)}
    branches = draw(
        st.lists(
            scalars.filter(lambda s: isinstance(s, str)), min_size=1, max_size=4, unique_by=lambda s: _LOOK[str(s)]
        )
    )
    complex_ones = draw(st.sampled_from([[], [{"type": "array", "items": "long"}], [{"type": "map", "values": "int"}]]))
    return branches + complex_ones


def values(definition: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911
    """Values that fit a definition, as Python has them."""
    if isinstance(definition, list):
        return st.one_of([values(branch) for branch in definition])
    if isinstance(definition, str):
        return SCALARS[definition]
    kind = definition["type"]
    if kind == "record":
        return st.fixed_dictionaries({f["name"]: values(f["type"]) for f in definition["fields"]})
    if kind == "enum":
        return st.sampled_from(definition["symbols"])
    if kind == "fixed":
        return st.binary(min_size=definition["size"], max_size=definition["size"])
    if kind == "array":
        return st.lists(values(definition["items"]), max_size=4)
    if kind == "map":
        return st.dictionaries(TEXT, values(definition["values"]), max_size=4)
    if definition == TIMESTAMP:
        return st.integers(LEAST_MS, MOST_MS)
    return values(kind)


def junk() -> st.SearchStrategy[Any]:
    """Anything that Python or JSON may hold where a value is expected."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(),
        st.text(max_size=6),
        st.binary(max_size=6),
        st.sampled_from(["2013-01-01T10:00:00Z", "a", "b", "ab", 1e300, "\ud800"]),
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=2), inner, max_size=3),
        max_leaves=8,
    )


@pytest.fixture(scope="session")
def avro() -> SimpleNamespace:
    """The strategies: schemas(), values(definition), junk()."""
    return SimpleNamespace(schemas=schemas, values=values, junk=junk)


@pytest.fixture
def release() -> Callable[[Path, str, dict[str, Any]], int]:
    """Call it with a folder that has its topics.yaml, a path and a definition: the file is written and has its id."""

    def write(directory: Path, path: str, definition: dict[str, Any]) -> int:
        (directory / path).parent.mkdir(exist_ok=True)
        (directory / path).write_text(json.dumps(definition))
        return add(directory, path)

    return write


Write = Callable[..., dict[str, Any]]

EVENT = {
    "type": "record",
    "namespace": "shop",
    "name": "OrderPlaced",
    "fields": [
        {"name": "order_id", "type": "string"},
        {"name": "lines", "type": {"type": "array", "items": "int"}},
        {"name": "placed_at", "type": TIMESTAMP},
        {"name": "note", "type": ["null", "string"], "default": None},
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A schemas folder with one released event, shop.OrderPlaced, on shop.events."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "order_placed.v1.avsc").write_text(json.dumps(EVENT))
    (tmp_path / "topics.yaml").write_text(
        "topics:\n  shop.events:\n    key: order_id\n    events: [shop.OrderPlaced]\n"
        "    partitions: 4\n    retention: 30d\n"
    )
    add(tmp_path, "shop/order_placed.v1.avsc")
    return tmp_path


@pytest.fixture
def new_version(folder: Path) -> Write:
    """Call it to write the next version of shop.OrderPlaced: changed fields by name, None takes one away."""

    def write(version: int = 2, /, **fields: Any) -> dict[str, Any]:
        definition: dict[str, Any] = json.loads((folder / f"shop/order_placed.v{version - 1}.avsc").read_text())
        kept = {field["name"]: field for field in definition["fields"]}
        for name, field in fields.items():
            if field is None:
                del kept[name]
            else:
                kept[name] = {"name": name, **field}
        definition["fields"] = list(kept.values())
        (folder / f"shop/order_placed.v{version}.avsc").write_text(json.dumps(definition))
        return definition

    return write

"""What a value of each Avro type is in Arrow and Parquet: the column's type, and what makes a cell of a value.

Records are structs, arrays lists, maps maps. A union of one type and null is a column of that type; of several types a
struct with a member for each, of which one is not null. Where a type holds itself, and where types nest too deeply or
are too many, the part is a column of JSON text. Primitive and logical types are as `atlas_avro.table` says.

Values are as a reader of events gives them, but for unions of several types: those are (index of the branch, value).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from atlas_avro.meaning import Meaning
from atlas_avro.walk import fold

from atlas_archive.tables.cells import Make, arrow, leaf, plain_leaf

if TYPE_CHECKING:
    import pyarrow

# Above this a part becomes text: readers of Parquet take deep types, but not any depth, and no million of columns.
DEPTH_MAX = 60
LEAVES_MAX = 4_000


@dataclass(slots=True)
class Column:
    """`type`: None while what it is made of is not known, which is where a type refers to itself.

    `cell`: a value → what Arrow takes; None where that is the same. It raises ValueError for a value without a place.
    `plain`: a value → what JSON has for it. `leaves`: the columns that Parquet has of it; `depth`: how deep it nests.
    """

    plain: Make
    type: "pyarrow.DataType | None" = None
    cell: Make | None = None
    leaves: int = 1
    depth: int = 1

    def as_text(self) -> "Column":
        """The same values as JSON text."""
        return Column(self.plain, arrow().string(), _text_of(self.plain))


@dataclass(slots=True)
class Tally:
    """What values take in memory, as far as it is counted: fields and items of arrays and maps, and bytes."""

    items: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Columns:
    """The columns of a schema by name, and what makes their cells of a value. Raises ValueError, TypeError, …"""

    types: "dict[str, pyarrow.DataType]"
    cells: Callable[[Any], tuple[Any, ...]]
    leaves: int
    tally: Tally


def columns_of(definition: Any) -> Columns:
    """The columns of a definition (names in full): those of its fields, or `_value` where it is no record."""
    tally = Tally()
    maker = _Maker(tally)
    root = fold(definition, maker)
    if isinstance(definition, Mapping) and definition["type"] in ("record", "error"):
        fields = maker.fields[definition["name"]]
        makers = [(name, column.cell) for name, column in fields.items()]

        def cells(value: Any) -> tuple[Any, ...]:
            return tuple([value[name] if cell is None else cell(value[name]) for name, cell in makers])

        types = {name: column.type for name, column in fields.items()}
        return Columns(types, cells, sum(column.leaves for column in fields.values()), tally)
    ready, cell = _ready(root), _ready(root).cell
    return Columns({"_value": ready.type}, lambda value: (value if cell is None else cell(value),), ready.leaves, tally)


def _ready(column: Column, depth_max: int = DEPTH_MAX) -> Column:
    """The column, or its text where it can't be a part of another."""
    fits = column.type is not None and column.depth < depth_max and column.leaves <= LEAVES_MAX
    return column if fits else column.as_text()


def _text_of(plain: Make) -> Make:
    def text(value: Any) -> str | None:
        return None if value is None else orjson.dumps(plain(value)).decode()

    return text


@dataclass(slots=True)
class _Maker:
    tally: Tally
    fields: dict[str, dict[str, Column]] = field(default_factory=dict)

    def leaf(self, _definition: Any, meaning: Meaning) -> Column:
        kind, cell = leaf(meaning)
        return Column(plain_leaf(meaning), kind, cell, leaves=3 if meaning.parquet.kind == "duration" else 1)

    def enum(self, _definition: Mapping[str, Any]) -> Column:
        return Column(_same, arrow().string())

    def record(self, definition: Mapping[str, Any]) -> tuple[Column, Callable[[Sequence[Column]], None]]:
        fields: dict[str, Column] = {}
        self.fields[definition["name"]] = fields

        def plain(value: Any) -> Any:
            return {name: column.plain(value[name]) for name, column in fields.items()}

        made = Column(plain)

        def fill(columns: Sequence[Column]) -> None:
            fields.update(
                {part["name"]: _ready(column) for part, column in zip(definition["fields"], columns, strict=True)}
            )
            _shrink(fields)
            _close(made, fields)

        return made, fill

    def array(self, _definition: Mapping[str, Any], items: Column) -> Column:
        ready, tally, plain = _ready(items), self.tally, items.plain
        inner, weight = ready.cell, ready.leaves

        def cell(value: Any) -> Any:
            tally.items += len(value) * weight
            return value if inner is None else [inner(item) for item in value]

        kind = arrow().list_(ready.type)
        return Column(lambda value: [plain(item) for item in value], kind, cell, ready.leaves, ready.depth + 1)

    def map(self, _definition: Mapping[str, Any], values: Column) -> Column:
        ready, tally, plain = _ready(values), self.tally, values.plain
        inner, weight = ready.cell, ready.leaves + 1

        def cell(value: Any) -> Any:
            tally.items += len(value) * weight
            return list(value.items()) if inner is None else [(name, inner(item)) for name, item in value.items()]

        def plain_map(value: Any) -> Any:
            return {name: plain(item) for name, item in value.items()}

        return Column(plain_map, arrow().map_(arrow().string(), ready.type), cell, ready.leaves + 1, ready.depth + 1)

    def union(self, branches: Sequence[Any], made: Sequence[Column]) -> Column:
        others = [index for index, branch in enumerate(branches) if branch != "null"]
        if len(others) > 1:
            names = branch_names(branches)
            return _several(names, {index: made[index] for index in others})
        if not others:
            return Column(_same, arrow().null())
        ready, plain = _ready(made[others[0]]), made[others[0]].plain
        return Column(_optional(plain), ready.type, ready.cell and _optional(ready.cell), ready.leaves, ready.depth)


def branch_names(branches: Sequence[Any]) -> list[str]:
    """The names of a union's branches as members of a struct: the type's, without its namespace if that is clear."""
    full = [branch if isinstance(branch, str) else branch.get("name", branch["type"]) for branch in branches]
    full = [name if isinstance(name, str) else f"branch_{index}" for index, name in enumerate(full)]
    short = [name.rpartition(".")[2] for name in full]
    found: list[str] = []
    for name, simple in zip(full, short, strict=True):
        chosen = simple if short.count(simple) == 1 else name.replace(".", "_")
        while chosen in found:
            chosen += "_"
        found.append(chosen)
    return found


def _several(names: Sequence[str], made: Mapping[int, Column]) -> Column:
    """A union of several types: a struct with a member a type."""
    members = {names[index]: _ready(column) for index, column in made.items()}
    _shrink(members)
    by_index = {index: (names[index], members[names[index]].cell) for index in made}

    def cell(told: Any) -> Any:
        index, value = told
        if index not in by_index:
            return None
        name, inner = by_index[index]
        return {name: value if inner is None else inner(value)}

    def plain(told: Any) -> Any:
        index, value = told
        return {names[index]: made[index].plain(value)} if index in made else None

    column = Column(plain)
    _close(column, members)
    column.cell = cell
    return column


def _close(made: Column, fields: Mapping[str, Column]) -> None:
    """Make a struct of its members, now that all are known. Parquet has none without members: that is JSON text."""
    if not fields:
        made.type, made.cell = arrow().string(), _text_of(made.plain)
        return
    made.type = arrow().struct([(name, column.type) for name, column in fields.items()])
    made.leaves = sum(column.leaves for column in fields.values())
    made.depth = 1 + max(column.depth for column in fields.values())
    makers = [(name, column.cell) for name, column in fields.items()]
    if any(cell is not None for _, cell in makers):
        made.cell = lambda value: {name: value[name] if cell is None else cell(value[name]) for name, cell in makers}


def _shrink(fields: dict[str, Column]) -> None:
    """Where there are too many leaves in all, the largest parts become text."""
    excess = sum(column.leaves for column in fields.values()) - LEAVES_MAX
    for name in sorted(fields, key=lambda name: -fields[name].leaves):
        if excess <= 0 or fields[name].leaves == 1:
            return
        excess -= fields[name].leaves - 1
        fields[name] = fields[name].as_text()


def _optional(make: Make) -> Make:
    return lambda value: None if value is None else make(value)


def _same(value: Any) -> Any:
    return value

"""Random schemas of the whole Avro specification, out of one source of chance: a seed, or Hypothesis.

A schema is made in a plain form first, which is easy to change: each named type has its full name, is defined where it
is met first and is a name afterwards. `spelled` then writes it in the many ways that the specification allows.
"""

import copy
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "string", "bytes")
SIMPLE = ("A", "B", "C", "D", "E", "F", "G", "H")
NAMESPACES = ("t", "t", "u", "t.deep.er")
FIELDS = ("a", "b", "c", "d", "e", "f", "g")
SYMBOLS = ("A", "B", "C", "D", "lower", "_1")
LOGICAL: tuple[Mapping[str, Any], ...] = (
    *({"type": "int", "logicalType": name} for name in ("date", "time-millis")),
    *(
        {"type": "long", "logicalType": name}
        for name in (
            "time-micros", "timestamp-millis", "timestamp-micros", "timestamp-nanos", "local-timestamp-millis",
            "local-timestamp-micros", "local-timestamp-nanos",
        )
    ),
    {"type": "string", "logicalType": "uuid"},
    {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
    {"type": "bytes", "logicalType": "decimal", "precision": 38},
    {"type": "string", "logicalType": "of-a-later-age"},
    {"type": "int", "logicalType": "of-a-later-age", "scale": 3},
    {"type": "string", "avro.java.string": "String"},
)  # fmt: skip
LOGICAL_FIXED: tuple[Mapping[str, Any], ...] = (
    {"size": 16, "logicalType": "uuid"},
    {"size": 12, "logicalType": "duration"},
    {"size": 5, "logicalType": "decimal", "precision": 10, "scale": 3},
    {"size": 16, "logicalType": "decimal", "precision": 38, "scale": 10},
)


class NoDefault(Exception):
    """A type that has no finite default."""


class Maker:
    """Makes types. `names`: the named types made so far, in plain form; `within`: the records around the place."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.names: dict[str, Any] = {}
        self.within: list[str] = []

    def whole(self, depth: int = 3) -> dict[str, Any]:
        """A record t.R: what an event is."""
        self.names, self.within = {}, []
        made: dict[str, Any] = settled(self.record("t.R", depth) | {"type": "record"}, copy.deepcopy(self.names), set())
        return made

    def chance(self, of_a_hundred: int) -> bool:
        """True so many times of a hundred."""
        return self.random.randint(1, 100) <= of_a_hundred

    def type(self, depth: int) -> Any:
        """Any type; at depth 0 one without others in it."""
        if self.names and self.chance(12):
            known = [name for name in self.names if name not in self.within]
            if known:
                return self.random.choice(known)
        kinds = ["primitive"] * 4 + ["logical", "logical", "enum", "fixed"]
        if depth > 0:
            kinds += ["record"] * 3 + ["array", "array", "map", "map"] + ["union"] * 4
        return self._of(self.random.choice(kinds), depth)

    def _of(self, kind: str, depth: int) -> Any:  # noqa: PLR0911 - one a kind of type
        if kind == "primitive":
            return self.random.choice(PRIMITIVES)
        if kind == "logical":
            return dict(self.random.choice(LOGICAL))
        if kind == "union":
            return self.union(depth)
        if kind == "array":
            return {"type": "array", "items": self.held(depth - 1)}
        if kind == "map":
            return {"type": "map", "values": self.held(depth - 1)}
        name = self.free_name()
        if name is None:
            return self.random.choice(PRIMITIVES)
        if kind == "record":
            return self.record(name, depth - 1)
        return self.enum(name) if kind == "enum" else self.fixed(name)

    def held(self, depth: int) -> Any:
        """What an array, a map or a union may hold: also a record that is around it."""
        return self.random.choice(self.within) if self.within and self.chance(15) else self.type(depth)

    def free_name(self) -> str | None:
        """A full name that is not taken."""
        for _ in range(20):
            name = f"{self.random.choice(NAMESPACES)}.{self.random.choice(SIMPLE)}"
            if name not in self.names:
                return name
        return None

    def record(self, name: str, depth: int) -> dict[str, Any]:
        """A record of up to four fields."""
        made: dict[str, Any] = {"type": "error" if self.chance(3) else "record", "name": name, "fields": []}
        self.names[name] = made
        self.within.append(name)
        count = self.random.randint(1 if name == "t.R" else 0, 4)
        made["fields"] = [self.field(field, depth) for field in self.random.sample(FIELDS, count)]
        claimed: list[str] = []
        for field in made["fields"]:  # an alias belongs to one field
            if "aliases" in field:
                field["aliases"] = [alias for alias in field["aliases"] if alias not in [*claimed, field["name"]]]
                claimed += field["aliases"]
        self.within.remove(name)
        return self.with_aliases(made)

    def with_aliases(self, made: dict[str, Any]) -> dict[str, Any]:
        """The same, perhaps with the name of another type that it once had."""
        if made["name"] != "t.R" and self.chance(15):
            made["aliases"] = [f"{self.random.choice(NAMESPACES)}.{self.random.choice(SIMPLE)}"]
        return made

    def field(self, name: str, depth: int) -> dict[str, Any]:
        """A field, with a default half the time."""
        made: dict[str, Any] = {"name": name, "type": self.type(depth)}
        if self.chance(15):
            made["aliases"] = self.random.sample(FIELDS, self.random.randint(1, 2))
        if self.chance(50):
            self.give_default(made)
        return made

    def give_default(self, field: dict[str, Any]) -> None:
        """Set a default that fits, where there is one."""
        try:
            field["default"] = self.default(field["type"])
        except NoDefault:
            field.pop("default", None)

    def enum(self, name: str) -> dict[str, Any]:
        """An enum, with a default at times."""
        symbols = self.random.sample(SYMBOLS, self.random.randint(1, 4))
        made: dict[str, Any] = {"type": "enum", "name": name, "symbols": symbols}
        if self.chance(40):
            made["default"] = self.random.choice(symbols)
        self.names[name] = made
        return self.with_aliases(made)

    def fixed(self, name: str) -> dict[str, Any]:
        """A fixed, of a logical type at times."""
        made: dict[str, Any] = {"type": "fixed", "name": name, "size": self.random.choice([1, 2, 3, 16])}
        if self.chance(40):
            made |= self.random.choice(LOGICAL_FIXED)
        self.names[name] = made
        return self.with_aliases(made)

    def union(self, depth: int) -> list[Any]:
        """A union of one to five branches, each kind and name once."""
        branches: list[Any] = []
        for _ in range(self.random.randint(1, 5)):
            branch = self.held(depth - 1)
            kinds = {kind_of(each, self.names) for each in branches}
            if not isinstance(branch, list) and kind_of(branch, self.names) not in kinds:
                branches.append(branch)
        if not branches or (self.chance(50) and "null" not in branches):
            branches.insert(self.random.choice([0, 0, len(branches)]), "null")
        return branches

    def default(self, definition: Any, depth: int = 4) -> Any:  # noqa: PLR0911 - one a kind of type
        """A default as JSON has it."""
        if depth == 0:
            raise NoDefault
        if isinstance(definition, list):
            return self.default(definition[0], depth)
        if isinstance(definition, str) and definition in self.names:
            definition = self.names[definition]
        kind = definition if isinstance(definition, str) else definition["type"]
        if kind in ("record", "error"):
            fields = [field for field in definition["fields"] if "default" not in field or self.chance(50)]
            return {field["name"]: self.default(field["type"], depth - 1) for field in fields}
        if kind == "array":
            return [self.default(definition["items"], depth - 1)] if self.chance(30) else []
        if kind == "map":
            return {"k": self.default(definition["values"], depth - 1)} if self.chance(30) else {}
        if kind == "enum":
            return self.random.choice(definition["symbols"])
        if kind == "fixed":
            return "\u0000" * definition["size"] if "logicalType" in definition else "\u00ff" * definition["size"]
        if isinstance(definition, dict) and definition.get("logicalType") == "uuid":
            return "123e4567-e89b-12d3-a456-426614174000"
        return self._scalar_default(kind, logical=isinstance(definition, dict))

    def _scalar_default(self, kind: str, *, logical: bool) -> Any:
        numbers = [0, 1, 1000] if logical else [0, -1, 2**31 - 1, -(2**31)]
        choices: dict[str, list[Any]] = {
            "null": [None],
            "boolean": [True, False],
            "int": numbers,
            "long": numbers if logical else [*numbers, 2**63 - 1, -(2**63)],
            "float": [0.0, 1.5, -2, 1e30],
            "double": [0.0, 1.5, -2, 1e300],
            "string": ["", "x", "\u00ff\u20ac\U0001f600"],
            "bytes": ["", "\u0001"] if logical else ["", "\u00ff\u0000", "x"],
        }
        return self.random.choice(choices[kind])


def kind_of(definition: Any, names: Mapping[str, Any]) -> str:
    """What a union may have once: a type without a name, or a name."""
    if isinstance(definition, str):
        return definition
    if isinstance(definition, list):
        return "union"
    return str(definition.get("name") or definition["type"])


def named_in(definition: Any) -> Iterator[dict[str, Any]]:
    """Every definition of a named type, in order."""
    if isinstance(definition, list):
        for branch in definition:
            yield from named_in(branch)
    elif isinstance(definition, dict):
        if "name" in definition:
            yield definition
        for field in definition.get("fields", ()):
            yield from named_in(field["type"])
        for part in ("items", "values"):
            yield from named_in(definition.get(part))


def settled(definition: Any, known: Mapping[str, Any], seen: set[str]) -> Any:
    """Each named type defined where it is met first, and by its name afterwards; unions without twins."""
    if isinstance(definition, list):
        branches: list[Any] = []
        for branch in definition:
            if kind_of(branch, known) not in [kind_of(each, known) for each in branches]:
                branches.append(settled(branch, known, seen))
        return branches
    if isinstance(definition, str):
        if definition in PRIMITIVES or definition in seen:
            return definition
        return settled(copy.deepcopy(known[definition]), known, seen)
    if "name" in definition:
        if definition["name"] in seen:
            return definition["name"]
        seen.add(definition["name"])
    for field in definition.get("fields", ()):
        field["type"] = settled(field["type"], known, seen)
    for part in ("items", "values"):
        if part in definition:
            definition[part] = settled(definition[part], known, seen)
    return definition


def spelled(random: Random, definition: Any, namespace: str = "") -> Any:
    """The same schema in other words: short names where they do, `namespace` apart, objects for names, properties that
    mean nothing to a reader.
    """
    if isinstance(definition, list):
        return [spelled(random, branch, namespace) for branch in definition]
    if isinstance(definition, str):
        if definition in PRIMITIVES:
            return {"type": definition} if random.randint(1, 8) == 1 else definition
        return _short(random, definition, namespace)
    made = copy.deepcopy({key: part for key, part in definition.items() if key not in ("fields", "items", "values")})
    if "name" in made:
        inner, _, simple = made["name"].rpartition(".")
        if random.randint(0, 1):
            made["name"] = simple
            if inner != namespace or random.randint(0, 1):
                made["namespace"] = inner
        if "aliases" in made:
            made["aliases"] = [_short(random, alias, inner) for alias in made["aliases"]]
        namespace = inner
    if "fields" in definition:
        made["fields"] = [_spelled_field(random, field, namespace) for field in definition["fields"]]
    for part in ("items", "values"):
        if part in definition:
            made[part] = spelled(random, definition[part], namespace)
    if random.randint(1, 10) == 1:
        made |= {"doc": "said of it", "x-owner": {"team": ["a", 1]}}
    return made


def _spelled_field(random: Random, field: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    made = dict(field) | {"type": spelled(random, field["type"], namespace)}
    if random.randint(1, 10) == 1:
        made |= {"order": random.choice(["ascending", "descending", "ignore"]), "doc": "said of it"}
    return made


def _short(random: Random, name: str, namespace: str) -> str:
    inner, _, simple = name.rpartition(".")
    return simple if inner == namespace and simple not in PRIMITIVES and random.randint(0, 1) else name

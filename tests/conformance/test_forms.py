"""What Avro's Java library takes as a schema is taken here, and what it refuses is not; docs/types.md has the rest."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from atlas_avro.names import NotASchema, parse
from atlas_contracts.forms import form_faults
from atlas_contracts.imports.inlining import inline
from atlas_contracts.shared_types import SharedTypes
from atlas_contracts.values.binary import compile_writer
from atlas_contracts.values.limits import limit_faults
from atlas_contracts.values.scalars import Faults
from atlas_contracts.values.shapes import compile_shape

from tests.conformance.avro_java import AvroJava, Refused
from tests.conformance.schemas import Maker, spelled
from tests.unit.avro.large import TOO_MUCH_OF_NOTHING

PAGE = Path(__file__).resolve().parents[2] / "docs" / "types.md"
FIXED = {"type": "fixed", "name": "F", "size": 2}
ENUM = {"type": "enum", "name": "E", "symbols": ["A"]}
SCHEMAS = 400


def record(*fields: Any, **attributes: Any) -> dict[str, Any]:
    named = [{"name": f"f{number}", "type": kind} for number, kind in enumerate(fields)]
    return {"type": "record", "name": "t.R", "fields": named, **attributes}


def of_field(kind: Any = "int", **attributes: Any) -> dict[str, Any]:
    return {"type": "record", "name": "t.R", "fields": [{"name": "f", "type": kind, **attributes}]}


ALIKE: dict[str, Any] = {
    "one type twice in a union": record(FIXED, ["F", "t.F"]),
    "a type and its name in a union": record([FIXED, "t.F"]),
    "a type and an object with its name": record(FIXED, ["F", {"type": "F"}]),
    "a type without a namespace, twice": record({**FIXED, "namespace": ""}, ["F", {"type": "F"}]),
    "two types of one name in two namespaces": record(FIXED, {**FIXED, "namespace": "u"}, ["F", "u.F"]),
    "an order that is none": of_field(order="sideways"),
    "an order in capitals": of_field(order="IGNORE"),
    "an order that is null": of_field(order=None),
    "a name with _": {"type": "record", "name": "t._Foo", "fields": []},
    "an error": {"type": "error", "name": "t.Foo", "fields": []},
    "a type behind its name": record("E", ENUM, ["null", "E"]),
    "a type behind its name, deeper": record({"type": "array", "items": "E"}, {"type": "map", "values": ENUM}),
    "two types of one name": record("E", ENUM, {**ENUM, "symbols": ["B"]}),
    "a type that is nowhere": record("Nope"),
    "a type called int, in a namespace": record({"type": "fixed", "name": "int", "namespace": "t", "size": 1}),
    "a type called int, in the namespace around it": record({"type": "fixed", "name": "int", "size": 1}),
    "a type called int": record({"type": "fixed", "name": "int", "namespace": "", "size": 1}),
    "a namespace with -": record({**FIXED, "namespace": "a-b"}),
    "a field with -": {"type": "record", "name": "t.R", "fields": [{"name": "a-b", "type": "int"}]},
    "a union in a union": record(["int", ["null"]]),
    "an object in `type`": record({"type": {"type": "array", "items": "int"}}),
    "an alias that is the type's own name": record("int", aliases=["R"]),
    "aliases that are no list": record("int", aliases="R"),
    "a default of another type": of_field(default="x"),
    "a default of the second branch": of_field(["null", "int"], default=5),
    "a default with too little": of_field(record("int", name="t.X"), default={}),
    "a record without fields": {"type": "record", "name": "t.R"},
    "a fixed of no bytes": record({**FIXED, "size": 0}),
    "a fixed of less": record({**FIXED, "size": -1}),
}
# Each as docs/types.md says it. Java's library takes them.
REFUSED_HERE: dict[str, Any] = {
    "letters beyond `A` to `z` in names": {"type": "record", "name": "t.R", "fields": [{"name": "né", "type": "int"}]},
    "a union without branches, an enum without symbols": record([]),
    "a fixed of more than 1 MiB": record({**FIXED, "size": 2**20 + 1}),
    "a decimal whose precision or scale can't be": record({"type": "bytes", "logicalType": "decimal", "precision": 0}),
    "two fields with one alias, an alias of a field with a dot": of_field(aliases=["a.b"]),
    "a default that its logical type does not take": of_field({"type": "string", "logicalType": "uuid"}, default="x"),
    "a namespace that is no text": of_field({**FIXED, "namespace": 3}),
    "a type whose values take no byte and have more than 65,536 values in them": TOO_MUCH_OF_NOTHING,
    "types within types deeper than 104": of_field("int"),
}


def refused(definition: Any) -> list[str]:
    """Why the house does not take a schema; empty when it does."""
    try:
        if faults := form_faults(definition):
            return faults
        resolved = SharedTypes([], {}).resolve(definition).definition
        if faults := form_faults(resolved):
            return faults
        compile_shape(parse(resolved), {})
        return limit_faults(parse(resolved))
    except NotASchema as error:
        return [str(error)]
    except Faults as faults:
        return [f"a default does not fit its type: {error}" for error in faults.errors]


def said_by(java: AvroJava, definition: Any) -> str:
    """Why Java's library does not take a schema; empty when it does."""
    try:
        java.ask("parse", schema=json.dumps(definition))
    except Refused as refusal:
        return str(refusal)
    return ""


@pytest.mark.parametrize("name", ALIKE)
def test_both_say_the_same(java: AvroJava, name: str) -> None:
    assert bool(refused(ALIKE[name])) is bool(said_by(java, ALIKE[name]))


@pytest.mark.parametrize("name", REFUSED_HERE)
def test_what_is_refused_here_alone_is_listed(java: AvroJava, name: str) -> None:
    definition = REFUSED_HERE[name]
    if "deeper" in name:
        for _ in range(104):
            definition = of_field({"type": "array", "items": definition["fields"][0]["type"]})
    assert refused(definition)
    assert not said_by(java, definition)
    assert f"| {name} |" in PAGE.read_text()


def test_a_type_without_a_namespace_has_one_name_in_all(java: AvroJava) -> None:
    """As it is given out, with the shared type written in, Java's library reads it, and its JSON has the same tags."""
    line = {"type": "record", "name": "u.Line", "fields": [{"name": "f", "type": ["null", "F"]}]}
    whole = inline(record("F", line, ["null", "F"]), {"F": FIXED}).definition
    answer = java.ask("to_json", schema=json.dumps(whole), hex=(b"ab\x02cd\x02ef").hex())
    assert json.loads(answer["json"]) == {"f0": "ab", "f1": {"f": {"F": "cd"}}, "f2": {"F": "ef"}}
    shown = compile_shape(parse(whole), {})(json.loads(answer["json"]), True)
    assert compile_writer(parse(whole), json=False)(shown) == b"ab\x02cd\x02ef"


Slip = Callable[[Random, dict[str, Any]], None]


def _places(definition: Any) -> list[dict[str, Any]]:
    """Every object of a schema that is a type, and every field."""
    found: list[dict[str, Any]] = []
    if isinstance(definition, list):
        return [place for part in definition for place in _places(part)]
    if isinstance(definition, dict):
        found.append(definition)
        for part in ("type", "items", "values", "fields"):
            found += _places(definition.get(part))
    return found


def _other_type(random: Random, place: dict[str, Any]) -> None:
    part = random.choice([part for part in ("type", "items", "values") if part in place])
    place[part] = random.choice(
        ["int", "R", "t.R", "A", "t.Nope", [], ["int", "int"], ["R", "t.R"], None, 3, {}, "map"]
    )


def _twice(random: Random, place: dict[str, Any]) -> None:
    for part in ("fields", "symbols", "aliases", "type", "items"):
        if isinstance(place.get(part), list) and place[part]:
            place[part].append(copy.deepcopy(random.choice(place[part])))


def _gone(random: Random, place: dict[str, Any]) -> None:
    place.pop(random.choice(sorted(place)))


def _odd(random: Random, place: dict[str, Any]) -> None:
    odd: list[Any] = [None, 3, "", "x", "a-b", "a.b", ".", "int", [], ["x"], {}, True, "R", "t.R"]
    place[random.choice([*sorted(place), "order", "namespace", "default", "aliases", "doc"])] = random.choice(odd)


def _turned(random: Random, place: dict[str, Any]) -> None:
    for part in ("fields", "type"):
        if isinstance(place.get(part), list):
            place[part].reverse()


SLIPS: tuple[Slip, ...] = (_other_type, _twice, _gone, _odd, _turned)
# What is said of those that only Java's library takes: what REFUSED_HERE lists.
LISTED = (
    "a union without branches", "`symbols` is not a list of one", "have the alias", "a decimal", "the namespace",
    "bytes can't hold",
    "the aliases", "a default does not fit",
)  # fmt: skip


# What Java's library says of defaults of a type that is not whole yet.
NOT_WHOLE = ("Schema fields not set yet", "UnresolvedSchema")


def test_a_schema_with_a_slip_is_judged_alike(java: AvroJava) -> None:
    seen = {True: 0, False: 0}
    for seed in range(SCHEMAS):
        random = Random(seed)
        definition = spelled(random, Maker(random).whole(3))
        random.choice(SLIPS)(random, random.choice(_places(definition)))
        faults, said = refused(definition), said_by(java, definition)
        seen[not said] += 1
        if not said:
            unlisted = [fault for fault in faults if not any(words in fault for words in LISTED)]
            assert not unlisted, (seed, unlisted, json.dumps(definition))
        else:
            assert faults or any(words in said for words in NOT_WHOLE), (seed, said, json.dumps(definition))
    assert min(seen.values()) > SCHEMAS / 5

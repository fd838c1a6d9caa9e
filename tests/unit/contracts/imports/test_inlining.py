"""Types from elsewhere are written in once, and mean in their new place what they meant in their own."""

import copy
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from atlas_avro.names import NotASchema, outline, parse
from atlas_contracts.forms import NESTING_MAX
from atlas_contracts.imports.importing import Offer, import_schemas
from atlas_contracts.imports.inlining import inline
from atlas_contracts.registry import Registry
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.schemas import Maker, spelled


def record(name: str, *fields: Any, **attributes: Any) -> dict[str, Any]:
    made = [{"name": f"f{number}", "type": kind} for number, kind in enumerate(fields)]
    return {"type": "record", "name": name, "fields": made, **attributes}


MONEY = record("Money", "long", namespace="shop")
BARE = {"type": "fixed", "name": "Hash", "size": 4}


def test_a_type_is_written_out_where_it_is_met_first() -> None:
    event = record("shop.Sold", "Money", {"type": "array", "items": "shop.Money"}, {"type": "Money", "doc": "again"})
    made = inline(event, {"shop.Money": MONEY})
    assert made.used == ["shop.Money"]
    assert made.definition == record(
        "shop.Sold",
        record("shop.Money", "long"),
        {"type": "array", "items": "shop.Money"},
        {"type": "Money", "doc": "again"},
    )


def test_what_names_nothing_from_elsewhere_is_the_very_same() -> None:
    event = record("shop.Sold", "int", MONEY, "Money", "Nowhere")
    assert inline(event, {"shop.Money": record("shop.Money", "string"), "x.Y": MONEY}).definition is event


def test_a_name_is_of_the_namespace_around_it_first() -> None:
    elsewhere = {"Hash": BARE, "a.Hash": {**BARE, "name": "a.Hash", "size": 8}}
    made = parse(inline(record("a.R", "Hash", record("b.In", "Hash")), elsewhere).definition)
    assert made["fields"][0]["type"]["name"] == "a.Hash"
    assert made["fields"][1]["type"]["fields"][0]["type"] == {**BARE, "namespace": ""}


def test_a_type_without_a_namespace_is_one_for_all_namespaces() -> None:
    event = record("a.R", "Hash", record("b.In", "Hash", ["null", "Hash"]), record("c.In", {"type": "Hash"}))
    names: dict[str, Any] = {}
    parse(inline(event, {"Hash": BARE}).definition, names)
    assert sorted(names) == ["Hash", "a.R", "b.In", "c.In"]


def test_types_from_elsewhere_may_name_each_other_and_themselves() -> None:
    tree = record("t.Tree", {"type": "array", "items": "Tree"}, "Leaf")
    made = inline(record("u.R", "t.Tree", "t.Leaf"), {"t.Tree": tree, "t.Leaf": record("t.Leaf")})
    assert (made.used, made.circles) == (["t.Tree", "t.Leaf"], [])
    assert parse(made.definition)["fields"][1]["type"] == "t.Leaf"


def test_a_type_that_stands_behind_its_name_is_moved_there() -> None:
    line = record("Line", ["null", "Line"], "Hash")
    far = record("b.In", {**BARE, "namespace": "a"})
    made = inline(record("a.R", "Line", {"type": "map", "values": line}, far, "Hash"), {"a.Line": record("a.Line")})
    assert made.used == []
    parsed = parse(made.definition)
    assert parsed["fields"][0]["type"]["fields"][1]["type"] == {**BARE, "name": "a.Hash"}
    moved = [field["type"] for field in parsed["fields"][1:]]
    assert moved == [{"type": "map", "values": "a.Line"}, record("b.In", "a.Hash"), "a.Hash"]


def test_two_types_of_one_name_are_not_made_one() -> None:
    one, other = ({"type": "enum", "name": "E", "symbols": [symbol]} for symbol in "AB")
    with pytest.raises(NotASchema, match=r"/f2: a\.E is defined twice, and not alike"):
        parse(inline(record("a.R", "E", one, other), {}).definition)


def test_those_that_hold_each_other_are_told() -> None:
    elsewhere = {
        "t.A": record("t.A", ["null", "B"]),
        "t.B": record("t.B", ["null", "C"]),
        "t.C": record("t.C", "A", "B"),
    }
    assert inline(record("t.R", "A"), elsewhere).circles == [("t.A", "t.B", "t.C", "t.A"), ("t.B", "t.C", "t.B")]


def test_a_long_way_from_type_to_type_is_refused_and_no_crash() -> None:
    elsewhere = {f"t.T{number}": record(f"t.T{number}", f"T{number + 1}") for number in range(5_000)}
    with pytest.raises(NotASchema, match=f"nested deeper than {NESTING_MAX}"):
        inline(record("t.R", "T0"), elsewhere)


def test_a_long_way_within_one_schema_as_well() -> None:
    chain = [record(f"T{number}", f"T{number + 1}") for number in range(5_000)]
    with pytest.raises(NotASchema, match=f"nested deeper than {NESTING_MAX}"):
        inline(record("t.R", "T0", *chain), {})


def test_what_is_no_schema_is_left_for_others_to_say() -> None:
    for odd in (
        record("t.R", None, {}, {"type": "array"}, {"type": 3}),
        {"type": "record", "name": "t.R", "fields": 3},
    ):
        assert inline(odd, {"t.X": MONEY}).definition is odd


@given(st.randoms(use_true_random=False))
def test_taken_apart_and_put_together_a_schema_is_what_it_was(random: Random) -> None:
    """Any schema: some of its named types are put elsewhere, in any spelling; the event names them."""
    whole = parse(Maker(random).whole(4))
    names: dict[str, Any] = {}
    parse(whole, names)
    moved = {name for name in sorted(names) if name != whole["name"] and random.randint(0, 1)}
    elsewhere = {name: spelled(random, apart(names[name], moved)) for name in moved}
    event = spelled(random, apart(whole, moved))
    before = copy.deepcopy((event, elsewhere))
    made = inline(event, elsewhere)
    assert flat(made.definition) == flat(whole)
    assert set(made.used) == moved & set(flat(whole))
    assert (event, elsewhere) == before


def apart(definition: Any, moved: set[str], *, top: bool = True) -> Any:
    """A definition with the names of those that are moved in their place."""
    if isinstance(definition, list):
        return [apart(part, moved, top=False) for part in definition]
    if not isinstance(definition, dict):
        return definition
    if not top and definition.get("name") in moved:
        return definition["name"]
    made = dict(definition)
    if "fields" in made:
        made["fields"] = [{**field, "type": apart(field["type"], moved, top=False)} for field in made["fields"]]
    for part in ("items", "values"):
        if part in made:
            made[part] = apart(made[part], moved, top=False)
    return made


def flat(definition: Any) -> dict[str, Any]:
    """Each named type by itself, without what spelling adds."""
    names: dict[str, Any] = {}
    parse(definition, names)
    return {name: said(outline(made)) for name, made in names.items()}


def said(definition: Any) -> Any:
    if isinstance(definition, list):
        return [said(part) for part in definition]
    if isinstance(definition, dict):
        kept = {
            key: said(part) for key, part in definition.items() if key not in ("doc", "x-owner", "order", "namespace")
        }
        return kept["type"] if kept.keys() == {"type"} and isinstance(kept["type"], str) else kept
    return definition


def test_an_imported_type_without_a_namespace_keeps_its_name_wherever_it_is_used(folder: Path) -> None:
    """As Avro's Java library has it of a registry's references: one type, in no namespace."""
    line = record("shop.lines.Line", "Hash")
    event = record("shop.orders.Paid", "string", "Hash", {"type": "array", "items": line})
    offer = Offer("paid v1", json.dumps(event), "shop.paid", 7, (json.dumps(BARE),))
    for _again in range(2):
        done = import_schemas(folder, [offer], {"": "f0"})
    assert done.known == ["paid v1"]
    parsed = Registry.load(folder).schema(7).parsed
    assert parsed["fields"][1]["type"] == {**BARE, "namespace": ""}
    assert parsed["fields"][2]["type"]["items"]["fields"][0]["type"] == "Hash"

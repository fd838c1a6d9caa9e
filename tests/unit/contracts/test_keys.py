"""Keys of records: fields, paths, the first of several, and those that whoever posts a record gives."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from atlas_avro.names import parse
from atlas_contracts.checks import add, check
from atlas_contracts.codec import Codec
from atlas_contracts.errors import InvalidEvent, UnknownSchema
from atlas_contracts.keys import NoKey, faults, is_plain, last_names, paths_of, text_of
from atlas_contracts.registry import Registry
from hypothesis import given
from hypothesis import strategies as st

ROW = {
    "type": "record",
    "name": "Value",
    "fields": [{"name": "id", "type": "long"}, {"name": "next", "type": ["null", "Value"], "default": None}],
}
CHANGE: dict[str, Any] = {
    "type": "record",
    "namespace": "shop",
    "name": "Changed",
    "fields": [
        {"name": "before", "type": ["null", ROW], "default": None},
        {"name": "after", "type": ["null", "Value"], "default": None},
        {"name": "uid", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
        {"name": "plain", "type": "string"},
        {"name": "odd", "type": ["null", "string", "long"], "default": None},
        {"name": "share", "type": "double"},
        {"name": "late", "type": "string", "default": "l"},
    ],
}
VALUE = {
    "before": {"id": 7},
    "uid": "0190F3C4-0000-7000-8000-000000000ABC",
    "price": "1.5",
    "kind": "B",
    "plain": "p",
    "share": 0.5,
}


def codec(folder: Path, key: str, source: str = "any", more: str = "") -> Codec:
    (folder / "shop").mkdir()
    (folder / "shop/changed.v1.avsc").write_text(json.dumps(CHANGE))
    (folder / "topics.yaml").write_text(
        f"topics:\n  shop.a:\n    key: {key}\n    events: [shop.Changed]\n    partitions: 1\n    retention: 1d\n"
        f"    source: {source}\n{more}"
    )
    add(folder, "shop/changed.v1.avsc")
    assert check(folder) == []
    return Codec(Registry.load(folder))


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("plain", "p"),
        ("after.id | before.id", "7"),
        ("before.id", "7"),
        ("uid", "0190f3c4-0000-7000-8000-000000000abc"),
        ("price", "1.50"),
        ("day | kind", "B"),
        ("late", "l"),
    ],
)
def test_a_key_has_one_text_whatever_form_its_value_came_in(tmp_path: Path, rule: str, text: str) -> None:
    made = codec(tmp_path, rule)
    find = made.key(made_topic(tmp_path), "shop.Changed")
    assert find is not None
    assert find(VALUE, made.encode_json("shop.Changed", VALUE)) == text.encode()
    python = VALUE | {"price": Decimal("1.50"), "uid": str(VALUE["uid"]).lower()}
    assert find(python, made.encode("shop.Changed", python)) == text.encode()


def made_topic(folder: Path) -> Any:
    return Registry.load(folder).topic("shop.a")


def test_a_key_that_is_null_is_refused_at_its_field(tmp_path: Path) -> None:
    made = codec(tmp_path, "after.id | day")
    find = made.key(made_topic(tmp_path), "shop.Changed")
    assert find is not None
    with pytest.raises(InvalidEvent) as raised:
        find(VALUE, made.encode_json("shop.Changed", VALUE))
    (error,) = raised.value.errors
    assert (error.path, error.found, error.expected) == ("/after/id", "null", "the record's key: after.id | day")


def test_a_key_may_be_for_the_post_to_give(tmp_path: Path) -> None:
    assert codec(tmp_path, "null").key(made_topic(tmp_path), "shop.Changed") is None


def test_an_event_that_anybody_posts_may_have_several_topics(tmp_path: Path) -> None:
    more = (
        "  shop.b:\n    key: uid\n    events: [shop.Changed]\n    partitions: 1\n    retention: 1d\n    source: any\n"
    )
    codec(tmp_path, "plain", more=more)
    registry = Registry.load(tmp_path)
    with pytest.raises(UnknownSchema, match=r"shop.Changed has several topics: shop.a, shop.b"):
        registry.topic_of("shop.Changed")


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("nobody", "has no field nobody"),
        ("after.nobody", "has no field after.nobody"),
        ("plain.id", "has no field plain.id, which is to be its key: plain is no record"),
        ("share", "can't have share as its key"),
        ("odd", "can't have odd as its key"),
        ("after", "can't have after as its key"),
        ("plain | share", "can't have share as its key"),
    ],
)
def test_what_has_not_one_text_is_no_key(rule: str, reason: str) -> None:
    (found,) = faults(rule, parse(CHANGE))
    assert reason in found


def test_a_path_may_go_round_a_recursive_record() -> None:
    assert faults("after.next.next.id", parse(CHANGE)) == []


@given(st.text(alphabet="ab.| ", max_size=12))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    try:
        paths = paths_of(text)
    except ValueError:
        return
    assert all(name and name == name.strip() for path in paths for name in path)
    assert len(last_names(text)) == len(paths)


def test_only_plain_fields_are_read_from_what_was_posted() -> None:
    definition = parse(CHANGE)
    assert is_plain("plain", definition)
    for rule in ("uid", "price", "day", "after.id", "plain | uid", "kind", "late"):
        assert not is_plain(rule, definition)


def test_the_first_that_is_not_null_is_the_key() -> None:
    assert text_of("a.x | b", {"a": {"x": None}, "b": False}) == b"false"
    assert text_of("a.x | b", {"a": {"x": 0}, "b": "b"}) == b"0"
    with pytest.raises(NoKey, match="/a/x is null"):
        text_of("a.x | b", {"a": None, "b": None})

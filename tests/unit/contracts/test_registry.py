"""The registry as a whole: the mesh's own folder, and folders that can't be trusted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from atlas_avro.walk import without_logical_types
from atlas_contracts.checks import add
from atlas_contracts.errors import BrokenSchemas, UnknownSchema
from atlas_contracts.folder import LOCK
from atlas_contracts.registry import Registry
from atlas_local.home import ROOT

from tests.contexts import SCHEMAS


def test_every_event_of_the_mesh_has_an_id_and_a_topic() -> None:
    registry = Registry.load(SCHEMAS)
    assert "hauls.HaulDeparted" in registry.event_types
    for event_type in registry.event_types:
        schema = registry.latest(event_type)
        assert registry.schema(schema.id) is schema
        assert json.loads(schema.text)["name"] == event_type.rpartition(".")[2]
        assert event_type in registry.topic_of(event_type).events


def test_released_ids_stay_for_good() -> None:
    """Archives and topics hold the numbers of Atlas's own schemas. Add to them, never change one."""
    registry = Registry.load(ROOT / "schemas")
    released = {10: "health.Heartbeat", 11: "health.HealthChanged", 12: "health.HealthChanged"}
    released |= {13: "health.CanaryCommanded", 14: "health.CanaryPosted", 15: "health.Heartbeat"}
    assert {number: registry.schema(number).type for number in released} == released


def test_versions_stand_in_order(folder: Path, new_version: Callable[..., Any]) -> None:
    new_version(extra={"type": ["null", "int"], "default": None})
    assert add(folder, "shop/order_placed.v2.avsc") == 2
    registry = Registry.load(folder)
    assert [schema.version for schema in registry.versions("shop.OrderPlaced")] == [1, 2]
    assert registry.latest("shop.OrderPlaced").id == 2


def test_parsed_keeps_the_logical_types_that_mean_something(folder: Path, new_version: Callable[..., Any]) -> None:
    new_version(
        extra={"type": {"type": "string", "logicalType": "colour"}, "default": "red"},
        odd={"type": {"type": "string", "logicalType": "date"}, "default": ""},
    )
    add(folder, "shop/order_placed.v2.avsc")
    schema = Registry.load(folder).latest("shop.OrderPlaced")
    assert all(name in schema.text for name in ("timestamp-millis", "colour", '"date"'))
    assert json.dumps(schema.parsed["fields"]).count("logicalType") == 1


def test_a_default_is_no_place_to_look_for_logical_types() -> None:
    field = {"name": "m", "type": {"type": "map", "values": "string"}, "default": {"logicalType": "x"}}
    assert without_logical_types({"fields": [field]}) == {"fields": [field]}


def test_what_is_unknown_is_named(folder: Path) -> None:
    registry = Registry.load(folder)
    with pytest.raises(UnknownSchema, match="99"):
        registry.schema(99)
    for lookup in (registry.latest, registry.versions, registry.topic_of):
        with pytest.raises(UnknownSchema, match=r"shop\.Nothing"):
            lookup("shop.Nothing")
    with pytest.raises(LookupError, match=r"shop\.nothing"):
        registry.topic("shop.nothing")


def test_every_topic_to_make_has_its_dead_letter_topic(folder: Path) -> None:
    assert Registry.load(folder).kafka_topics() == [
        ("shop.events", 4, {"message.timestamp.type": "LogAppendTime", "retention.ms": "2592000000"}),
        ("shop.events.dlq", 1, {"message.timestamp.type": "LogAppendTime", "retention.ms": "2592000000"}),
    ]


def test_a_schema_without_an_id_says_how_to_get_one(folder: Path, new_version: Callable[..., Any]) -> None:
    new_version(extra={"type": ["null", "int"], "default": None})
    with pytest.raises(BrokenSchemas, match=r"run `atlas schemas add shop/order_placed\.v2\.avsc`"):
        Registry.load(folder)


def test_an_edited_schema_is_not_served(folder: Path) -> None:
    path = folder / "shop/order_placed.v1.avsc"
    path.write_text(path.read_text().replace('"int"', '"long"'))
    with pytest.raises(BrokenSchemas, match="edited after its release"):
        Registry.load(folder)


def test_a_topic_without_its_schema_is_refused(folder: Path) -> None:
    (folder / "shop/order_placed.v1.avsc").unlink()
    with pytest.raises(BrokenSchemas, match=r"no schema for shop\.OrderPlaced"):
        Registry.load(folder)


def test_a_missing_lock_is_refused(folder: Path) -> None:
    (folder / LOCK).unlink()
    with pytest.raises(BrokenSchemas, match=r"not in ids\.lock"):
        Registry.load(folder)

"""What `atlas schemas check` refuses and how `add` gives ids."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from atlas_contracts.checks import add, check
from atlas_contracts.errors import BrokenSchemas
from atlas_contracts.folder import LOCK, Locked, read_lock, write_lock
from atlas_contracts.registry import Registry

from tests.contexts import SCHEMAS

V1, V2, V3 = (f"shop/order_placed.v{version}.avsc" for version in (1, 2, 3))
Write = Callable[..., dict[str, Any]]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_schemas_of_the_mesh_are_right() -> None:
    assert check(SCHEMAS) == []


def test_a_new_version_is_checked_and_gets_the_next_id(folder: Path, new_version: Write) -> None:
    new_version(total={"type": "int", "default": 0})
    assert check(folder) == [f"{V2}: not in ids.lock; run `atlas schemas add {V2}`"]
    assert add(folder, V2) == 2
    assert check(folder) == []
    assert add(folder, V2) == 2, "released twice is released once"
    assert {path: locked.id for path, locked in read_lock(folder).items()} == {V1: 1, V2: 2}


def test_the_next_id_is_above_every_other(folder: Path, new_version: Write) -> None:
    write_lock(folder, {V1: Locked(9, read_lock(folder)[V1].sha256)})
    new_version()
    assert add(folder, V2) == 10


def test_an_edited_schema_is_refused(folder: Path) -> None:
    edit(folder / V1, '"order_id"', '"order_nr"')
    faults = check(folder)
    assert f"{V1}: edited after its release; put it back and add a new version instead" in faults
    with pytest.raises(BrokenSchemas, match="edited"):
        add(folder, V1)


def test_a_removed_schema_is_refused(folder: Path) -> None:
    (folder / V1).unlink()
    assert f"{V1}: removed; a released schema stays, old events need it" in check(folder)


def test_an_incompatible_version_is_refused_and_nothing_is_written(folder: Path, new_version: Write) -> None:
    new_version(lines={"type": {"type": "array", "items": "string"}}, total={"type": "int"})
    before = (folder / LOCK).read_text()
    with pytest.raises(BrokenSchemas) as raised:
        add(folder, V2)
    assert raised.value.faults == (
        f"{V2}: can't read what v1 wrote: /lines/items: int was written, and string can't read it",
        f"{V2}: can't read what v1 wrote: /total: the field is new and has no default, "
        "so older events have no value for it",
    )
    assert (folder / LOCK).read_text() == before


def test_every_older_version_counts_not_only_the_last(folder: Path, new_version: Write) -> None:
    new_version(2, note=None)
    add(folder, V2)
    # v2 has no note, so for v2 alone a note of another type would be new; v1 wrote strings.
    new_version(3, note={"type": "int", "default": 0})
    assert [fault for fault in check(folder) if "can't read" in fault] == [
        f"{V3}: can't read what v1 wrote: /note: null was written, and int can't read it "
        "(where the old union held null)",
        f"{V3}: can't read what v1 wrote: /note: string was written, and int can't read it "
        "(where the old union held string)",
    ]


def test_versions_leave_no_gap(folder: Path, new_version: Write) -> None:
    new_version(2)
    (folder / V2).rename(folder / V3)
    assert f"{V3}: the version after 1 is 2" in check(folder)


def test_the_first_version_is_1(folder: Path) -> None:
    (folder / V1).rename(folder / V2)
    assert f"{V2}: the first version of shop.OrderPlaced is 1" in check(folder)


def test_an_event_without_a_topic_is_refused(folder: Path) -> None:
    fields = [{"name": "order_id", "type": "string"}]
    definition = {"type": "record", "name": "shop.OrderLost", "fields": fields}
    (folder / "shop/order_lost.v1.avsc").write_text(json.dumps(definition))
    with pytest.raises(BrokenSchemas, match=r"no topic takes shop\.OrderLost; name it in topics\.yaml"):
        add(folder, "shop/order_lost.v1.avsc")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("[shop.OrderPlaced]", "[shop.OrderPlaced, shop.OrderLost]", "shop.events: no schema for shop.OrderLost"),
        ("key: order_id", "key: order_nr", "shop.OrderPlaced has no field order_nr, which is to be its key"),
        ("key: order_id", "key: lines", "shop.OrderPlaced can't have lines as its key"),
        (
            "key: order_id",
            "key: order_id.nr",
            "has no field order_id.nr, which is to be its key: order_id is no record",
        ),
        ("key: order_id", "key: a..b", "the key 'a..b' is not a field"),
        ("key: order_id", "key: null", "`key` is null, which is for topics that anybody posts to"),
        ("retention: 30d", "retention: 30w", "retention '30w'"),
    ],
)
def test_topics_that_contradict_the_schemas_are_refused(folder: Path, old: str, new: str, fault: str) -> None:
    edit(folder / "topics.yaml", old, new)
    assert any(fault in line for line in check(folder)), check(folder)


def test_an_event_has_one_topic(folder: Path) -> None:
    topics = (folder / "topics.yaml").read_text()
    (folder / "topics.yaml").write_text(topics + topics.partition("\n")[2].replace("shop.events", "shop.more"))
    assert (
        "topics.yaml: shop.OrderPlaced is on shop.events and on shop.more; an event that commands or the mesh emit has"
        " one topic"
    ) in check(folder)


@pytest.mark.parametrize(
    "union",
    [
        ["int", "double"],
        ["string", "bytes"],
        ["string", {"type": "long", "logicalType": "timestamp-millis"}],
        ["null", {"type": "map", "values": "int"}, {"type": "record", "name": "shop.X", "fields": []}],
    ],
)
def test_branches_of_a_union_may_look_alike(folder: Path, new_version: Write, union: list[Any]) -> None:
    new_version(extra={"type": union, "default": {"int": 0, "string": "", "null": None}[union[0]]})
    add(folder, V2)
    assert check(folder) == []


def test_a_default_must_fit_its_type(folder: Path, new_version: Write) -> None:
    new_version(extra={"type": "int", "default": 2**40})
    assert any("default" in fault and V2 in fault for fault in check(folder)), check(folder)


def test_a_lock_only_grows(folder: Path, new_version: Write) -> None:
    released = read_lock(folder)
    new_version()
    add(folder, V2)
    assert check(folder, released) == []
    write_lock(folder, {V2: read_lock(folder)[V2], V1: Locked(7, released[V1].sha256)})
    assert check(folder, released) == [
        f"ids.lock: {V1} was released with id 1 and is now id 7, another hash or id; put its entry back"
    ]


def test_a_broken_file_does_not_hide_the_others(folder: Path, new_version: Write) -> None:
    new_version()
    (folder / "shop/bad.v1.avsc").write_text("{")
    faults = check(folder)
    assert len(faults) == 2
    assert faults[0].startswith("shop/bad.v1.avsc: can't be read")


def test_a_type_of_one_topic_has_files_of_that_name_and_no_other_topic(folder: Path) -> None:
    (folder / "shop/shop.events-order_placed.v1.avsc").write_text((folder / V1).read_text())
    edit(folder / "topics.yaml", "[shop.OrderPlaced]", "[shop.OrderPlaced, shop.events-shop.OrderPlaced]")
    assert add(folder, "shop/shop.events-order_placed.v1.avsc") == 2
    assert check(folder) == []
    topics = (folder / "topics.yaml").read_text()
    assert Registry.load(folder).schema(2).type == "shop.events-shop.OrderPlaced"
    (folder / "topics.yaml").write_text(topics.replace("shop.events:", "shop.more:"))
    assert "topics.yaml: shop.more: shop.events-shop.OrderPlaced is for shop.events alone" in check(folder)

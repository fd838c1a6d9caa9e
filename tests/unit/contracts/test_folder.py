"""Reading one schema file, and the lock."""

import json
from pathlib import Path

import pytest
from atlas_contracts.errors import BrokenSchemas
from atlas_contracts.folder import LOCK, TOPICS, Locked, read_lock, read_schema, schema_paths, write_lock

PATH = "shop/order_placed.v1.avsc"


def test_a_file_is_read_with_its_name_and_version(folder: Path) -> None:
    file = read_schema(folder, PATH)
    assert (file.type, file.version, file.path) == ("shop.OrderPlaced", 1, PATH)
    assert json.loads(file.text) == file.definition
    assert schema_paths(folder) == [PATH]


@pytest.mark.parametrize(
    ("name", "file"), [("_Foo", "_foo"), ("_", "_"), ("__Foo2Bar", "__foo2_bar"), ("Told", "told")]
)
@pytest.mark.parametrize("kind", ["record", "error"])
def test_what_avro_has_for_an_event_is_one(folder: Path, kind: str, name: str, file: str) -> None:
    definition = {"type": kind, "name": name, "namespace": "shop", "fields": [{"name": "a", "type": "int"}]}
    (folder / f"shop/{file}.v1.avsc").write_text(json.dumps(definition))
    assert read_schema(folder, f"shop/{file}.v1.avsc").type == f"shop.{name}"


def test_layout_does_not_change_the_hash_and_content_does(folder: Path) -> None:
    before = read_schema(folder, PATH)
    (folder / PATH).write_text(json.dumps(dict(reversed(before.definition.items())), indent=7))
    assert read_schema(folder, PATH).sha256 == before.sha256
    (folder / PATH).write_text(json.dumps({**before.definition, "doc": "words"}))
    assert read_schema(folder, PATH).sha256 != before.sha256


@pytest.mark.parametrize(
    ("path", "content", "fault"),
    [
        ("shop/OrderPlaced.v1.avsc", "{}", "not named"),
        ("shop/order_placed.avsc", "{}", "not named"),
        ("shop/order_placed.v0.avsc", "{}", "not named"),
        ("order_placed.v1.avsc", "{}", "not named"),
        ("shop/order_lost.v1.avsc", "{", "can't be read"),
        ("shop/order_lost.v1.avsc", '{"type": "enum", "name": "E", "symbols": ["A"]}', "an event is a record"),
        ("shop/order_lost.v1.avsc", '{"type": "record", "name": "shop.OrderLost"}', "an event is a record with fields"),
        (
            "shop/order_lost.v1.avsc",
            '{"type": "record", "name": "shop.OrderLost", "fields": [{"name": "a", "type": "strin"}]}',
            "not an Avro schema",
        ),
        (
            "shop/order_lost.v1.avsc",
            '{"type": "record", "name": "shop.OrderFound", "fields": []}',
            r"belongs in shop/order_found\.v1\.avsc",
        ),
        ("shop/order_lost.v1.avsc", '{"type": "record", "name": "OrderLost", "fields": []}', "belongs in <namespace>"),
    ],
)
def test_what_is_no_event_schema_is_refused(folder: Path, path: str, content: str, fault: str) -> None:
    (folder / path).write_text(content)
    with pytest.raises(BrokenSchemas, match=fault):
        read_schema(folder, path)


def test_a_missing_file_is_a_fault(folder: Path) -> None:
    with pytest.raises(BrokenSchemas, match="can't be read"):
        read_schema(folder, "shop/order_lost.v1.avsc")


def test_the_lock_is_kept_in_order_of_id(tmp_path: Path) -> None:
    entries = {"b": Locked(2, "bb"), "a": Locked(10, "aa"), "c": Locked(1, "cc")}
    write_lock(tmp_path, entries)
    assert read_lock(tmp_path) == entries
    assert list(json.loads((tmp_path / LOCK).read_text())["schemas"]) == ["c", "b", "a"]
    assert [file.name for file in tmp_path.iterdir()] == [LOCK]


def test_no_lock_is_an_empty_one(tmp_path: Path) -> None:
    assert read_lock(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "can't be read"),
        ("[]", "can't be read"),
        ('{"schemas": {"a": {"id": 1}}}', "can't be read"),
        ('{"schemas": {"a": {"id": 1, "sha256": "x"}, "b": {"id": 1, "sha256": "y"}}}', "given twice"),
        ('{"schemas": {"a": {"id": 2147483648, "sha256": "x"}}}', "32-bit"),
        ('{"schemas": {"a": {"id": 0, "sha256": "x"}}}', "32-bit"),
    ],
)
def test_a_damaged_lock_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / LOCK).write_text(text)
    with pytest.raises(BrokenSchemas, match=fault):
        read_lock(tmp_path)


def test_a_context_with_topics_of_its_own_has_a_lock_of_its_own(tmp_path: Path) -> None:
    for context in ("shop", "zoo"):
        (tmp_path / context).mkdir()
    (tmp_path / "zoo" / TOPICS).write_text("topics: {}\n")
    entries = {"shop/a.v1.avsc": Locked(2, "s"), "zoo/b.v1.avsc": Locked(1, "t", {"zoo/c.type.avsc": "u"})}
    write_lock(tmp_path, entries)
    assert read_lock(tmp_path) == entries
    assert "b.v1" not in (tmp_path / LOCK).read_text()
    assert json.loads((tmp_path / "zoo" / LOCK).read_text())["schemas"].keys() == {"b.v1.avsc"}
    write_lock(tmp_path, {path: each for path, each in entries.items() if path.startswith("shop/")})
    assert not (tmp_path / "zoo" / LOCK).exists()


def test_entries_go_from_the_lock_at_the_top_into_a_contexts_own(tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    entries = {"zoo/b.v1.avsc": Locked(1, "t")}
    write_lock(tmp_path, entries)
    assert "zoo/b.v1" in (tmp_path / LOCK).read_text()
    (tmp_path / "zoo" / TOPICS).write_text("topics: {}\n")
    write_lock(tmp_path, read_lock(tmp_path))
    assert json.loads((tmp_path / LOCK).read_text()) == {"schemas": {}}
    assert read_lock(tmp_path) == entries


@pytest.mark.parametrize(
    ("own", "fault"),
    [
        ('{"b.v1.avsc": {"id": 2, "sha256": "t"}}', r"zoo/ids\.lock: zoo/b\.v1\.avsc is in ids\.lock too"),
        ('{"c.v1.avsc": {"id": 1, "sha256": "t"}}', r"zoo/ids\.lock: the id 1 is given twice: to zoo/b\.v1\.avsc and"),
        ('{"c.v1.avsc": {"id": 0, "sha256": "t"}}', r"zoo/ids\.lock: zoo/c\.v1\.avsc has the id 0"),
        ("[]", r"zoo/ids\.lock: can't be read"),
    ],
)
def test_what_two_locks_say_together_is_checked(tmp_path: Path, own: str, fault: str) -> None:
    (tmp_path / "zoo").mkdir()
    write_lock(tmp_path, {"zoo/b.v1.avsc": Locked(1, "t")})
    (tmp_path / "zoo" / LOCK).write_text(f'{{"schemas": {own}}}')
    with pytest.raises(BrokenSchemas, match=fault):
        read_lock(tmp_path)

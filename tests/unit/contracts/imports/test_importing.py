"""An import into a folder whose topics are all in files of contexts, as after a team has taken Atlas's own out."""

import json
from pathlib import Path

from atlas_contracts.checks import check
from atlas_contracts.folder import LOCK, TOPICS, Locked, files_named, read_lock, read_schema, write_lock
from atlas_contracts.imports.importing import Offer, import_schemas
from atlas_contracts.topics import topics_in

ENTRY = "topics:\n  zoo.events:\n    key: id\n    events: [zoo.Fed]\n    partitions: 1\n    retention: 1d\n"


def event(name: str) -> str:
    fields = [{"name": "id", "type": "string", "doc": "Which."}]
    return json.dumps({"type": "record", "namespace": "zoo", "name": name, "doc": "Told.", "fields": fields})


def folder_of(directory: Path) -> Path:
    (directory / "zoo").mkdir(parents=True)
    (directory / "zoo" / TOPICS).write_text(ENTRY)
    (directory / "zoo" / "fed.v1.avsc").write_text(event("Fed"))
    write_lock(directory, {"zoo/fed.v1.avsc": Locked(1, read_schema(directory, "zoo/fed.v1.avsc").sha256)})
    (directory / LOCK).unlink()
    return directory


def test_a_topic_that_is_imported_gets_the_file_at_the_top(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "schemas")
    offer = Offer("a file", event("Seen"), topic="zoo.seen")
    assert import_schemas(folder, [offer], {"": "id"}).topics == ["zoo.seen"]
    assert files_named(folder, TOPICS) == [TOPICS, f"zoo/{TOPICS}"]
    assert set(topics_in(folder)) == {"zoo.events", "zoo.seen"}
    assert {path: locked.id for path, locked in read_lock(folder).items()} == {
        "zoo/fed.v1.avsc": 1,
        "zoo/seen.v1.avsc": 2,
    }
    assert check(folder) == []

"""The schemas and values that go the whole way: every logical type, and types made by chance, the same each time."""

import copy
import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

import orjson
import yaml
from atlas_avro.names import parse
from atlas_contracts.checks import add
from atlas_contracts.codec import Codec
from atlas_contracts.errors import BrokenSchemas
from atlas_contracts.evolution.resolution import named_types
from atlas_contracts.registry import Registry

from tests.conformance.schemas import LOGICAL, LOGICAL_FIXED, Maker, settled, spelled
from tests.conformance.values import Endless, Values
from tests.contexts import SCHEMAS

# Many of the types that chance makes are refused, or are of one piece, which is no test.
BY_CHANCE = 60
_LEAST_TEXT = 120
_NUL = "\\u0000"  # in JSON text; jsonb has none


def events(seed: int) -> list[dict[str, Any]]:
    """Events with a key `k` and a field `f`: one of all logical types, and others."""
    random = Random(seed)
    every = [dict(kind) for kind in LOGICAL]
    every += [{"type": "fixed", "name": f"t.Fixed{n}", **kind} for n, kind in enumerate(LOGICAL_FIXED)]
    typed = {
        "type": "record",
        "name": "t.Typed",
        "fields": [{"name": f"f{number}", "type": kind} for number, kind in enumerate(every)],
    }
    made = [_event("Event0", typed)]
    while len(made) <= BY_CHANCE:
        maker = Maker(random)
        kind = settled(maker.type(3), copy.deepcopy(maker.names), set())
        event = _event(f"Event{len(made)}", spelled(random, kind, "t"))
        if len(json.dumps(kind)) > _LEAST_TEXT and _has_values(event):
            made.append(event)
    return made


def _event(name: str, kind: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": f"t.{name}",
        "fields": [{"name": "k", "type": "string"}, {"name": "f", "type": kind}],
    }


def _has_values(event: dict[str, Any]) -> bool:
    parsed = parse(event)
    try:
        Values(Random(0), named_types(parsed), sound=True).written(parsed)
    except Endless:
        return False
    return True


def write_folder(folder: Path, prefix: str, definitions: list[dict[str, Any]]) -> list[str]:
    """A schemas folder with those of the events that `atlas schemas add` accepts, on `<prefix>events`; their names."""
    (folder / "health").mkdir()
    beats = yaml.safe_load((SCHEMAS / "topics.yaml").read_text())["topics"]["health.heartbeats"]
    accepted: list[str] = []
    (folder / "t").mkdir()

    def declare(names: list[str]) -> None:
        ours = {"source": "any", "key": "k", "events": names, "partitions": 2, "retention": "30d"}
        topics = {f"{prefix}heartbeats": beats, f"{prefix}events": ours}
        (folder / "topics.yaml").write_text(yaml.safe_dump({"topics": topics}))

    for definition in definitions:
        name = definition["name"]
        path = f"t/{name.rpartition('.')[2].lower()}.v1.avsc"
        (folder / path).write_text(json.dumps(definition))
        declare([*accepted, name])
        try:
            # One after the other: a version is released beside those before it.
            for version in sorted((SCHEMAS / "health").glob("heartbeat.*")):
                shutil.copy(version, folder / "health")
                add(folder, f"health/{version.name}")
            add(folder, path)
        except BrokenSchemas:
            (folder / path).unlink()
            declare(accepted)
            continue
        accepted.append(name)
    return accepted


def values(codec: Codec, registry: Registry, event: str, count: int, seed: int) -> list[dict[str, Any]]:
    """So many values of an event as a client's JSON, each with a key of its own."""
    schema = registry.latest(event)
    random = Random(f"{seed}/{event}")
    written = Values(random, named_types(schema.parsed), sound=True)
    found: list[dict[str, Any]] = []
    while len(found) < count:
        framed = b"\x00" + schema.id.to_bytes(4, "big") + written.written(schema.parsed)
        text = orjson.dumps(codec.to_json(codec.decode(framed))).decode()
        if _NUL not in text:
            found.append(orjson.loads(text) | {"k": f"{event}-{len(found)}"})
    return found

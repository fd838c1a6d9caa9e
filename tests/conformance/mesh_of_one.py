"""A schemas folder for types under test: one event, t.Event, with a key `k` and the type as its field `f`."""

import json
from pathlib import Path
from typing import Any

from atlas_contracts.checks import add
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry

EVENT = "t.Event"
KEY = "x"
# What stands before the field in an encoded event: frame, and the key.
BEFORE = 5 + 2


def codec_of(directory: Path, definition: Any) -> Codec:
    """The codec of a folder whose event has a field `f` of this type. Raises BrokenSchemas where it is refused."""
    write_folder(directory, definition)
    return Codec(Registry.load(directory))


def frame(codec: Codec) -> bytes:
    """What stands before the field."""
    (prefix,) = codec.newest
    return prefix + b"\x02" + KEY.encode()


def write_folder(directory: Path, definition: Any) -> None:
    """The folder itself."""
    (directory / "t").mkdir()
    fields = [{"name": "k", "type": "string"}, {"name": "f", "type": definition}]
    event = {"type": "record", "name": EVENT, "fields": fields}
    (directory / "t" / "event.v1.avsc").write_text(json.dumps(event))
    (directory / "topics.yaml").write_text(
        f"topics:\n  t.events:\n    key: k\n    events: [{EVENT}]\n    partitions: 1\n    retention: 30d\n"
    )
    add(directory, "t/event.v1.avsc")

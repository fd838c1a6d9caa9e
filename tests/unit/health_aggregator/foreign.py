"""Events as a foreign producer writes them: framed Avro of our schemas, with whatever values the bytes can hold."""

import json
from io import BytesIO
from typing import Any

import fastavro
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry

from tests.contexts import SCHEMAS

_FILES = {"health.Heartbeat": "heartbeat", "health.HealthChanged": "health_changed"}
_VERSIONS = {"health.Heartbeat": 2, "health.HealthChanged": 2}
_SAMPLES: dict[str, dict[str, Any]] = {
    "health.Heartbeat": {"service": "", "instance": "", "state": "READY", "reasons": {}, "started_at": 0, "sent_at": 0}
    | {"interval_ms": 0, "version": ""},
    "health.HealthChanged": {"service": "", "previous": "UP", "current": "UP", "reason": "", "instances": 0}
    | {"changed_at": 0, "group": None, "previous_status": None, "current_status": None},
}
_FRAMES = {name: Codec(Registry.load(SCHEMAS)).encode(name, sample)[:5] for name, sample in _SAMPLES.items()}


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _without_logical_types(each) for key, each in schema.items() if key != "logicalType"}
    return [_without_logical_types(each) for each in schema] if isinstance(schema, list) else schema


_PLAIN = {
    name: fastavro.parse_schema(
        _without_logical_types(json.loads((SCHEMAS / "health" / f"{file}.v{_VERSIONS[name]}.avsc").read_text()))
    )
    for name, file in _FILES.items()
}


def foreign(event_type: str, value: dict[str, Any]) -> bytes:
    """The event, none of whose values was looked at."""
    out = BytesIO()
    out.write(_FRAMES[event_type])
    fastavro.schemaless_writer(out, _PLAIN[event_type], value)
    return out.getvalue()

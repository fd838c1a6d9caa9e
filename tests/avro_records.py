"""Avro records, written shortly."""

from typing import Any

TIMESTAMP = {"type": "long", "logicalType": "timestamp-millis"}


def record(full_name: str, /, **fields: Any) -> dict[str, Any]:
    """A record of these fields and their types, in order; the name as `shop.OrderPlaced`."""
    namespace, _, name = full_name.rpartition(".")
    of_fields = [{"name": field, "type": kind} for field, kind in fields.items()]
    return {"type": "record", "namespace": namespace, "name": name, "fields": of_fields}

"""500 columns, 50 levels, types named in very many places: whatever is made of a schema is made in bounded time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from atlas_avro.names import parse
from atlas_contracts.checks import check
from atlas_contracts.codec import Codec
from atlas_contracts.errors import BrokenSchemas
from atlas_contracts.evolution.cautions import cautions
from atlas_contracts.reading.resolving_reader import compile_resolving_reader
from atlas_contracts.reading.run_pattern import run_pattern
from atlas_contracts.registry import Registry
from atlas_contracts.values.limits import EMPTY_ITEMS_MAX, limit_faults

from tests.unit.avro.large import LARGE, TOO_MUCH_OF_NOTHING, bounded

TOPICS = "topics:\n  t.events: {key: id, events: [t.R], partitions: 1, retention: 1d}\n"
Release = Callable[[Path, str, dict[str, Any]], int]


@pytest.mark.parametrize("name", LARGE)
def test_a_large_schema_is_released_and_used_in_bounded_time(tmp_path: Path, release: Release, name: str) -> None:
    (tmp_path / "topics.yaml").write_text(TOPICS)
    newer = json.loads(json.dumps(LARGE[name]))
    newer["fields"].append({"name": "more", "type": ["null", "string"], "default": None})
    with bounded():
        release(tmp_path, "t/r.v1.avsc", LARGE[name])
    with bounded():
        release(tmp_path, "t/r.v2.avsc", newer)
    with bounded():
        assert check(tmp_path) == []
    with bounded():
        assert cautions(tmp_path) == []
    with bounded():
        registry = Registry.load(tmp_path)
    with bounded():
        Codec(registry)
    with bounded():
        run_pattern(b"\x00\x00\x00\x00\x02", registry.schema(2).parsed)
    with bounded():
        compile_resolving_reader(registry.schema(1).parsed, registry.schema(2).parsed)


def test_a_type_without_bytes_and_with_very_much_in_it_is_refused(tmp_path: Path, release: Release) -> None:
    (tmp_path / "topics.yaml").write_text(TOPICS)
    with bounded(), pytest.raises(BrokenSchemas) as raised:
        release(tmp_path, "t/r.v1.avsc", TOO_MUCH_OF_NOTHING)
    assert len(raised.value.faults) == 50 - 15
    (deepest,) = (fault for fault in raised.value.faults if "t.N49" in fault)
    assert f"t.N49 takes no byte, and {2**51 - 1:,} values are in it: more than {EMPTY_ITEMS_MAX:,}" in deepest
    assert limit_faults(parse(LARGE["2^50 places"])) == []

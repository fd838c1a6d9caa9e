"""Objects that nobody of us wrote: each command names them, in its own exceptions and no others."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from atlas_archive.chain.listing import summaries
from atlas_archive.chain.manifests import BadManifest, last_manifest
from atlas_archive.format.container import CorruptFile
from atlas_archive.history import HistoryGap, histories, read_history
from atlas_archive.maintenance.compaction import compact
from atlas_archive.proof.verify import verify
from atlas_archive.store import MemoryStore, MissingObject
from atlas_archive.tables.export import export
from atlas_cli.archived.export_readings import readings_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.archive.actors import PATH, store_one

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_rubbish = st.binary(max_size=30) | _json.map(orjson.dumps) | st.just(b"[" * 100_000)


async def archived() -> MemoryStore:
    store, start = MemoryStore(), 0
    for _ in range(3):
        start = (await store_one(store, start, 10)).manifest.next_offset
    return store


async def readers(store: MemoryStore, folder: Path) -> None:
    """All that reads an archive; verify must find something."""

    async def history() -> None:
        for each in (await histories(store, PATH.topic, PATH.incarnation)).values():
            async for _ in read_history(store, each):
                pass

    async def exported() -> None:
        for each in (await histories(store, PATH.topic, PATH.incarnation)).values():
            await export(store, each, folder, readings_of(None))

    async def compacted() -> None:
        await compact(store, PATH, target_bytes=1000, writer="c", grace_s=0)

    (report,) = await verify(store)
    assert report.problems
    acts: list[Callable[[], Awaitable[Any]]] = [
        history,
        exported,
        lambda: summaries(store),
        lambda: last_manifest(store, PATH),
        compacted,
    ]
    for act in acts:
        try:
            await act()
        except (BadManifest, CorruptFile, HistoryGap, MissingObject):
            continue


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["manifest", "compacted", "floor", "known-gaps"]),
    st.sampled_from(["partition=0", "partition=x", "partition=", "rubbish"]),
    st.sampled_from(["x.json", "00000000000000000005.json", f"{10**30}.json", "-5.json", ""]),
    _rubbish,
)
async def test_rubbish_where_manifests_are(tmp_path: Path, kind: str, part: str, name: str, data: bytes) -> None:
    store = await archived()
    store.objects[f"{PATH.root}{kind}/{part}/{name}"] = data
    if kind == "floor" and part == "partition=0" and name.startswith("0"):
        return  # a floor is its key
    await readers(store, tmp_path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 20), _json, st.none() | st.integers(0, 8))
async def test_a_manifest_with_another_field(tmp_path: Path, place: int, value: Any, item: int | None) -> None:
    store = await archived()
    key = PATH.manifest(0)
    fields = orjson.loads(store.objects[key])
    part = fields if item is None else fields["objects"][item % len(fields["objects"])]
    name = sorted(part)[place % len(part)]
    if part[name] == value or name in ("written_at", "writer", "min_timestamp_ms", "max_timestamp_ms", "segment"):
        return
    part[name] = value
    store.objects[key] = orjson.dumps(fields)
    await _no_surprise(store, tmp_path)


@pytest.mark.parametrize("cut", [0, 1, 10, -1])
async def test_objects_cut_short(tmp_path: Path, cut: int) -> None:
    for number in range(len((await archived()).objects)):
        store = await archived()
        key = list(store.objects)[number]
        store.objects[key] = store.objects[key][:cut]
        await _no_surprise(store, tmp_path)


async def _no_surprise(store: MemoryStore, folder: Path) -> None:
    try:
        await readers(store, folder)
    except AssertionError:
        return  # nothing that counts was changed

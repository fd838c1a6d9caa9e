"""A run of records comes to what its records come to one by one, whatever is among them."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import TopicPartition
from atlas_contracts.codec import Codec
from atlas_contracts.reading.run_reader import RUN_FROM
from atlas_contracts.registry import Registry
from atlas_hauls.projections.hauls import HAULS
from atlas_hauls.projections.routes import ROUTES
from atlas_projection import waiting
from atlas_projection.projection import Projection
from atlas_projection.waiting import Waiting
from atlas_projection.windows import HOUR_MS, windows
from atlas_projector.apply import decoding
from atlas_projector.apply.decoding import Decoded, Decoder
from atlas_projector.source import Waited
from atlas_readmodel.table import Table
from atlas_readmodel.waiting.parking import Decision
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contexts import SCHEMAS

CODEC = Codec(Registry.load(SCHEMAS))
PLACE = TopicPartition("hauls.events", 3)
RUN = 60


def event(kind: str, number: int) -> bytes:
    haul = {
        "haul_id": f"f{number}",
        "carrier": "UA",
        "haul_number": number,
        "truck_number": None if number % 5 == 0 else f"N{number}",
        "origin": "EWR",
        "destination": "Zürich" if number % 7 == 0 else "IAH",
        "scheduled_departure": 1_357_035_300_000 + number,
        "distance_miles": number * 100,
    }
    if kind == "hauls.HaulDeparted":
        haul |= {"departure_delay_minutes": -number, "arrival_delay_minutes": None, "drive_time_minutes": 200}
    return CODEC.encode(kind, haul)


def record(offset: int, value: bytes | None) -> Waited:
    return Waited(offset, 1_700_000_000_000 + offset, b"key-%d" % (offset % 9), value, (("ce_id", b"%d" % offset),))


DEPARTED = [event("hauls.HaulDeparted", number) for number in range(RUN)]
VALUES = st.one_of(
    st.sampled_from(DEPARTED),
    st.sampled_from([event("hauls.HaulCancelled", number) for number in range(RUN)]),
    st.sampled_from([value[:-1] for value in DEPARTED] + [value + b"\0" for value in DEPARTED]),
    st.sampled_from([None, b"", b"\0\0\0", CODEC.encode("hauls.CarrierListed", {"carrier": "UA", "name": "United"})]),
    st.binary(max_size=12),
)
RUNS = st.lists(st.one_of(st.sampled_from(DEPARTED), VALUES), max_size=RUN) | st.lists(
    st.sampled_from(DEPARTED), min_size=RUN_FROM, max_size=RUN
)
SOME = replace(HAULS, handlers={"hauls.HaulDeparted": HAULS.handlers["hauls.HaulDeparted"]})
HOURLY = replace(ROUTES, each=windows("scheduled_departure", HOUR_MS))


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """The codec has seen enough runs to have compiled its expressions."""
    decoder = Decoder(HAULS, CODEC)
    for kind in ("hauls.HaulDeparted", "hauls.HaulCancelled"):
        for _ in range(20):
            run = [record(number, event(kind, number)) for number in range(RUN)]
            decoder.decode(PLACE, run, Waiting(True), Decoded())


def decoded(projection: Projection, records: Sequence[Waited], waiting: Waiting) -> Decoded:
    into = Decoded()
    Decoder(projection, CODEC).decode(PLACE, records, waiting, into)
    return into


@pytest.mark.parametrize("projection", [HAULS, ROUTES, SOME, HOURLY], ids=["hauls", "routes", "some", "hourly"])
@given(values=RUNS, blocked=st.sets(st.integers(0, 5), max_size=1))
@settings(max_examples=80, deadline=None)
def test_a_run_comes_to_what_its_records_come_to(
    projection: Projection, values: list[bytes | None], blocked: set[int]
) -> None:
    records = [record(offset, value) for offset, value in enumerate(values)]
    together, alone = Waiting(projection.ordered), Waiting(projection.ordered)
    for offset in blocked:
        for held in (together, alone):
            meta = decoded(projection, [record(offset, DEPARTED[0])], Waiting(True)).changes[0].meta
            held.block(meta)
    expected = Decoded()
    for each in records:
        Decoder(projection, CODEC).decode(PLACE, [each], alone, expected)
    assert decoded(projection, records, together) == expected
    assert together.blocked == alone.blocked


def test_a_run_of_one_type_is_not_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any) -> None:
        raise AssertionError("one by one")

    monkeypatch.setattr(decoding.Decoder, "_one_by_one", refuse)
    records = [record(number, value) for number, value in enumerate(DEPARTED)]
    assert len(decoded(HAULS, records, Waiting(True)).changes) == RUN
    mixed = [*records, record(RUN, event("hauls.HaulCancelled", 1))]
    assert len(decoded(HAULS, mixed, Waiting(True)).changes) == RUN + 1


def test_an_event_without_its_key_is_named() -> None:
    broken = replace(HAULS, table=replace(HAULS.table, key=("status",)), cached=False)
    records = [record(number, value) for number, value in enumerate(DEPARTED)]
    into = decoded(broken, records, Waiting(False))
    assert into.changes == []
    assert [(meta.offset, reason) for meta, reason in into.poison] == [
        (number, "its row could not be found: KeyError: 'status'") for number in range(RUN)
    ]


def test_what_was_decided_about_before_is_not_read() -> None:
    """However the records are cut into runs; only where history is applied strictly is what live set aside known."""
    rulings = {
        (*PLACE, 3): Decision.SKIPPED,
        (*PLACE, 5): Decision.DROPPED,
        (*PLACE, 7): Decision.UNREAD,
        (*PLACE, 8): Decision.SET_ASIDE,
        (*PLACE, 9): Decision.ACCEPTED,
        ("other", 0, 1): Decision.SKIPPED,
    }
    records = [record(number, value) for number, value in enumerate(DEPARTED)]
    for strict, aside in ((False, {7: waiting.UNREAD}), (True, {7: waiting.UNREAD, 8: waiting.KNOWN})):
        for cuts in ([0, RUN], [0, 4, 9, RUN], list(range(RUN + 1))):
            held, into = Waiting(False, rulings, strict=strict), Decoded()
            for start, end in itertools.pairwise(cuts):
                Decoder(HAULS, CODEC).decode(PLACE, records[start:end], held, into)
            assert into.passed_over == 2
            assert {meta.offset: reason for meta, reason in into.poison} == aside
            assert [change.meta.offset for change in into.changes] == sorted({*range(RUN)} - {3, 5} - set(aside))
    held = Waiting(False, rulings)
    held.step_over((*PLACE, 0))
    held.read_again((*PLACE, 7))
    assert held.unread_in(PLACE, 0, 4) == {0: None, 3: None}
    assert held.unread_in(PLACE, 0, 9) == {0: None, 3: None, 5: None}


def test_a_run_of_an_irregular_schema_is_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    beat = {
        "service": "relay",
        "instance": "relay-1",
        "state": "READY",
        "reasons": {"kafka": "away"},
        "started_at": 1,
        "sent_at": 2,
        "interval_ms": 3,
        "version": "1",
        "environment": "",
        "loops": [],
    }
    table = Table(columns={"service": "text NOT NULL"}, key=("service",))
    decoder = Decoder(replace(HAULS, table=table, handlers={"health.Heartbeat": lambda *_: None}), CODEC)
    records = [record(number, CODEC.encode("health.Heartbeat", beat)) for number in range(RUN)]
    for _ in range(20):
        decoder.decode(PLACE, records, Waiting(True), Decoded())
    monkeypatch.setattr(decoding.Decoder, "_read", None)
    into = Decoded()
    decoder.decode(PLACE, records, Waiting(True), into)
    assert [change.value for change in into.changes] == [beat] * RUN

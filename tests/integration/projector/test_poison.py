"""What only the server behind a projection notices: one record is set aside with its reason, all others are there."""

import random
import string
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from atlas_hauls.projections.hauls import HAULS
from atlas_local.waiting import wait_until
from atlas_projection.projection import Projection, Row, Value
from atlas_projector.rebuilding.rebuild import Options, Progress, RebuildError, rebuild
from atlas_projector.source import open_topic_source
from atlas_readmodel.documents import Documents
from atlas_readmodel.postgres.writer import Batch, Writer
from atlas_readmodel.table import Table
from atlas_readmodel.waiting.parking import State
from atlas_yards.projection import YARDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.integration.projector.conftest import Rig

pytestmark = pytest.mark.integration

COLUMNS = {
    "yard_id": "text NOT NULL",
    "a_text": "text",
    "a_short": "varchar(3)",
    "a_number": "integer",
    "a_big": "bigint",
    "a_decimal": "numeric(4,2)",
    "a_flag": "boolean",
    "a_document": "jsonb",
    "an_id": "uuid",
    "a_time": "timestamptz",
    "some_texts": "text[]",
    "some_numbers": "integer[]",
    "bytes": "bytea",
    "positive": "integer CHECK (positive > 0)",
}
NOTHING: Row = dict.fromkeys(COLUMNS)
# By the display name of the yard registered: what its handler answers besides the key.
ANSWERS: dict[str, Any] = {
    "a NUL": {"a_text": "N\0"},
    "a surrogate": {"a_text": "\ud800"},
    "a list": {"a_text": ["a", "b"]},
    "too long": {"a_short": "abcd"},
    "too large": {"a_number": 2**31},
    "far too large": {"a_big": 2**100},
    "an overflow": {"a_decimal": Decimal(1000)},
    "no flag": {"a_flag": 2},
    "a NUL in a document": {"a_document": '{"a": "\\u0000"}'},
    "no document": {"a_document": "{"},
    "deep": {"a_document": "[" * 100_000 + "]" * 100_000},
    "no uuid": {"an_id": "x"},
    "no time": {"a_time": 7},
    "a number among texts": {"some_texts": ["a", 1]},
    "a NUL among texts": {"some_texts": ["a", "b\0"]},
    "ragged": {"some_texts": [["a"], ["b", "c"]]},
    "no bytes": {"bytes": "text"},
    "not positive": {"positive": 0},
}


def answering(row: Row | None, event: Value, _meta: Any) -> Any:
    """The row that the event asks for; of `a row`, what is none."""
    what = event["display_name"]
    if what == "no row":
        return ["a", "list"]
    if what == "a missing column":
        return {"yard_id": event["yard_id"]}
    if what == "an error":
        raise ZeroDivisionError
    return NOTHING | {"yard_id": event["yard_id"]} | ANSWERS.get(what, {"a_text": what, "some_texts": ["x", what]})


ODD = Projection(
    name="odd",
    version=1,
    topics=("yards.events",),
    table=Table(columns=COLUMNS, key=("yard_id",), indexes=("(a_text)",)),
    handlers={"yards.YardRegistered": answering},
)


async def say(rig: "Rig", yard: str, what: str) -> None:
    value = {"yard_id": yard, "email": "a", "display_name": what, "country": None, "registered_at": 1}
    await rig.send("yards.YardRegistered", value, key=yard, partition=0)


async def check(rig: "Rig", odd: Projection, bad: list[str], good: int) -> dict[str, str]:
    """All good ones are there, each bad one is set aside; by what it was, why."""
    rows = await rig.rows(odd)
    assert {row["yard_id"] for row in rows} == {f"good{n}" for n in range(good)}
    waits = await rig.waiting(odd)
    assert {(record.key or b"").decode() for record in waits} == set(bad)
    assert {record.state for record in waits} == ({State.DEAD} if bad else set())
    return {(record.key or b"").decode(): record.error or "" for record in waits}


async def mixed(rig: "Rig", bad: list[str]) -> int:
    """Each among good ones; how many of these there are."""
    for n, what in enumerate(bad):
        await say(rig, f"good{n}", f"good {n}")
        await say(rig, what, what)
    await say(rig, f"good{len(bad)}", "the last")
    return len(bad) + 1


async def test_each_is_found_among_the_good_ones_and_named(rig: "Rig") -> None:
    odd = rig.pointed(ODD)
    bad = [*ANSWERS, "no row", "a missing column", "an error", "K\0"]
    good = await mixed(rig, bad)
    live = rig.live(odd)
    async with rig.running(live):
        await rig.settled(odd)
        await wait_until("the loop to say that it runs", lambda: live.state()["state"] == "running")
    said = await check(rig, odd, bad, good)
    for what, columns in ANSWERS.items():
        column = next(iter(columns))
        assert column in said[what], (what, said[what])
    assert said["a NUL"] == "column a_text: invalid byte sequence for encoding \"UTF8\": 0x00, found 'N\\x00'"
    assert "violates check constraint" in said["not positive"]
    assert said["an error"] == "its handler failed: ZeroDivisionError: "
    # A rebuild follows what live set aside, and comes to the same rows.
    async with open_topic_source(rig.servers.kafka_brokers, odd.topics, "test") as source:
        built = await rebuild(odd, rig.stores, rig.codec, source, Progress(), Options(verify=True))
    assert built.comparison is not None
    assert built.comparison.identical
    assert await check(rig, odd, bad, good) == said


async def test_an_index_row_that_is_too_large(rig: "Rig") -> None:
    odd = rig.pointed(ODD)
    await say(rig, "good0", "x")
    await say(rig, "large", "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=9000)))
    await say(rig, "good1", "x")
    await rig.projected(odd)
    assert "index row" in (await check(rig, odd, ["large"], 2))["large"]


async def test_many_at_once_are_found_by_copy_too(rig: "Rig") -> None:
    odd = rig.pointed(ODD)
    for n in range(300):
        await say(rig, f"good{n}", f"{n}")
        if n % 100 == 50:
            await say(rig, f"bad{n}", "not positive")
    async with rig.running(rig.live(odd), max_records=1000):
        await rig.settled(odd)
    await check(rig, odd, ["bad50", "bad150", "bad250"], 300)


@pytest.mark.parametrize("good", [20, 300])
async def test_those_that_only_the_server_knows_are_told_in_one_round_trip(
    rig: "Rig", good: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has the server's own reason; how many there are does not matter."""
    odd, written = rig.pointed(ODD), count()
    write = Writer.write

    async def counted(self: Writer, batch: Batch) -> None:
        next(written)
        await write(self, batch)

    for n in range(good):
        await say(rig, f"good{n}", f"{n}")
        if n % 2:
            await say(rig, f"bad{n}", "".join(random.choices(string.ascii_letters, k=9_000)))
    monkeypatch.setattr(Writer, "write", counted)
    async with rig.running(rig.live(odd), max_records=1000):
        await rig.settled(odd)
    said = await check(rig, odd, [f"bad{n}" for n in range(good) if n % 2], good)
    assert {reason[:14] for reason in said.values()} == {"index row requ"}
    assert next(written) < 10


async def test_a_rebuild_ends_with_the_record_named(rig: "Rig") -> None:
    """Live was another version, which took it."""
    await say(rig, "good0", "x")
    await say(rig, "bad", "not positive")
    lenient = rig.pointed(ODD, version=1, handlers={"yards.YardRegistered": lambda *_: None})
    await rig.projected(lenient)
    odd = rig.pointed(ODD, version=2)
    async with open_topic_source(rig.servers.kafka_brokers, odd.topics, "test") as source:
        with pytest.raises(RebuildError, match=rf"projection odd: {rig.topic}/0@1 can't be handled.*check constraint"):
            await rebuild(odd, rig.stores, rig.codec, source, Progress(), Options())


async def test_what_is_retried_and_refused_again_waits_on(rig: "Rig") -> None:
    odd = rig.pointed(ODD)
    await say(rig, "bad", "not positive")
    async with rig.running(rig.live(odd)):
        await rig.settled(odd)
        store = rig.stores.of(odd.model)

        async def ask(what: str) -> list[tuple[str, int]]:
            places = [record.place for record in await rig.waiting(odd)]
            await store.ask(what, places[:1])

            async def done() -> bool:
                return not any(record.request for record in await rig.waiting(odd))

            await wait_until("it is settled", done)
            return [(record.state, record.attempts) for record in await rig.waiting(odd)]

        assert await ask("retry") == [("dead", 2)]
        await say(rig, "bad", "fine")
        await rig.settled(odd)
        assert await ask("drop") == []
    assert [row["a_text"] for row in await rig.rows(odd)] == ["fine"]


async def test_a_key_that_the_server_does_not_take_in_a_query(rig: "Rig") -> None:
    """Rows are read before they are written: a NUL in the key fails there already. In documents it is a key."""
    yards = rig.pointed(YARDS)
    await rig.register("good", email="g@x", partition=0)
    await rig.register("N\0", email="b@x", partition=0)
    await rig.register("other", email="o@x", partition=0)
    await rig.projected(yards)
    assert {row["yard_id"] for row in await rig.rows(yards)} == {"good", "other"}
    (dead,) = await rig.waiting(yards)
    assert dead.key == b"N\0"
    assert "column yard_id: invalid byte sequence" in (dead.error or "")


async def test_documents_that_redis_does_not_take(rig: "Rig") -> None:
    def answer(_row: Row | None, event: Value, _meta: Any) -> Any:
        what = {"large": "x" * 5_000_000, "object": object(), "integer": 2**70, "surrogate": "\ud800"}
        return {"yard_id": event["yard_id"], "what": what.get(event["display_name"], "good")}

    board = rig.pointed(
        replace(ODD, name="board", table=Documents(("yard_id",)), handlers={"yards.YardRegistered": answer})
    )
    bad = ["large", "object", "integer", "surrogate"]
    good = await mixed(rig, bad)
    await rig.projected(board)
    said = await check(rig, board, bad, good)
    assert all(error.startswith("field what: ") for error in said.values())


async def test_arrays_come_to_the_same_rows_live_by_copy_and_rebuilt(rig: "Rig") -> None:
    odd = rig.pointed(ODD)
    await say(rig, "one", "x")
    await rig.projected(odd)  # one row at a time
    (row,) = await rig.rows(odd)
    assert row["some_texts"] == ["x", "x"]
    for n in range(150):
        await say(rig, f"u{n}", f"{n}")
    await rig.projected(odd)
    rows = await rig.rows(odd)
    assert len(rows) == 151
    async with open_topic_source(rig.servers.kafka_brokers, odd.topics, "test") as source:
        await rebuild(odd, rig.stores, rig.codec, source, Progress(), Options(verify=True))
    assert await rig.rows(odd) == rows


ROUNDS = count(1)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=5), st.just("N\0"),
    st.just("\ud800"), st.lists(st.text(max_size=2) | st.integers(), max_size=3), st.decimals(), st.datetimes(),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2), st.just("{}"), st.uuids().map(str), st.dates(),
)  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(odd_ones=st.lists(st.tuples(st.sampled_from(list(COLUMNS)), VALUES), min_size=1, max_size=40))
async def test_any_value_in_any_column_stops_nobody(rig: "Rig", odd_ones: list[tuple[str, Any]]) -> None:
    """Good rows are always there; another is there or set aside; the position gets to the end."""
    handed = {f"odd{n}": change for n, change in enumerate(odd_ones)}

    def answer(_row: Row | None, event: Value, _meta: Any) -> Any:
        yard = event["yard_id"]
        changed = dict([handed[yard]]) if yard in handed else {"a_text": "good"}
        return NOTHING | {"yard_id": yard} | changed

    number = next(ROUNDS)
    odd = rig.pointed(replace(ODD, name=f"odd{number}", handlers={"yards.YardRegistered": answer}))
    for n, yard in enumerate(handed):
        await say(rig, f"{number}good{n}", "x")
        await say(rig, yard, "x")
    await rig.projected(odd)
    rows = {row["yard_id"] for row in await rig.rows(odd)}
    dead = {(record.key or b"").decode() for record in await rig.waiting(odd) if record.state is State.DEAD}
    assert {f"{number}good{n}" for n in range(len(handed))} <= rows
    # One whose key is another yard's id, by its handler, is a row of that.
    keyed = {yard for yard, (column, _) in handed.items() if column == "yard_id"}
    assert set(handed) - keyed <= rows | dead


async def test_hauls_with_a_nul_in_a_truck_number(rig: "Rig") -> None:
    hauls = rig.pointed(HAULS)
    await rig.fly(50)
    value = {
        "haul_id": "bad", "carrier": "UA", "haul_number": 1, "truck_number": "N\0", "origin": "EWR",
        "destination": "IAH", "scheduled_departure": 1, "distance_miles": 1,
    }  # fmt: skip
    await rig.send("hauls.HaulCancelled", value, key="bad", partition=0)
    await rig.fly(50, 50)
    await rig.projected(hauls)
    assert len(await rig.rows(hauls)) == 100
    (dead,) = await rig.waiting(hauls)
    assert dead.error == "column truck_number: invalid byte sequence for encoding \"UTF8\": 0x00, found 'N\\x00'"

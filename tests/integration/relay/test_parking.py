"""A row that can't be sent stops its own key and nothing else."""

import time
from types import SimpleNamespace

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from atlas_local.waiting import wait_until
from atlas_outbox.parking import Choice, discard, list_parked, retry
from atlas_outbox.writer import OutboxRecord, append
from atlas_relay.routes import outbox_routes
from yarl import URL

pytestmark = pytest.mark.integration


@pytest.fixture
async def pool(outbox):
    async with asyncpg.create_pool(outbox.dsn, min_size=0, max_size=2) as pool:
        yield pool


@pytest.fixture
async def http(settings, pool):
    app = web.Application()
    app.add_routes(outbox_routes(settings, "relay-a", pool))
    async with TestClient(TestServer(app)) as client:
        yield client


async def append_value(outbox, key: str, value: bytes, topic: str | None = None) -> int:
    async with outbox.connection.transaction():
        return (await append(outbox.connection, OutboxRecord(topic or outbox.topic, key.encode(), value))).row_id


async def parked(outbox) -> list[tuple[str, str | None]]:
    rows = await list_parked(outbox.connection, after=0, topic=None, waiting=True, limit=1000)
    return [(row.key.decode(), row.error) for row in rows]


async def test_an_unknown_topic_parks_its_rows_and_retry_sends_them_in_order(
    outbox, each_delivery, run_relay, make_topic, on_topic
):
    missing = f"{outbox.topic}.later"
    await outbox.commit(*[("k", n) for n in range(5)], topic=missing)
    await outbox.commit(*[("k", n) for n in range(5)])
    async with run_relay(each_delivery):
        await wait_until("5 parked rows", lambda: _is(outbox.count("parked"), 5))
        await outbox.commit(("k", 5), topic=missing)
        await wait_until("6 parked rows", lambda: _is(outbox.count("parked"), 6))
        await outbox.until_empty()
        assert await parked(outbox) == [("k", f"unknown topic {missing!r}")] + [("k", None)] * 5
        await make_topic(missing)
        assert await retry(outbox.connection, Choice(topic=missing)) == 6
        await outbox.commit(("k", 6), topic=missing)
        await outbox.until_empty()
        assert await outbox.count("parked") == 0
    assert await on_topic(missing).read() == [("k", n) for n in range(7)]
    await outbox.delivered.until([("k", n) for n in range(5)])


async def test_a_record_above_the_limit_parks_its_key_alone(outbox, each_delivery, run_relay):
    settings = each_delivery.model_copy(update={"relay_max_record_bytes": 2000})
    await outbox.commit(("bad", 1), ("good", 1))
    await append_value(outbox, "bad", b"x" * 3000)
    await outbox.commit(("bad", 3), ("good", 2))
    async with run_relay(settings):
        await outbox.until_empty()
    assert await parked(outbox) == [("bad", "the record has 3004 bytes, the limit is 2000"), ("bad", None)]
    await outbox.delivered.until([("bad", 1), ("good", 1), ("good", 2)])


async def test_later_rows_of_a_parked_key_wait_in_order_whenever_they_come(outbox, each_delivery, run_relay):
    """In the same claim, in a later one, committed later, and after another relay took over: then sent in order."""
    small = {"relay_max_record_bytes": 2000, "relay_batch_rows": 24}  # three rows a group and claim
    settings = each_delivery.model_copy(update=small)
    ids = await outbox.commit(("k", 0), ("other", 0))
    ids += [await append_value(outbox, "k", b"0" * 3000 + b"1")]  # the number 1, too long
    ids += await outbox.commit(*[(key, n) for n in range(2, 20) for key in ("k", "other")])
    async with run_relay(settings):
        await outbox.until_empty()
        await outbox.commit(("k", 20), ("other", 20))
        await wait_until("20 parked rows", lambda: _is(outbox.count("parked"), 20))
    async with run_relay(settings, owner="relay-b"):
        await outbox.commit(("k", 21), ("other", 21))
        await wait_until("21 parked rows", lambda: _is(outbox.count("parked"), 21))
        await outbox.until_empty()
    too_long = "the record has 3003 bytes, the limit is 2000"
    assert await parked(outbox) == [("k", too_long)] + [("k", None)] * 20
    others = [("other", n) for n in (0, *range(2, 22))]
    await outbox.delivered.until([("k", 0), *others])
    async with run_relay(each_delivery, owner="relay-c"):
        assert await retry(outbox.connection, Choice(ids=[ids[2]])) == 21
        await outbox.commit(("k", 22))
        await outbox.until_empty()
    assert await outbox.count("parked") == 0
    await outbox.delivered.until([*others, *[("k", n) for n in range(23)]])


async def test_a_row_the_broker_refuses_is_found_within_its_batch(
    outbox, make_topic, each_delivery, run_relay, on_topic
):
    """The topic takes smaller records than the relay thinks."""
    topic = await make_topic(config={"max.message.bytes": "20000"})
    items = [(f"k{n % 50}", n) for n in range(400)]
    await outbox.commit(*items[:200], topic=topic)
    await append_value(outbox, "k7", b"9" * 30_000, topic)
    await outbox.commit(*items[200:], topic=topic)
    async with run_relay(each_delivery):
        await outbox.until_empty(seconds=30)
    aside = await parked(outbox)
    assert aside[0][0] == "k7"
    assert "MessageSizeTooLarge" in aside[0][1]
    assert aside[1:] == [("k7", None)] * 4
    expected = [item for item in items if item[0] != "k7" or item[1] < 200]
    seen = await on_topic(topic).read()
    assert sorted(seen) == sorted(expected)
    for key in {key for key, _ in expected}:
        assert [n for k, n in seen if k == key] == [n for k, n in expected if k == key]


async def test_rows_that_the_broker_finds_invalid_are_all_parked(
    outbox, make_topic, settings, run_relay, on_topic, monkeypatch
):
    """The topic takes no record older than ten minutes, and this relay's clock is an hour late.

    Not by a bound that no record meets: the marker that ends a transaction has to meet it too, and one that is refused
    stops the transactions of the whole broker.
    """
    topic = await make_topic(partitions=1, config={"message.timestamp.before.max.ms": "600000"})
    late = SimpleNamespace(time_ns=lambda: time.time_ns() - 3_600_000_000_000)
    monkeypatch.setattr("atlas_relay.sending.sender.time", late)
    await outbox.commit(*[(f"k{n % 3}", n) for n in range(30)], topic=topic)
    async with run_relay(settings):
        await wait_until("30 parked rows", lambda: _is(outbox.count("parked"), 30))
        await outbox.until_empty()
    errors = [error for _key, error in await parked(outbox)]
    assert sum(error is not None and "InvalidTimestamp" in error for error in errors) == 3
    assert errors.count(None) == 27
    assert await on_topic(topic).read() == []


async def test_discard_sends_what_waited_behind(outbox, settings, run_relay, http):
    settings = settings.model_copy(update={"relay_max_record_bytes": 2000})
    bad = await append_value(outbox, "k", b"x" * 3000)
    await outbox.commit(("k", 2), ("k", 3))
    async with run_relay(settings):
        await wait_until("3 parked rows", lambda: _is(outbox.count("parked"), 3))
        answer = await post(http, "/outbox/parked/discard", {"ids": [bad]})
        assert answer == (200, {"discarded": 1})
        await outbox.until_empty()
    assert await outbox.count("parked") == 0
    await outbox.delivered.until([("k", 2), ("k", 3)])


async def test_retry_of_a_row_that_still_fails_parks_it_again_in_order(outbox, settings, run_relay, http):
    settings = settings.model_copy(update={"relay_max_record_bytes": 2000})
    await append_value(outbox, "k", b"x" * 3000)
    await outbox.commit(("k", 2), ("other", 1))
    async with run_relay(settings):
        await wait_until("2 parked rows", lambda: _is(outbox.count("parked"), 2))
        before = await parked(outbox)
        assert await post(http, "/outbox/parked/retry", {"all": True}) == (200, {"retried": 2})
        await wait_until("2 parked rows", lambda: _is(outbox.count("parked"), 2))
        await outbox.until_empty()
    assert await parked(outbox) == before
    await outbox.delivered.until([("other", 1)])


async def test_status_and_parked_rows_over_http(outbox, settings, run_relay, http):
    settings = settings.model_copy(update={"relay_max_record_bytes": 2000})
    await append_value(outbox, "k", b"x" * 3000)
    await outbox.commit(("k", 2))
    async with run_relay(settings):
        await wait_until("2 parked rows", lambda: _is(outbox.count("parked"), 2))
        status = await (await http.get("/outbox")).json()
    assert (status["parked_rows"], status["backlog_rows"], status["oldest_row_s"]) == (2, 0, 0.0)
    assert [group["owner"] for group in status["groups"]] == ["relay-a"] * 8
    (row,) = (await (await http.get("/outbox/parked")).json())["rows"]
    assert (row["key"], row["topic"], row["value_bytes"]) == ("k", outbox.topic, 3000)
    assert len((await (await http.get("/outbox/parked?waiting=1")).json())["rows"]) == 2


@pytest.mark.parametrize("body", [{}, {"ids": [1], "all": True}, {"topic": 3}, {"id": 1}, [], {"all": False}], ids=str)
async def test_a_choice_that_is_not_clear_is_refused(http, body):
    status, problem = await post(http, "/outbox/parked/discard", body)
    assert status == 400
    assert problem["detail"]


async def test_a_limit_out_of_range_is_refused(http):
    for query in ("limit=0", "limit=1001", "limit=x", "after=x"):
        assert (await http.get(f"/outbox/parked?{query}")).status == 400


async def post(http: aiohttp.ClientSession, path: str, body: object) -> tuple[int, dict]:
    answer = await http.post(path, json=body)
    return answer.status, await answer.json(content_type=None)


async def _is(count, expected: int) -> bool:
    return await count == expected


ODD = ["9" * 19, "9" * 5000, "-1", "1e3", "%00", "%ff%fe", "\ud83d\ude00", "", " ", "1;2", "NaN"]


@pytest.mark.parametrize("odd", ODD, ids=ascii)
async def test_whatever_comes_in_a_query_is_answered_with_a_problem(http, odd):
    for name in ("after", "limit", "topic", "waiting"):
        answer = await http.get(URL(f"/outbox/parked?{name}={odd}", encoded=odd.isascii()))
        assert answer.status in {200, 400}, (name, await answer.text())
        if answer.status == 400:
            assert answer.content_type == "application/problem+json"
            assert (await answer.json(content_type=None))["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b'{"ids": [9223372036854775808]}',
        b'{"ids": [-1]}',
        b'{"ids": [' + b"9" * 5000 + b"]}",
        b'{"topic": "a\\u0000b"}',
        b'{"topic": "\\ud800"}',
        b"[" * 100_000,
        b'{"ids": ["1; DROP TABLE"]}',
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_whatever_comes_in_a_body_is_answered_with_a_problem(http, body):
    for what in ("retry", "discard"):
        answer = await http.post(f"/outbox/parked/{what}", data=body)
        assert answer.status == 400, await answer.text()
        assert answer.content_type == "application/problem+json"


async def test_the_largest_id_there_is_may_be_asked_for(http):
    assert (await http.get(f"/outbox/parked?after={(1 << 63) - 1}")).status == 200
    assert await post(http, "/outbox/parked/retry", {"ids": [(1 << 63) - 1]}) == (200, {"retried": 0})


async def test_a_database_that_is_away_is_a_503(settings):
    async with asyncpg.create_pool("postgresql://nobody@127.0.0.1:1/none", min_size=0, timeout=1) as away:
        app = web.Application()
        app.add_routes(outbox_routes(settings, "relay-a", away))
        async with TestClient(TestServer(app)) as client:
            for path in ("/outbox", "/outbox/parked"):
                answer = await client.get(path)
                assert (answer.status, answer.content_type) == (503, "application/problem+json")


_MANY = """
INSERT INTO outbox.parked (id, created_at, key_hash, shard, topic, key, value, headers, error)
SELECT n, now(), 7, $1, $2, convert_to('key-' || (n % $3), 'UTF8'), '\\x31', '\\x00', CASE WHEN n <= $3 THEN 'bad' END
FROM generate_series(1, $4) AS n
"""


@pytest.mark.parametrize("keys", [1, 30_000])
@pytest.mark.parametrize("change", [retry, discard], ids=["retry", "discard"])
async def test_a_hundred_thousand_rows_at_full_speed(outbox, keys, change):
    """While no relay runs: whatever choked on them is down."""
    await outbox.connection.execute(_MANY, 3, outbox.topic, keys, 100_000)
    began = time.monotonic()
    assert await change(outbox.connection, Choice(topic=outbox.topic)) == 100_000
    assert time.monotonic() - began < 30
    assert await outbox.count("parked") == 0
    assert await outbox.count("records") == (100_000 if change is retry else 0)


async def test_discarding_one_row_of_many_sends_the_others_on(outbox):
    await outbox.connection.execute(_MANY, 3, outbox.topic, 1, 20_000)
    assert await discard(outbox.connection, Choice(ids=[1])) == 1
    assert (await outbox.count("parked"), await outbox.count("records")) == (0, 19_999)

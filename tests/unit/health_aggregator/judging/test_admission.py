"""What a heartbeat may say; and any heartbeat at all against the whole of what the aggregator shows."""

import time
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_health_aggregator.exposition import exposed, routes
from atlas_health_aggregator.heartbeats import Receiver
from atlas_health_aggregator.judging.admission import LOOPS_MAX, Limits, OddHeartbeat, Oddity, admitted, cleaned
from atlas_health_aggregator.judging.liveness import Mesh
from atlas_health_aggregator.lag import LagReport
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest

from tests.contexts import SCHEMAS
from tests.unit.health_aggregator.foreign import foreign

NOW_MS = time.time_ns() // 1_000_000
CODEC = Codec(Registry.load(SCHEMAS))
VALUE: dict[str, Any] = {
    "service": "relay",
    "instance": "relay-1",
    "state": "READY",
    "reasons": {},
    "started_at": NOW_MS - 60_000,
    "sent_at": NOW_MS,
    "interval_ms": 2000,
    "version": "1",
}
DAY_MS = 86_400_000
ODD = [
    ("service", "", Oddity.NAME),
    ("service", "x" * 64, Oddity.NAME),
    ("service", "x" * 1_000_000, Oddity.NAME),
    ("service", "re\nlay", Oddity.NAME),
    ("service", "relay\n", Oddity.NAME),
    ("service", "réláy", Oddity.NAME),
    ("service", '"} 1\nx{', Oddity.NAME),
    ("instance", "", Oddity.NAME),
    ("instance", "x" * 201, Oddity.NAME),
    ("instance", "a\x1b[31m", Oddity.NAME),
    ("instance", "a\u202e", Oddity.NAME),
    ("interval_ms", 0, Oddity.INTERVAL),
    ("interval_ms", -1, Oddity.INTERVAL),
    ("interval_ms", 99, Oddity.INTERVAL),
    ("interval_ms", 30_001, Oddity.INTERVAL),
    ("interval_ms", 2**31 - 1, Oddity.INTERVAL),
    ("started_at", -(2**63), Oddity.TIME),
    ("started_at", -1, Oddity.TIME),
    ("started_at", 2**63 - 1, Oddity.TIME),
    ("started_at", NOW_MS + DAY_MS + 1, Oddity.TIME),
    ("sent_at", -(2**63), Oddity.TIME),
    ("sent_at", 2**63 - 1, Oddity.TIME),
    ("sent_at", NOW_MS + DAY_MS + 1, Oddity.TIME),
    ("sent_at", NOW_MS - DAY_MS - 1, Oddity.TIME),
]


def test_what_a_service_says_is_taken_as_it_is() -> None:
    heartbeat = admitted({**VALUE, "reasons": {"loop": "database is away"}}, NOW_MS)
    assert (heartbeat.service, heartbeat.instance, heartbeat.reasons) == (
        "relay",
        "relay-1",
        {"loop": "database is away"},
    )
    assert not heartbeat.leaving
    assert admitted({**VALUE, "state": "STOPPING"}, NOW_MS).leaving


@pytest.mark.parametrize(("field", "value", "oddity"), ODD, ids=lambda each: repr(each)[:20])
def test_what_is_odd_is_refused_and_named_in_few_words(field: str, value: Any, oddity: Oddity) -> None:
    with pytest.raises(OddHeartbeat, match=f"^{field}: ") as caught:
        admitted({**VALUE, field: value}, NOW_MS)
    assert caught.value.oddity is oddity
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("field", "value"),
    [("interval_ms", 100), ("interval_ms", 30_000), ("started_at", 0), ("sent_at", NOW_MS - DAY_MS), ("version", "")],
)
def test_the_ends_of_each_range_belong_to_it(field: str, value: Any) -> None:
    assert getattr(admitted({**VALUE, field: value}, NOW_MS), field) == value


def test_words_are_cut_and_cleaned_and_refused_never() -> None:
    reasons = {f"check-{n}\n": "away\x00" + "x" * 1_000_000 for n in range(1000)}
    heartbeat = admitted({**VALUE, "reasons": reasons, "version": "\x1b" * 5000}, NOW_MS)
    assert len(heartbeat.reasons) == 8
    assert all(len(name) <= 64 and name.isprintable() for name in heartbeat.reasons)
    assert all(len(text) <= 300 and text.isprintable() for text in heartbeat.reasons.values())
    assert len(heartbeat.version) == 100
    assert heartbeat.version.isprintable()
    assert cleaned("as it is", 8) == "as it is"
    assert cleaned("too long", 7) == "too lo…"


names = st.one_of(st.sampled_from(["relay", "gateway", "made-up"]), st.text(max_size=80), st.just("x" * 100_000))
numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-5, 5).map(lambda n: NOW_MS + n * 1000))
heartbeats = st.fixed_dictionaries(
    {
        "service": names,
        "instance": st.one_of(names, st.just("relay-1")),
        "state": st.sampled_from(["READY", "NOT_READY", "STOPPING"]),
        "reasons": st.dictionaries(st.text(max_size=80), st.text(max_size=400), max_size=10),
        "started_at": numbers,
        "sent_at": numbers,
        "interval_ms": st.one_of(st.integers(-(2**31), 2**31 - 1), st.sampled_from([0, 100, 2000, 30_000])),
        "version": st.text(max_size=200),
    }
).map(lambda value: foreign("health.Heartbeat", value))
whole = CODEC.encode("health.Heartbeat", VALUE)
torn = st.integers(0, len(whole)).map(lambda cut: whole[:cut])
bent = st.tuples(st.integers(5, len(whole) - 1), st.integers(0, 255)).map(
    lambda at: whole[: at[0]] + bytes([at[1]]) + whole[at[0] + 1 :]
)
values = st.one_of(st.none(), st.binary(max_size=300), torn, bent, heartbeats)


class _Letters:
    async def send(self, *_args: Any, **_kwargs: Any) -> None:
        return None


class _Lag:
    report = LagReport(0, (), {})


def _message(value: bytes | None) -> Any:
    return SimpleNamespace(
        topic="t", partition=0, offset=1, timestamp=None, timestamp_type=0, key=None, value=value, headers=None
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(values, min_size=1, max_size=30))
async def test_any_bytes_leave_the_probes_answering_and_the_truth_about_the_living(burst: list[bytes | None]) -> None:
    clock = 1000.0
    limits = Limits(frozenset({"relay", "gateway", "self"}), others=2, instances=3)
    mesh = Mesh(interval_s=2, down_after_intervals=3.5, now=clock, epoch_ms=NOW_MS, limits=limits)
    receive = Receiver(CODEC, _Letters(), "g", lambda heartbeat: mesh.observe(heartbeat, clock))  # type: ignore[arg-type]
    for step in range(32):  # longer than the window of any one heartbeat
        clock += 2.0
        for alive in ("relay", "self"):
            sent = {**VALUE, "service": alive, "instance": f"real-{alive}", "sent_at": NOW_MS + step}
            await receive(_message(CODEC.encode("health.Heartbeat", sent)))
        if step == 2:
            for value in burst:
                await receive(_message(value))
        mesh.judge(clock)
    app = web.Application()
    app.add_routes(routes(mesh, _Lag()))  # type: ignore[arg-type]
    with exposed(mesh, _Lag()):  # type: ignore[arg-type]
        text = generate_latest().decode()
    async with TestClient(TestServer(app)) as client, client.get("/health/mesh") as response:
        assert response.status == 200
        shown = {each["service"]: each for each in orjson.loads(await response.read())["services"]}
    assert shown["relay"]["state"] == "UP", shown["relay"]
    assert [each["instance"] for each in shown["relay"]["instances"] if each["alive"]] == ["real-relay"]
    assert set(shown) <= {"relay", "self", "gateway"}, "one burst shows nobody who is not known"
    assert "gateway" not in shown or shown["gateway"]["state"] == "DOWN"
    assert 'atlas_service_state{service="relay",state="UP"} 1.0' in text
    assert "made-up" not in text


def test_what_loops_say_is_cut_and_bounded() -> None:
    loop = {
        "name": "x" * 500,
        "doing": "a\nb" + "y" * 5000,
        "waits": False,
        "since_ms": 2**62,
        "progress_ms": -5,
        "stuck": True,
    }
    heartbeat = admitted({**VALUE, "environment": "e" * 500, "loops": [loop] * 1000}, NOW_MS)
    assert len(heartbeat.loops) == LOOPS_MAX
    first = heartbeat.loops[0]
    assert (len(first.name), len(first.doing), len(heartbeat.environment)) == (64, 300, 64)
    assert "\n" not in first.doing
    assert (first.since_s < 1e9, first.progress_s) == (True, 0)
    assert admitted({**VALUE, "loops": [{**loop, "progress_ms": None}]}, NOW_MS).loops[0].progress_s is None


def test_a_heartbeat_of_a_version_before_says_nothing_of_loops() -> None:
    assert (admitted(VALUE, NOW_MS).loops, admitted(VALUE, NOW_MS).environment) == ((), "")

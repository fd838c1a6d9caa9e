"""Routes and metrics over a mesh and a report made by hand."""

import time
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from atlas_health_aggregator.exposition import Shown, exposed, routes
from atlas_health_aggregator.groups import GroupOffsets
from atlas_health_aggregator.judging.admission import Limits, admitted
from atlas_health_aggregator.judging.blocked import Blockade
from atlas_health_aggregator.judging.lag_rows import Position, Scan, lag_row
from atlas_health_aggregator.judging.liveness import Mesh
from atlas_health_aggregator.judging.rows import TopicLag
from atlas_health_aggregator.judging.status import Status
from atlas_health_aggregator.label_sets import LabelSets
from atlas_health_aggregator.lag import LagReport
from atlas_kafka.cluster.members import Member
from atlas_kafka.cluster.transactions import OpenTransaction
from prometheus_client import REGISTRY, generate_latest

NOW_MS = time.time_ns() // 1_000_000


class Lag:
    """Answers with one report, or raises."""

    def __init__(self, answer: LagReport | Exception) -> None:
        self.answer = answer
        self.report = answer if isinstance(answer, LagReport) else LagReport(0, (), {})

    async def read(self, _max_age_s: float = 0.0) -> LagReport:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def _report() -> LagReport:
    lagging = Position("g", "t", 3, 10, 0, 30, 0, 3_600_000, 30)
    unread = Position("g", "t", 4, 10, 0, 30, 0, -1, 30)
    rows = (lag_row(lagging, Scan(10, 10, NOW_MS - 5000), NOW_MS), lag_row(unread, None, NOW_MS))
    blockade = Blockade("t", 4, NOW_MS - 60_000, 12, OpenTransaction(7, 0, 0, 18, NOW_MS, "etl-1", NOW_MS, 900_000))
    who = [Member("m-1", "app", "/10.0.0.7", {"t": (4, 3)}), Member("m-2", "app", "/10.0.0.7")]
    groups = {"g": GroupOffsets("g", {}, 2, protocol="classic", state="Stable", who=who)}
    groups["share"] = GroupOffsets("share", {}, None, protocol="share", state="Empty")
    members, ours = {"g": 0, "share": None}, {"g": True, "share": False}
    return LagReport(NOW_MS, rows, members, [blockade], ours, 3, groups=groups, clocks={"t": "CreateTime"})


def _judged() -> LagReport:
    report = _report()
    rows = [replace(row, status=status) for row, status in zip(report.rows, (Status.STOPPED, None), strict=True)]
    return replace(report, rows=rows, statuses={"g": Status.STOPPED, "share": None})


def _mesh() -> Mesh:
    mesh = Mesh(
        interval_s=2,
        down_after_intervals=3.5,
        now=time.monotonic(),
        epoch_ms=NOW_MS,
        limits=Limits(frozenset({"relay"})),
    )
    heartbeat: dict[str, Any] = {
        "service": "relay",
        "instance": "relay-1",
        "state": "READY",
        "reasons": {},
        "started_at": NOW_MS,
    }
    heartbeat |= {"sent_at": NOW_MS, "interval_ms": 2000, "version": "1"}
    mesh.observe(admitted(heartbeat, NOW_MS), time.monotonic())
    mesh.judge(time.monotonic())
    return mesh


async def _get(lag: Lag, path: str) -> tuple[int, Any]:
    app = web.Application()
    app.add_routes(routes(_mesh(), lag))  # type: ignore[arg-type]
    async with TestClient(TestServer(app)) as client, client.get(path) as response:
        return response.status, await response.json()


async def test_the_mesh_as_json() -> None:
    status, body = await _get(Lag(_report()), "/health/mesh")
    (service,) = body["services"]
    assert (status, body["silence"]) == (200, None)
    assert (service["service"], service["state"], service["reason"]) == ("relay", "UP", "1 ready")
    assert service["instances"][0]["instance"] == "relay-1"


async def test_lag_as_json() -> None:
    status, body = await _get(Lag(_report()), "/lag")
    assert status == 200
    (blocked,) = body["blocked"]
    assert (blocked["seconds"], blocked["records"], blocked["transactional_id"]) == (60.0, 12, "etl-1")
    assert blocked["text"].startswith("blocked by a transaction since 20")
    assert blocked["text"].endswith(", of transactional id etl-1")
    assert [(row["partition"], row["lag_seconds"], row["state"]) for row in body["items"]] == [
        (3, 5.0, "no-members"),
        (4, None, "no-members"),
    ]


async def test_lag_as_json_has_the_status() -> None:
    _, body = await _get(Lag(_judged()), "/lag")
    assert [row["status"] for row in body["items"]] == ["stopped", None]


async def test_lag_without_brokers_is_503_with_the_reason() -> None:
    status, body = await _get(Lag(ConnectionRefusedError("kafka is away")), "/lag")
    assert status == 503
    assert "kafka is away" in body["detail"]


def test_metrics_show_what_is_known_and_only_that() -> None:
    with exposed(_mesh(), Lag(_report())):  # type: ignore[arg-type]
        three = {"group": "g", "topic": "t", "partition": "3"}
        four = {**three, "partition": "4"}
        value = REGISTRY.get_sample_value
        assert value("atlas_consumer_lag_records", three) == 20
        assert value("atlas_consumer_lag_seconds", three) == 5.0
        assert value("atlas_consumer_lag_seconds", four) is None
        assert value("atlas_consumer_records_lost", three) == 0
        assert value("atlas_consumer_retention_margin_seconds", three) == pytest.approx(3595)
        assert value("atlas_consumer_retention_margin_seconds", four) is None
        assert value("atlas_partition_blocked_records", {"topic": "t", "partition": "4"}) == 12
        assert value("atlas_partition_blocked_seconds", {"topic": "t", "partition": "4"}) >= 60
        assert value("atlas_partition_blocked_seconds", {"topic": "t", "partition": "3"}) is None
        assert value("atlas_consumer_group_members", {"group": "g"}) == 0
        assert value("atlas_consumer_group_members", {"group": "share"}) is None
        assert value("atlas_consumer_group_of_mesh", {"group": "g"}) == 1
        assert value("atlas_consumer_group_of_mesh", {"group": "share"}) == 0
        assert value("atlas_consumer_group_empty_members", {"group": "g"}) == 1
        assert value("atlas_consumer_group_empty_members", {"group": "share"}) is None
        member = {"group": "g", "client_id": "app", "host": "/10.0.0.7"}
        assert value("atlas_consumer_member_partitions", member) == 2
        info = {"group": "share", "protocol": "share", "state": "Empty"}
        assert value("atlas_consumer_group_info", info) == 1
        assert value("atlas_topic_clock", {"topic": "t", "clock": "CreateTime"}) == 1
        assert value("atlas_consumer_groups_hidden") == 3
        assert value("atlas_consumer_old_topic", three) == 0
        assert value("atlas_service_state", {"service": "relay", "state": "UP"}) == 1
        assert value("atlas_service_state", {"service": "relay", "state": "DOWN"}) == 0
        assert value("atlas_service_instances", {"service": "relay"}) == 1
    assert b"atlas_consumer_lag_records" not in generate_latest()


def test_without_series_by_partition_the_names_are_the_same() -> None:
    """Seconds are the worst known, so one that is not known hides no other."""
    with exposed(_mesh(), Lag(_report()), Shown(labels=LabelSets(partition=False))):  # type: ignore[arg-type]
        place = {"group": "g", "topic": "t"}
        value = REGISTRY.get_sample_value
        assert value("atlas_consumer_lag_records", place) == 40
        assert value("atlas_consumer_lag_seconds", place) == 5.0
        assert value("atlas_consumer_retention_margin_seconds", place) == pytest.approx(3595)
        assert value("atlas_partition_blocked_records", {"topic": "t"}) == 12
        assert value("atlas_consumer_group_members", {"group": "g"}) == 0


def test_groups_that_there_is_no_room_for_have_a_series_a_topic() -> None:
    """The sum of records, the worst of the rest; and what is told by topic is told of all."""
    large = TopicLag("large", "t", 900, 700, 61.5, 4000, 2, 3, 12.5, True, False, 10.0, 20.0, 90.0)
    small = replace(large, group="g", catch_up_s=None)
    report = replace(_report(), topics=[small, large], apart={"g"}, shown=_report().rows[:1])
    with exposed(_mesh(), Lag(report), Shown(("kafka_lag_exporter",), "main")):  # type: ignore[arg-type]
        value = REGISTRY.get_sample_value
        place = {"group": "large", "topic": "t", "partition": ""}
        assert value("atlas_consumer_lag_records", place) == 900
        assert value("atlas_consumer_lag_seconds", place) == 61.5
        assert value("atlas_consumer_lag_blocked_records", place) == 3
        assert value("atlas_consumer_records_lost", place) == 2
        assert value("atlas_consumer_beyond_end", place) == 1
        assert value("atlas_consumer_old_topic", place) is None
        assert value("atlas_consumer_lag_records", {**place, "group": "g"}) is None
        assert value("atlas_consumer_lag_records", {**place, "group": "g", "partition": "3"}) == 20
        assert value("atlas_consumer_lag_records", {**place, "group": "g", "partition": "4"}) is None
        of_topic = {"group": "large", "topic": "t"}
        assert value("atlas_consumer_records_in_per_second", of_topic) == 10
        assert value("atlas_consumer_records_out_per_second", of_topic) == 20
        assert value("atlas_consumer_catch_up_seconds", of_topic) == 90
        assert value("atlas_consumer_catch_up_seconds", {**of_topic, "group": "g"}) is None
        of_group = {"cluster_name": "main", "group": "large"}
        assert value("kafka_consumergroup_group_sum_lag", of_group) == 900
        assert value("kafka_consumergroup_group_max_lag", of_group) == 700


def test_without_series_by_group_the_rest_stays() -> None:
    shown = Shown(("kafka_exporter",), labels=LabelSets(group=False))
    with exposed(_mesh(), Lag(_report()), shown):  # type: ignore[arg-type]
        text = generate_latest().decode()
        assert not [line for line in text.splitlines() if line.startswith("atlas_consumer_") and "{" in line]
        assert "atlas_consumer_lag_age_seconds " in text
        assert 'atlas_partition_blocked_records{partition="4",topic="t"} 12.0' in text
        assert "# TYPE kafka_brokers gauge" in text


def test_a_status_is_one_series_and_none_while_it_is_not_known() -> None:
    with exposed(_mesh(), Lag(_judged())):  # type: ignore[arg-type]
        text = generate_latest().decode()
    of = [
        line
        for line in text.splitlines()
        if line.startswith(("atlas_consumer_group_st", "atlas_consumer_partition_st"))
    ]
    assert of == [
        'atlas_consumer_group_status{group="g",status="stopped"} 1.0',
        'atlas_consumer_partition_status{group="g",partition="3",status="stopped",topic="t"} 1.0',
    ]
    with exposed(_mesh(), Lag(_judged()), Shown(labels=LabelSets(partition=False))):  # type: ignore[arg-type]
        text = generate_latest().decode()
    assert "atlas_consumer_group_status{" in text
    assert "atlas_consumer_partition_status{" not in text

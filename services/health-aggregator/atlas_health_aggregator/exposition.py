"""What the aggregator adds to /metrics and to its HTTP routes."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import orjson
from aiohttp import web
from atlas_contracts.values.timestamps import rfc3339
from atlas_errors.policy import describe
from atlas_runtime.serving.http_server import document
from atlas_runtime.serving.paging import NoPage, page
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from atlas_health_aggregator import known_names, lag_metrics
from atlas_health_aggregator.judging.lag_rows import rank
from atlas_health_aggregator.judging.liveness import Mesh, State
from atlas_health_aggregator.judging.rows import chosen
from atlas_health_aggregator.label_sets import LabelSets
from atlas_health_aggregator.lag import LagReader, LagReport

# Fresh enough for whoever waits for a group to catch up; the brokers are asked no more often than this.
LAG_MAX_AGE_S = 1.0
# Partitions are blocked by the dozen, if at all, when one producer hangs.
BLOCKED_MAX = 500


def routes(mesh: Mesh, lag: LagReader, leads: Callable[[], bool] = lambda: True) -> list[web.RouteDef]:
    """GET /health/mesh: every service, and whether this one tells of changes. GET /lag: every group, in pages, at most
    1 s old; 503 when no broker answers.

    `group` and `topic` ask for one of them. What blocks partitions is on every page, the first BLOCKED_MAX of it.
    """

    async def health_mesh(_request: web.Request) -> web.Response:
        return _json(200, mesh.view(time.monotonic()) | {"leads": leads()})

    async def consumer_lag(request: web.Request) -> web.Response:
        try:
            report = await lag.read(LAG_MAX_AGE_S)
        except Exception as error:  # noqa: BLE001 - it says what it is, and the next one may be answered
            return document(503, f"Lag can't be read: {describe(error)}.")
        group, topic = request.query.get("group"), request.query.get("topic")
        rows = chosen(report.rows, group, topic)
        try:
            items, next_cursor = page(request.query, rows, rank)
        except NoPage as error:
            return document(422, f"{error}.")
        blocked = [each for each in report.blockades if topic in (None, each.topic)]
        answer = {
            "taken_at": rfc3339(report.taken_at),
            "items": [row.as_json() for row in items],
            "next_cursor": next_cursor,
            "blocked": [each.as_json(report.taken_at) for each in blocked[:BLOCKED_MAX]],
            "blocked_left_out": max(0, len(blocked) - BLOCKED_MAX),
        }
        return _json(200, answer)

    return [web.get("/health/mesh", health_mesh), web.get("/lag", consumer_lag)]


@dataclass(frozen=True, slots=True)
class Shown:
    """What of lag is in /metrics: under which exporters' `names` too, what these call the `cluster`, which `labels`."""

    names: Sequence[str] = ()
    cluster: str = ""
    labels: LabelSets = field(default_factory=LabelSets)


@contextmanager
def exposed(mesh: Mesh, lag: LagReader, shown: Shown | None = None) -> Iterator[None]:
    """Within the block /metrics shows the mesh and the lag; a group or service that is gone is gone there too."""
    collector = _Collector(mesh, lag, shown or Shown())
    REGISTRY.register(collector)
    try:
        yield
    finally:
        REGISTRY.unregister(collector)


class _Collector(Collector):
    def __init__(self, mesh: Mesh, lag: LagReader, shown: Shown) -> None:
        self._mesh = mesh
        self._lag = lag
        self._shown = shown

    def describe(self) -> Iterable[Metric]:
        return ()  # names are known only with the values; keeps the registry from collecting at registration

    def collect(self) -> Iterable[Metric]:
        report, labels = self._lag.report, self._shown.labels
        yield from _mesh_metrics(self._mesh)
        yield from lag_metrics.of_rows(report, labels)
        yield from lag_metrics.of_topics(report, labels)
        if labels.group:
            yield from lag_metrics.of_groups(report)
        yield from filter(labels.shows, [lag_metrics.partition_statuses(report)])
        yield from _round_metrics(report)
        yield from _blocked_metrics(report, labels)
        for name in self._shown.names:
            yield from filter(labels.shows, known_names.NAMES[name](report, self._shown.cluster))


def _mesh_metrics(mesh: Mesh) -> Iterable[Metric]:
    state = GaugeMetricFamily("atlas_service_state", "1 for the state a service is in", labels=["service", "state"])
    instances = GaugeMetricFamily("atlas_service_instances", "Instances alive", labels=["service"])
    for service in mesh.view(time.monotonic())["services"]:
        for each in State:
            state.add_metric([service["service"], each.value], float(service["state"] == each.value))
        instances.add_metric([service["service"]], sum(instance["alive"] for instance in service["instances"]))
    return state, instances


def _round_metrics(report: LagReport) -> Iterable[Metric]:
    hidden = GaugeMetricFamily("atlas_consumer_groups_hidden", "Groups that are not looked at: there are too many")
    hidden.add_metric([], report.hidden)
    age = GaugeMetricFamily("atlas_consumer_lag_age_seconds", "Age of the lag figures")
    if report.taken_at:
        age.add_metric([], max(0.0, time.time() - report.taken_at / 1000))
    return hidden, age


def _blocked_metrics(report: LagReport, labels: LabelSets) -> Iterable[Metric]:
    records = GaugeMetricFamily(
        "atlas_partition_blocked_records",
        "Offsets that an open transaction holds back; absent: none stands still",
        labels=["topic", "partition"],
    )
    seconds = GaugeMetricFamily(
        "atlas_partition_blocked_seconds",
        "Age of the open transaction that holds back a partition; absent: none stands still",
        labels=["topic", "partition"],
    )
    now_ms = time.time_ns() // 1_000_000
    for each in report.blockades:
        place = [each.topic, str(each.partition)]
        records.add_metric(place, each.records)
        seconds.add_metric(place, each.seconds(now_ms))
    return labels.merged(records, sum), labels.merged(seconds, max)


def _json(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")

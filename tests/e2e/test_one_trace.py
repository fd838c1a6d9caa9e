"""One trace, from the request over SQL, outbox, relay and topic to the read model and the archive, as a receiver of
OTLP gets it from all five services; and one request followed through their logs.
"""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Collection
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_local.testing import TestMesh
from atlas_local.waiting import wait_until

from tests.collector import Collector, Seen
from tests.e2e.test_one_event import _haul as haul

SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5
ERROR = 2
STATE, BAGGAGE = "congo=t61rcWkgMzE", "tenant=acme"
WITHIN_S = 60


def new_trace(flags: str = "01") -> tuple[str, dict[str, str]]:
    trace = uuid.uuid4().hex
    return trace, {"traceparent": f"00-{trace}-00f067aa0ba902b7-{flags}", "tracestate": STATE, "baggage": BAGGAGE}


async def stations(spans: Collector, trace: str, names: Collection[str]) -> dict[str, Seen]:
    """The spans of a trace by name, when there is one of each name."""

    async def all_there() -> bool:
        return set(names) <= {span.name for span in spans.of(trace)}

    try:
        await wait_until(f"the spans of {trace}", all_there, WITHIN_S)
    except TimeoutError as error:
        raise AssertionError(f"there are {sorted(s.name for s in spans.of(trace))}, not all of {names}") from error
    return {span.name: span for span in spans.of(trace)}


async def headers_at(mesh: TestMesh, topic: str, partition: int, offset: int) -> dict[str, bytes | None]:
    """The headers of one record."""
    async with AIOKafkaConsumer(bootstrap_servers=mesh.servers.kafka_brokers, enable_auto_commit=False) as consumer:
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        consumer.seek(place, offset)
        record = await asyncio.wait_for(consumer.getone(place), WITHIN_S)
        assert record.offset == offset
        return dict(record.headers)


async def test_a_command_is_one_trace_to_the_read_model_and_the_archive(traced: tuple[TestMesh, Collector]) -> None:
    mesh, spans = traced
    trace, headers = new_trace()
    body = {"email": f"{uuid.uuid4().hex}@example.org", "display_name": "Ann"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{mesh.url('gateway')}/yards", json=body, headers=headers) as response,
    ):
        assert response.status == 201, await response.text()
    names = ("POST /yards", "yards.create", "outbox.append", "send outbox", "process yards", "archive yards.events")
    found = await stations(spans, trace, names)

    assert [found[name].service for name in names] == [*["gateway"] * 3, "relay", "projector", "archiver"]
    assert [found[name].kind for name in names] == [SERVER, CLIENT, CLIENT, PRODUCER, CONSUMER, CONSUMER]
    known = {"00f067aa0ba902b7", *(span.span for span in spans.of(trace))}
    assert {span.name: span.parent for span in spans.of(trace) if span.parent not in known} == {}
    assert found["POST /yards"].parent == "00f067aa0ba902b7"
    assert {span.state for span in found.values()} <= {STATE, ""}
    assert found["POST /yards"].state == STATE
    assert {span.status for span in found.values()}.isdisjoint({ERROR})

    attributes = {name: found[name].attributes for name in names}
    served = {
        "http.request.method": "POST",
        "http.route": "/yards",
        "http.response.status_code": 201,
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": int(mesh.url("gateway").rpartition(":")[2]),
    }
    assert attributes["POST /yards"].items() >= served.items()
    assert attributes["yards.create"] == {"db.system.name": "postgresql", "db.query.summary": "yards.create"}
    shared = {"messaging.system": "kafka", "messaging.destination.name": "yards.events"}
    assert attributes["send outbox"].items() >= {**shared, "messaging.operation": "publish"}.items()
    assert attributes["send outbox"]["messaging.batch.message_count"] >= 1
    processed = {**shared, "messaging.operation": "process", "messaging.kafka.consumer.group": "projector.yards"}
    assert attributes["process yards"].items() >= processed.items()
    assert attributes["process yards"].keys() >= {
        "messaging.destination.partition.id",
        "messaging.kafka.message.offset",
    }
    assert attributes["archive yards.events"].items() >= shared.items()

    about = attributes["process yards"]
    partition, offset = int(about["messaging.destination.partition.id"]), about["messaging.kafka.message.offset"]
    carried = await headers_at(mesh, "yards.events", partition, offset)
    assert (carried["tracestate"], carried["baggage"]) == (STATE.encode(), BAGGAGE.encode())
    assert (carried["traceparent"] or b"").decode().split("-")[1] == trace


async def test_a_measurement_leads_to_its_trace(traced: tuple[TestMesh, Collector]) -> None:
    mesh, spans = traced
    trace, headers = new_trace()
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{mesh.url('gateway')}/yards/{uuid.uuid4()}", headers=headers) as response:
            assert response.status == 404
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        async with session.get(f"{mesh.url('gateway')}/metrics", headers=accept) as response:
            text = await response.text()
    lines = {line.partition("_bucket{")[0]: line for line in text.splitlines() if trace in line}
    assert lines.keys() == {"atlas_http_request_seconds", "atlas_db_query_seconds"}
    assert 'method="GET",route="/yards/{yard_id}"' in lines["atlas_http_request_seconds"]
    assert 'query="yards.row"' in lines["atlas_db_query_seconds"]
    found = await stations(spans, trace, ("GET /yards/{yard_id}", "yards.row"))
    assert found["yards.row"].parent == found["GET /yards/{yard_id}"].span


async def test_a_batch_leads_to_a_trace_too(traced: tuple[TestMesh, Collector]) -> None:
    mesh, spans = traced
    trace, headers = new_trace()
    body = {"email": f"{uuid.uuid4().hex}@example.org", "display_name": "Ann"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{mesh.url('gateway')}/yards", json=body, headers=headers) as response,
    ):
        assert response.status == 201, await response.text()
    await stations(spans, trace, ("send outbox", "process yards", "archive yards.events"))
    measured = {
        "relay": {"atlas_relay_send_seconds"},
        "projector": {"atlas_projector_event_age_seconds"},
        "archiver": {"atlas_archiver_store_seconds", "atlas_archiver_record_age_seconds"},
    }
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    for service, names in measured.items():
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{mesh.url(service)}/metrics", headers=accept) as got,
        ):
            text = await got.text()
        assert {line.partition("_bucket{")[0] for line in text.splitlines() if trace in line} >= names, service


async def test_a_posted_event_is_one_trace_too(traced: tuple[TestMesh, Collector]) -> None:
    mesh, spans = traced
    trace, headers = new_trace()
    event = haul(f"T1-{uuid.uuid4().hex[:16]}-EWR")
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{mesh.url('gateway')}/topics/hauls.events", json=event, headers=headers) as response,
    ):
        assert response.status == 200, await response.text()
    names = ("POST /topics/{topic}", "send hauls.events", "process hauls", "archive hauls.events")
    found = await stations(spans, trace, names)
    assert found["send hauls.events"].parent == found["POST /topics/{topic}"].span
    assert found["send hauls.events"].attributes["messaging.batch.message_count"] == 1
    assert found["process hauls"].parent == found["POST /topics/{topic}"].span


async def test_many_requests_at_once_each_keep_their_trace(traced: tuple[TestMesh, Collector]) -> None:
    mesh, spans = traced
    asked = [new_trace() for _ in range(30)]
    async with aiohttp.ClientSession() as session:
        for _, headers in asked:
            event = haul(f"T2-{uuid.uuid4().hex[:16]}-EWR")
            url = f"{mesh.url('gateway')}/topics/hauls.events"
            async with session.post(url, json=event, headers=headers) as response:
                assert response.status == 200, await response.text()
    traces = {trace for trace, _ in asked}
    for trace in traces:
        await stations(spans, trace, ("process hauls", "archive hauls.events"))
    stored = [span for span in spans.spans if span.name == "archive hauls.events" and span.trace in traces]
    assert all(set(span.links) <= {other.trace for other in spans.spans} for span in stored)


async def test_what_nobody_records_leaves_no_span(traced: tuple[TestMesh, Collector]) -> None:
    mesh, spans = traced
    before = len(spans.spans)  # other tests ask for canaries in traces of their own
    silent, quiet = new_trace("00")
    trace, headers = new_trace()
    event: dict[str, Any] = haul(f"T3-{uuid.uuid4().hex[:16]}-EWR")
    async with aiohttp.ClientSession() as session:
        for asked in (quiet, headers):
            url = f"{mesh.url('gateway')}/topics/hauls.events"
            async with session.post(url, json=event, headers=asked) as response:
                assert response.status == 200, await response.text()
        for path in ("/health/live", "/health/ready", "/metrics"):
            async with session.get(mesh.url("gateway") + path, headers=headers) as response:
                assert response.status == 200, await response.text()
        async with session.get(f"{mesh.url('gateway')}/hauls/none", headers=headers) as response:
            assert response.status == 404
    found = await stations(spans, trace, ("archive hauls.events", "GET /hauls/{haul_id}"))
    assert spans.of(silent) == []
    # Probes and scrapes, and the canaries that fly meanwhile.
    assert not [span.name for span in spans.spans[before:] if "/health" in span.name or "/metrics" in span.name]
    missed = found["GET /hauls/{haul_id}"]
    assert (missed.attributes["http.response.status_code"], missed.status) == (404, 0)


async def test_the_health_aggregator_begins_traces_of_its_own(traced: tuple[TestMesh, Collector]) -> None:
    _, spans = traced
    await wait_until(
        "spans of the health-aggregator", lambda: {"health-aggregator"} & {s.service for s in spans.spans}, WITHIN_S
    )
    sent = [span for span in spans.spans if span.service == "health-aggregator"]
    assert {span.kind for span in sent} == {PRODUCER}
    assert {span.attributes["messaging.system"] for span in sent} == {"kafka"}


async def atlas_logs(mesh: TestMesh, *options: str) -> tuple[int | None, str, str]:
    """What `atlas logs` of this mesh prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "atlas_cli.main", "logs", *options),
        env={**os.environ, "ATLAS_HOME": str(mesh.home.path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), WITHIN_S)
    return process.returncode, out.decode(), err.decode()


async def test_a_read_is_a_span_of_its_request(traced: tuple[TestMesh, Collector]) -> None:
    mesh, spans = traced
    body = {"email": f"{uuid.uuid4().hex}@example.org", "display_name": "Ann"}
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{mesh.url('gateway')}/yards", json=body) as response:
            assert response.status == 201, await response.text()
            place, token = response.headers["Location"], response.headers["Atlas-Token"]
        trace, headers = new_trace()
        url = f"{mesh.url('gateway')}{place}"
        async with session.get(url, headers=headers | {"Atlas-Token": token}) as response:
            assert response.status == 200, await response.text()
    found = await stations(spans, trace, ("GET /yards/{yard_id}", "yards.row"))
    assert found["yards.row"].kind == CLIENT
    assert found["yards.row"].parent == found["GET /yards/{yard_id}"].span
    assert place.rpartition("/")[2] not in str([span.attributes for span in spans.of(trace)])


async def test_one_request_is_followed_through_the_logs_of_all_services(traced: tuple[TestMesh, Collector]) -> None:
    mesh, _ = traced
    # Not recorded: its lines are there all the same, but for the archiver, which reads no such traces.
    trace, headers = new_trace("00")
    email = f"{uuid.uuid4().hex}@example.org"
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{mesh.url('gateway')}/yards", json={"email": email, "display_name": "Ann"}, headers=headers
        ) as response,
    ):
        assert response.status == 201, await response.text()
    found: list[dict[str, Any]] = []

    async def all_told() -> bool:
        _, out, _ = await atlas_logs(mesh, "--trace", trace, "--json")
        found[:] = [json.loads(line) for line in out.splitlines()]
        return {"gateway", "relay", "projector"} <= {line["service"] for line in found}

    await wait_until(f"lines of three services about {trace}", all_told, WITHIN_S)
    times = [line["timestamp"] for line in found]
    assert times == sorted(times)
    # Each is told at its end, so the request may be told after the batch that has its row.
    told = {line["event"]: line for line in found}
    assert sorted(told) == ["process yards", "request", "send outbox"]
    assert (told["request"]["route"], told["request"]["trace_id"]) == ("/yards", trace)
    assert trace in told["send outbox"]["traces"]
    assert trace in told["process yards"]["traces"]

    code, out, _ = await atlas_logs(mesh, "--trace", trace, "--service", "relay")
    assert (code, len(out.splitlines())) == (0, 1)
    code, _, err = await atlas_logs(mesh, "--trace", uuid.uuid4().hex)
    assert code == 1
    assert "no line here is of the trace" in err

    whole = "".join(path.read_text(errors="replace") for path in mesh.home.logs.iterdir())
    assert email not in whole


async def test_lines_of_all_services_come_as_otlp_logs(traced: tuple[TestMesh, Collector]) -> None:
    mesh, spans = traced
    trace, headers = new_trace()
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{mesh.url('gateway')}/hauls/none", headers=headers) as response,
    ):
        assert response.status == 404
    everybody = {"gateway", "relay", "projector", "archiver", "health-aggregator"}

    async def all_there() -> bool:
        told = any(line.trace == trace for line in spans.lines)
        return told and everybody <= {line.resource["service.name"] for line in spans.lines}

    await wait_until("lines of all five services", all_there, WITHIN_S)
    (line,) = [line for line in spans.lines if line.trace == trace]
    assert (line.body, line.severity, line.logger) == ("request", (5, "DEBUG"), "atlas_gateway.middleware")
    assert line.attributes.keys() == {"method", "route", "status", "took_ms", "correlation_id"}
    found = await stations(spans, trace, ("GET /hauls/{haul_id}",))
    assert line.span == found["GET /hauls/{haul_id}"].span
    assert all(line.severity[0] in (5, 9, 13, 17, 21) and line.body for line in spans.lines)
    assert all(line.at_ns > 0 and line.logger for line in spans.lines)

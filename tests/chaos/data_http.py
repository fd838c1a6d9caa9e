"""Hostile requests: every one is answered, with a refusal that says why or with where its records are."""

import asyncio
import gzip
import io
import json
import random
import uuid
import zlib
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from atlas_local.testing import TestMesh
from yarl import URL

from tests.chaos.data_foreign import DEAD, EITHER, VISIBLE
from tests.chaos.data_good import DEPARTED, TOPIC, haul
from tests.chaos.data_ledger import End, Ledger

JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}
CLOUD = {"Content-Type": "application/cloudevents+json"}
POST = f"/topics/{TOPIC}"
SERVICES = ("gateway", "relay", "projector", "archiver", "health-aggregator")

Request = tuple[str, str, dict[str, str], bytes]  # method, path, headers, body


def event(**changed: Any) -> dict[str, Any]:
    return {"type": DEPARTED, "value": haul("H") | changed}


# Above what the topic takes, and little enough to be packed with others.
_REFUSED_BYTES = 200_000
_OPTIONAL = {"truck_number", "drive_time_minutes", "arrival_delay_minutes"}


def _json(value: Any) -> bytes:
    """Not orjson: some of the numbers are beyond 64 bits."""
    return json.dumps(value).encode()


def _faulty_records() -> list[dict[str, Any]]:
    """Records each of which is refused for what it is."""
    odd: list[Any] = [True, 1.5, [], {}, [[]] * 50, -(2**63) - 1]
    fields = random.sample(sorted(set(haul()) - _OPTIONAL), 4)
    records = [event(**{field: random.choice(odd)}) for field in fields]
    for field in fields:
        records.append(event())
        del records[-1]["value"][field]
    records += [event(surplus=value) for value in odd]
    hours_ahead = {"time": "2199-01-01T00:00:00Z"}
    records += [event() | hours_ahead, event() | {"time": 253_402_300_800_000}, event() | {"time": "yesterday"}]
    records += [event(scheduled_departure=year) for year in (253_402_300_800_000, -(2**63), "10000-01-01T00:00:00Z")]
    records += [
        event() | {"type": "hauls.Nothing"},
        event() | {"type": "yards.YardDeactivated"},
        event() | {"headers": {"ce_sequence": "2"}},
        event() | {"headers": {"x": 1}},
        event() | {"key": "x" * 300},
        event() | {"id": ""},
        event() | {"unknown": 1},
        {"value": "x"},
        {"type": None, "value": None},
    ]
    return records


def _odd_records() -> list[tuple[dict[str, Any], set[End], str | None]]:
    """Records that are right by their schema; a column may not take them."""
    refused: tuple[dict[str, Any], ...] = (
        {"truck_number": "N\u0000"},
        {"haul_id": f"H\u0000{uuid.uuid4().hex}"},
        {"carrier": "\u0000"},
        {"haul_id": "H" + random.randbytes(5000).hex()},
    )
    rows: list[tuple[dict[str, Any], set[End], str | None]] = [(event(**changed), DEAD, None) for changed in refused]
    for changed in (
        {"truck_number": "\x1b[31m[/red]\r\n\u202e"},
        {"truck_number": "x" * 100_000},
        {"departure_delay_minutes": 2**31 - 1, "arrival_delay_minutes": -(2**31)},
    ):
        odd = event(**changed)
        rows.append((odd, VISIBLE, odd["value"]["haul_id"]))
    for time in (0, "1970-01-01T00:00:00Z", "2013-01-01T00:00:00Z", 1_356_998_400_000):
        odd = event() | {"time": time}
        rows.append((odd, VISIBLE, odd["value"]["haul_id"]))
    heads = event() | {"headers": {f"h{number}": "" for number in range(100)}}
    rows.append((heads, VISIBLE, heads["value"]["haul_id"]))
    rows.append((event() | {"key": "\u0000\x1b[2J" + uuid.uuid4().hex}, EITHER, None))
    return rows


def _refused_requests() -> list[Request]:
    """Requests each of which is refused as a whole."""
    good = orjson.dumps(event())
    cloud = {"specversion": "1.0", "id": uuid.uuid4().hex, "source": "/x", "data": {"yard_id": "x"}}
    forged = cloud | {"type": "yards.YardDeactivated", "subject": "x", "sequence": "2"}
    encoded = {**JSON, "Content-Encoding": "gzip"}
    lines = {**LINES, "Content-Encoding": "gzip"}
    bodies: list[Request] = [
        ("POST", POST, JSON, random.randbytes(200)),
        ("POST", POST, JSON, b""),
        ("POST", POST, JSON, b"[" * 100_000),
        ("POST", POST, JSON, b'{"type": "\xff"}'),
        ("POST", POST, JSON, b'{"value": ' + b'{"a":' * 3_000 + b"1" + b"}" * 3_000 + b"}"),
        ("POST", POST, JSON, b'{"value": ' + b"9" * 100_000 + b"}"),
        ("POST", POST, JSON, b'{"type": "x", "value": {"a": "' + b"\\ud800" * 1000 + b'"}}'),
        ("POST", POST, encoded, random.randbytes(100)),
        ("POST", POST, encoded, gzip.compress(good)[:-9]),
        ("POST", POST, lines, gzip.compress(b"1\n" * 100_000)),
        ("POST", POST, encoded, gzip.compress(b'{"a":[' + b"[]," * 300_000 + b"1]}")),
        ("POST", POST, encoded, gzip.compress(b" " * 50_000_000, 1)),
        ("POST", POST, {**JSON, "Content-Encoding": "deflate"}, b"not deflate"),
        ("POST", POST, {**JSON, "Content-Encoding": "br"}, good),
        ("POST", POST, {**JSON, "Content-Encoding": "x"}, good),
        ("POST", POST, {**JSON, "Content-Encoding": "gzip, deflate"}, zlib.compress(gzip.compress(good))),
        ("POST", POST, {"Content-Type": "text/plain"}, good),
        ("POST", POST, {"Content-Type": "application/json; charset=\x80"}, b"x"),
        ("POST", POST, JSON, orjson.dumps(event() | {"value": {"a": "x" * 1_200_000}})),
        ("POST", "/topics/yards.events", JSON, orjson.dumps({"type": "yards.YardDeactivated", "value": {}})),
        ("POST", "/topics/yards.events", CLOUD, orjson.dumps(forged)),
        ("POST", "/topics/yards.events", LINES, b"{}\n" * 3),
        ("POST", "/topics/health.heartbeats", JSON, orjson.dumps({"type": "health.Heartbeat", "value": {}})),
        ("POST", "/topics/health.events", JSON, orjson.dumps({"type": "health.HealthChanged", "value": {}})),
        ("POST", "/topics/%00", JSON, good),
        ("POST", "/topics/" + "x" * 3_000, JSON, good),
        ("POST", POST, {**JSON, "Idempotency-Key": "é " * 150}, good),
        (
            "POST",
            "/yards",
            {**JSON, "Idempotency-Key": uuid.uuid4().hex},
            b'{"email": "\\u0000", "display_name": 1}',
        ),
        ("POST", "/yards", {**JSON, "Idempotency-Key": uuid.uuid4().hex}, b'{"email": []}'),
        ("POST", "/yards", JSON, random.randbytes(50)),
        ("GET", "/yards/%00", {}, b""),
        ("GET", "/yards/%ff%fe", {}, b""),
        ("GET", "/yards?token=yards/%00@1", {}, b""),
        ("GET", "/yards?limit=99999999999999999999", {}, b""),
        ("GET", "/yards?limit=-1", {}, b""),
        ("GET", "/hauls?cursor=%00%ff", {}, b""),
        ("GET", "/schemas/ids/99999999999999999999999", {}, b""),
        ("GET", "/nowhere/" + "%00" * 200, {}, b""),
    ]
    return random.sample(bodies, len(bodies))


# Bytes that no client library would send, to every service: a line of the request and its headers.
_RAW = (
    b"GET /yards/\x00 HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"GET /health/live HTTP/1.1\r\nHost: {host}\r\nContent-Type: \xff\r\nIf-Match: \xff\r\n\r\n",
    b"GET /yards?token=\xff HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"POST /topics/hauls.events HTTP/1.1\r\nHost: {host}\r\nContent-Type: \xff\r\nContent-Length: 2\r\n\r\n{}",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /\x1b[2J HTTP/1.1\r\nHost: {host}\r\nCookie: \x00\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /%zz%u0000 HTTP/1.1\r\nHost: {host}\r\nX-Request-ID: \xc3\x28\r\n\r\n",
)


class HostileClient:
    """Sends hostile requests and notes how each was answered."""

    def __init__(self, mesh: TestMesh, ledger: Ledger, session: aiohttp.ClientSession) -> None:
        self._mesh = mesh
        self.ledger = ledger
        self._session = session

    async def send(self, turns: int) -> None:
        """So many times each kind."""
        kinds = (self._faulty, self._odd, self._mixed, self._large, self._whole, self._raw)
        for _ in range(turns):
            await asyncio.gather(*(send() for send in random.sample(kinds, len(kinds))))

    async def _faulty(self) -> None:
        """A post of nothing but faults: each has its own error."""
        records = _faulty_records()
        status, answer = await self.ask("POST", POST, JSON, _json(records))
        results = answer.get("results", ())
        if status != 422 or len(results) != len(records):
            self.ledger.note_broken("faulty records", f"{status} {answer}")
            return
        for record, result in zip(records, results, strict=True):
            if "error" in result:
                self.ledger.refuse("faulty record")
            else:
                self.ledger.note_broken("faulty record", f"taken: {record}")

    async def _odd(self) -> None:
        rows = _odd_records()
        body = b"\n".join(orjson.dumps(record) for record, _, _ in rows)
        status, answer = await self.ask("POST", POST, LINES, body)
        results = answer.get("results", ())
        if status not in (200, 207) or len(results) != len(rows):
            self.ledger.note_broken("odd records", f"{status} {answer}")
            return
        for (_record, ends, row), result in zip(rows, results, strict=True):
            if "error" in result:
                self.ledger.refuse("odd record")
            else:
                place = (TOPIC, result["partition"], result["offset"])
                self.ledger.accept("odd record", place, ends, row)

    async def _mixed(self) -> None:
        """Good lines with a faulty one between each two: the good ones are on the topic, all of them."""
        faulty = _faulty_records()
        good = [haul() for _ in faulty]
        lines = [
            line
            for value, fault in zip(good, faulty, strict=True)
            for line in ({"type": DEPARTED, "value": value}, fault)
        ]
        status, answer = await self.ask("POST", POST, LINES, b"\n".join(map(_json, lines)))
        results = answer.get("results", ())
        if status != 207 or len(results) != len(lines):
            self.ledger.note_broken("mixed lines", f"{status} {answer}")
            return
        for value, result, fault in zip(good, results[::2], results[1::2], strict=True):
            if "error" in result or "error" not in fault:
                self.ledger.note_broken("mixed line", f"good: {result}, faulty: {fault}")
            else:
                self.ledger.hauls.add(value["haul_id"])
                self.ledger.refuse("faulty line")

    async def _large(self) -> None:
        """Good lines of one partition, and some between them that the topic does not take: the broker alone knows."""
        small = [haul() for _ in range(60)]
        values = [
            haul("H") | {"truck_number": "x" * _REFUSED_BYTES} if n % 20 == 10 else v for n, v in enumerate(small)
        ]
        status, answer = await self.ask(
            "POST", POST, LINES, b"\n".join(_json({"type": DEPARTED, "value": v}) for v in values)
        )
        results = answer.get("results", ())
        if status != 207 or len(results) != len(values):
            self.ledger.note_broken("large lines", f"{status} {answer}")
            return
        for value, result in zip(values, results, strict=True):
            good = value["truck_number"] is None
            if good != ("error" not in result):
                self.ledger.note_broken("large line", f"good: {good}, {result}")
            elif good:
                self.ledger.hauls.add(value["haul_id"])
            else:
                self.ledger.refuse("large line")

    async def _whole(self) -> None:
        for method, path, headers, body in _refused_requests():
            status, answer = await self.ask(method, path, headers, body)
            if 400 <= status < 500 and answer.get("status") == status:
                self.ledger.refuse("refused request")
            else:
                self.ledger.note_broken(
                    "refused request", f"{method} {path[:80]} {headers} {body[:60]!r}: {status} {answer}"
                )

    async def ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and problem or answer; 0 when there was none."""
        url = self._mesh.url("gateway") + path
        data = io.BytesIO(body) if body else None  # aiohttp warns of a large body in bytes
        try:
            async with self._session.request(method, URL(url, encoded=True), headers=headers, data=data) as response:
                found = await response.json(content_type=None)
                return response.status, found if isinstance(found, dict) else {"results": found}
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return 0, {"error": f"{type(error).__name__}: {error}"}

    async def _raw(self) -> None:
        await asyncio.gather(*(self._bytes(service, text) for service in SERVICES for text in _RAW))

    async def _bytes(self, service: str, text: bytes) -> None:
        """A refusal, or a connection that is closed without a word; never a 5xx."""
        address = urlsplit(self._mesh.url(service))
        assert address.hostname is not None  # an address of the mesh has one
        try:
            async with asyncio.timeout(20):
                reader, writer = await asyncio.open_connection(address.hostname, address.port)
                writer.write(text.replace(b"{host}", address.netloc.encode()))
                writer.write_eof()
                answer = await reader.read(200)
                writer.close()
        except (OSError, TimeoutError) as error:
            self.ledger.note_broken("raw bytes", f"{service} {text[:60]!r}: {type(error).__name__} {error}")
            return
        if answer.startswith((b"HTTP/1.1 5", b"HTTP/1.0 5")):
            self.ledger.note_broken("raw bytes", f"{service} {text[:60]!r}: {answer[:80]!r}")
        else:
            self.ledger.refuse("raw bytes")

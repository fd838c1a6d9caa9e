"""Reading a file of events and posting it in chunks; the gateway here is a stand-in that speaks its protocol."""

import io
import json
from collections.abc import AsyncIterator

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from atlas_cli.terminal.output import CommandError
from atlas_cli.topics import producing
from atlas_cli.topics.producing import Line, Outcome, chunks, produce, read_lines
from atlas_contracts.values import exact_json
from hypothesis import given
from hypothesis import strategies as st


def lines(text: bytes) -> list[tuple[int, object, str | None]]:
    return [
        (line.number, None if line.fault else orjson.loads(line.body), line.fault)
        for line in read_lines(io.BytesIO(text))
    ]


def test_ndjson_is_read_line_by_line_and_blank_lines_are_nothing() -> None:
    assert lines(b'\n{"a": 1}\n\n  {"a": 2} \r\n{"a": 3}') == [
        (2, {"a": 1}, None),
        (4, {"a": 2}, None),
        (5, {"a": 3}, None),
    ]


def test_a_broken_line_is_marked_and_the_others_are_read() -> None:
    assert lines(b'{"a": 1}\n{"a": \n{"a": 3}\n') == [(1, {"a": 1}, None), (2, None, "not JSON"), (3, {"a": 3}, None)]


def test_a_json_document_may_be_an_object_or_an_array() -> None:
    assert lines(b'{\n  "a": 1\n}\n') == [(1, {"a": 1}, None)]
    assert lines(b'[{"a": 1},\n {"a": 2}]') == [(1, {"a": 1}, None), (2, {"a": 2}, None)]
    assert lines(b" \n") == []


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False).map(str) | st.integers(-(10**400), 10**400).map(str)
RECORDS = st.recursive(
    NUMBERS | st.text(st.characters(exclude_categories=["Cs"]), max_size=5).map(json.dumps),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: "[" + " ,\n".join(parts) + "\r\n]")
        | st.dictionaries(st.sampled_from("ab"), inner).map(
            lambda members: "{" + ",".join(f'"{name}" :\t{part}' for name, part in members.items()) + "}"
        )
    ),
    max_leaves=8,
)


@given(st.lists(RECORDS, max_size=5), st.sampled_from(["", " ", "\n "]))
def test_no_number_of_a_document_goes_through_a_float(records: list[str], space: str) -> None:
    document = f"[{space}" + f"{space},{space}".join(records) + f"{space}]"
    sent = [line.body for line in read_lines(io.BytesIO(document.encode()))]
    assert [exact_json.parse(body) for body in sent] == [exact_json.parse(record) for record in records]
    assert not any(b"\n" in body or b"\r" in body for body in sent)


def test_a_number_beyond_a_float_is_the_gateways_to_judge() -> None:
    body = b'{"a": 1e400}'
    assert [(line.body, line.fault) for line in read_lines(io.BytesIO(body + b"\n" + body))] == [(body, None)] * 2


def test_a_document_nested_too_deeply_is_one_line() -> None:
    with pytest.raises(CommandError, match="nested too deeply"):
        lines(b"[" * 1000 + b"]" * 1000)


def test_what_is_no_json_at_all_is_said() -> None:
    with pytest.raises(CommandError, match="neither NDJSON nor"):
        lines(b"type,value\n1,2\n")


def test_chunks_are_bounded_by_records_and_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producing, "CHUNK_RECORDS", 3)
    monkeypatch.setattr(producing, "CHUNK_BYTES", 10)
    sizes = [2, 2, 2, 2, 6, 6, 50, 1]
    runs = list(chunks(Line(number, b"x" * size) for number, size in enumerate(sizes)))
    assert [[len(line.body) for line in run] for run in runs] == [[2, 2, 2], [2, 6], [6], [50], [1]]


class Gateway:
    """Refuses records without a value, one by one, and remembers the size of each request."""

    def __init__(self) -> None:
        self.requests: list[int] = []
        self.status: int | None = None
        self.failures = 0
        self.keys: list[str] = []

    async def post(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/x-ndjson"
        records = [orjson.loads(line) for line in (await request.read()).splitlines()]
        self.requests.append(len(records))
        self.keys.append(request.headers["Idempotency-Key"])
        if self.status is not None and self.failures:
            self.failures -= 1
            return web.json_response({"title": "Unavailable", "detail": "Kafka is away"}, status=self.status)
        fault = {"path": "/value", "found": "nothing", "expected": "object"}
        results = [
            {"partition": 0, "offset": 1} if "value" in record else {"error": {"detail": "bad", "errors": [fault]}}
            for record in records
        ]
        failed = sum("error" in result for result in results)
        answer = {"results": results, "succeeded": len(results) - failed, "failed": failed}
        return web.json_response(answer, status=207 if failed else 200)


@pytest.fixture
async def gateway() -> AsyncIterator[tuple[Gateway, str]]:
    stand_in = Gateway()
    app = web.Application()
    app.router.add_post("/topics/{topic}", stand_in.post)
    async with TestServer(app) as server:
        yield stand_in, str(server.make_url("/topics/hauls.events"))


async def test_everything_is_posted_in_chunks_with_progress(
    gateway: tuple[Gateway, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producing, "CHUNK_RECORDS", 4)
    seen: list[int] = []
    source = b"\n".join(b'{"type": "t", "value": {}}' for _ in range(10))

    outcome = await produce(gateway[1], read_lines(io.BytesIO(source)), lambda now: seen.append(now.succeeded))

    assert outcome == Outcome(succeeded=10)
    assert gateway[0].requests == [4, 4, 2]
    assert seen == [4, 8, 10]


async def test_refused_and_broken_lines_are_reported_with_their_numbers(gateway: tuple[Gateway, str]) -> None:
    source = b'{"value": {}}\n\n{"type": "t"}\nnonsense\n{"value": {}}\n'
    outcome = await produce(gateway[1], read_lines(io.BytesIO(source)), lambda _: None)
    assert (outcome.succeeded, outcome.failed) == (2, 2)
    assert sorted((error["line"], error["detail"]) for error in outcome.errors) == [(3, "bad"), (4, "not JSON")]
    assert gateway[0].requests == [3]


async def test_a_request_refused_as_a_whole_says_where_it_stopped(gateway: tuple[Gateway, str]) -> None:
    gateway[0].status, gateway[0].failures = 413, 1
    with pytest.raises(CommandError, match=r"413: Kafka is away; line 2 and what follows was not sent"):
        await produce(gateway[1], read_lines(io.BytesIO(b'\n{"value": {}}')), lambda _: None)


async def test_a_request_without_success_is_posted_again_under_its_key(
    gateway: tuple[Gateway, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producing, "RETRY_PAUSE_S", 0)
    monkeypatch.setattr(producing, "CHUNK_RECORDS", 1)
    gateway[0].status, gateway[0].failures = 503, 2
    outcome = await produce(gateway[1], read_lines(io.BytesIO(b'{"value": {}}\n{"value": {}}')), lambda _: None)
    assert outcome == Outcome(succeeded=2)
    first, *rest = gateway[0].keys
    assert rest[:2] == [first, first]
    assert rest[2] != first, "another chunk, another key"


async def test_patience_ends(gateway: tuple[Gateway, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producing, "RETRY_FOR_S", 0)
    gateway[0].status, gateway[0].failures = 503, 1
    with pytest.raises(CommandError, match=r"503: Kafka is away; line 1 and what follows was not sent"):
        await produce(gateway[1], read_lines(io.BytesIO(b'{"value": {}}')), lambda _: None)


async def test_a_gateway_that_is_away_is_said() -> None:
    with pytest.raises(CommandError, match=r"Cannot connect.*no word on line 1"):
        await produce("http://127.0.0.1:1/topics/t", read_lines(io.BytesIO(b'{"value": {}}')), lambda _: None)

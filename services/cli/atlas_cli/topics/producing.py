"""Send a file of events through the gateway: what `atlas produce` does, without the printing.

A record is `{"type": "bookings.SeatBooked", "value": {…}}`, with `key`, `headers` and `id` when wanted.
"""

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import aiohttp
import orjson
from atlas_contracts.values import exact_json

from atlas_cli.terminal.faults import START_IT
from atlas_cli.terminal.output import CommandError

CHUNK_RECORDS = 2_000
# Well below what the gateway takes in one body, so that its limit concerns a single record only.
CHUNK_BYTES = 4_000_000
# A gateway that is restarted, or whose Kafka is, is back within that time; then what was cut off is posted again.
RETRY_FOR_S = 30.0
RETRY_PAUSE_S = 0.5
RETRY_STATUS = (409, 503)
_SPACE = re.compile(r"[ \t\r\n]*+")
# For where values end; numbers are not looked into.
_BOUNDS = json.JSONDecoder(parse_int=str, parse_float=str)


@dataclass(frozen=True, slots=True)
class Line:
    """A record and its line (in a JSON array: its place, from 1); `fault` says why it can't be sent."""

    number: int
    body: bytes
    fault: str | None = None


@dataclass(slots=True)
class Outcome:
    """What became of the records so far; `errors` has one entry for each that failed, by line."""

    succeeded: int = 0
    failed: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)

    def fail(self, line: int, error: dict[str, Any]) -> None:
        """Note that the record of this line was refused."""
        self.failed += 1
        self.errors.append({"line": line, **error})


def read_lines(source: BinaryIO) -> Iterator[Line]:
    """The records of NDJSON, line by line, or of one JSON document: an object, or an array of them.

    Only a document that is not one line is held in memory as a whole. Raises CommandError when it is not JSON.
    """
    first, number = b"", 0
    for raw in source:
        number += 1
        first = raw.strip()
        if first:
            break
    if not first:
        return
    if first.startswith(b"{") and _is_json(first):
        yield Line(number, first)
        for number, raw in enumerate(source, number + 1):  # noqa: B020 - goes on counting
            stripped = raw.strip()
            if stripped:
                yield Line(number, stripped, None if _is_json(stripped) else "not JSON")
        return
    document = first + b"\n" + source.read()
    if fault := _fault(document):
        raise CommandError(f"neither NDJSON nor a JSON document: {fault}")
    try:
        for place, record in enumerate(_records(document.decode()), 1):
            # A line break outside a text is white space, and within one it is none of JSON.
            yield Line(place, record.replace("\n", " ").replace("\r", " ").encode())
    except RecursionError:
        raise CommandError("the document is nested too deeply") from None


def _records(document: str) -> Iterator[str]:
    """The text of each element of an array, or of the one record: as it is, so no number loses a digit."""
    position = _SPACE.match(document, 0).end()  # type: ignore[union-attr]  # it matches nothing, too
    if document[position] != "[":
        yield document
        return
    while document[position] != "]":
        position = _SPACE.match(document, position + 1).end()  # type: ignore[union-attr]
        if document[position] == "]":
            return
        _, end = _BOUNDS.raw_decode(document, position)
        yield document[position:end]
        position = _SPACE.match(document, end).end()  # type: ignore[union-attr]


def _is_json(text: bytes) -> bool:
    return _fault(text) is None


def _fault(text: bytes) -> str | None:
    """Why a text is no JSON. Numbers that no float can be are left to the gateway, which knows their types."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            exact_json.parse(text)
        except ValueError:
            return str(error)
    return None


def chunks(lines: Iterator[Line]) -> Iterator[list[Line]]:
    """The lines in runs that one request can carry; a line larger than that makes a run of its own."""
    chunk: list[Line] = []
    size = 0
    for line in lines:
        if chunk and (len(chunk) == CHUNK_RECORDS or size + len(line.body) > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(line)
        size += len(line.body) + 1
    if chunk:
        yield chunk


async def produce(url: str, lines: Iterator[Line], on_progress: Callable[[Outcome], None]) -> Outcome:
    """Post the lines to `url` in order, a bounded chunk at a time, and say after each how it stands.

    A record that is refused does not hold up the others, and one whose answer was lost is not sent twice. Raises
    CommandError, naming the first line that was not sent, when the gateway does not answer for RETRY_FOR_S or refuses
    the request as a whole.
    """
    outcome = Outcome()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        async for chunk, results in _answers(session, url, chunks(lines), outcome):
            for line, result in zip(chunk, results, strict=True):
                if "error" in result:
                    outcome.fail(line.number, result["error"])
                else:
                    outcome.succeeded += 1
            on_progress(outcome)
    return outcome


async def _answers(
    session: aiohttp.ClientSession, url: str, runs: Iterator[list[Line]], outcome: Outcome
) -> AsyncIterator[tuple[list[Line], list[dict[str, Any]]]]:
    for run in runs:
        for line in run:
            if line.fault is not None:
                outcome.fail(line.number, {"detail": line.fault})
        sendable = [line for line in run if line.fault is None]
        yield sendable, await _post(session, url, sendable, begun=outcome.succeeded > 0) if sendable else []


async def _post(session: aiohttp.ClientSession, url: str, lines: list[Line], *, begun: bool) -> list[dict[str, Any]]:
    """A result for each line. Under a key of its own, so that to post again after no answer repeats no record."""
    body = b"\n".join(line.body for line in lines)
    headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": f"produce-{uuid.uuid4().hex}"}
    not_sent = f"line {lines[0].number} and what follows was not sent"
    deadline = time.monotonic() + RETRY_FOR_S
    while True:
        try:
            async with session.post(url, data=body, headers=headers) as response:
                status, answer = response.status, await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError) as error:
            # Not "was not sent": the answer may be lost after the gateway wrote the records.
            fault = f"{url}: {error or 'no answer in 60 s'}; no word on line {lines[0].number} and after; {START_IT}"
            if isinstance(error, aiohttp.ClientConnectorError) and not begun:
                raise CommandError(fault) from None  # not a gateway that went away: there is none
        except ValueError:
            raise CommandError(f"{url}: the answer is not JSON; {not_sent}") from None
        else:
            results = _results(status, answer)
            if results is not None:
                break
            said = answer if isinstance(answer, dict) else {"detail": "the answer is not a JSON object"}
            fault = f"{url}: {status}: {said.get('detail') or said.get('title')}; {not_sent}"
            if status not in RETRY_STATUS:
                raise CommandError(fault)
        if time.monotonic() > deadline:
            raise CommandError(fault)
        await asyncio.sleep(RETRY_PAUSE_S)
    if len(results) != len(lines):
        raise CommandError(f"{url}: {len(results)} answers for {len(lines)} records")
    return results


def _results(status: int, answer: Any) -> list[dict[str, Any]] | None:
    """What the gateway says of each record; None when it says nothing of them."""
    if status in (200, 207, 422) and isinstance(answer, dict) and "results" in answer:
        return list(answer["results"])
    return None

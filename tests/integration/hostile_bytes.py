"""Every class of bytes that a request can hold, sent as it is: a client library would not send most of it."""

import asyncio
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

CLASSES: dict[str, bytes] = {
    "nothing": b"",
    "NUL": b"\x00",
    "NUL, encoded": b"%00",
    "NUL within, encoded": b"a%00b",
    "a control character": b"\x01",
    "a control character, encoded": b"%01%1f",
    "DEL": b"\x7f",
    "C1, encoded": b"%C2%85",
    "a tab": b"a\tb",
    "a line's end, encoded": b"%0d%0aX-Injected:%201",
    "no UTF-8": b"\xff",
    "no UTF-8, encoded": b"%FF",
    "Latin-1": b"caf\xe9",
    "an overlong NUL": b"\xc0\x80",
    "an overlong NUL, encoded": b"%C0%80",
    "a lone surrogate": b"\xed\xa0\x80",
    "a lone surrogate, encoded": b"%ED%A0%80",
    "UTF-8": "né😀".encode(),
    "UTF-8, encoded": b"n%C3%A9%F0%9F%98%80",
    "a noncharacter, encoded": b"%EF%BF%BF",
    "half an escape": b"%",
    "no escape": b"%zz",
    "digits of another script": "٣".encode(),
    "digits of another script, encoded": b"%D9%A3",
    "a superscript, encoded": b"%C2%B2",
    "minus one": b"-1",
    "zero": b"0",
    "plus one": b"%2B1",
    "beyond 32 bits": b"4294967297",
    "beyond 63 bits": b"9223372036854775808",
    "beyond 64 bits": b"99999999999999999999999999",
    "thousands of digits": b"9" * 5000,
    "an exponent": b"1e400",
    "no number": b"NaN",
    "an underscore in a number": b"1_0",
    "the parent": b"..",
    "the parent, encoded": b"%2e%2e%2f%2e%2e",
    "a quote": b"'\"",
    "SQL": b"';--",
    "a format": b"%25s{0}${n}",
    "a pattern": b"(a%2B)%2B$",
    "a token": b"yards/%00@1",
    "a token of a NUL": b"yards/a%00b@1",
    "a token of no read model": b"nowhere/a@1",
    "a token of other digits": b"yards/a@%D9%A3",
    "a token of a record": b"no.topic/999999999@999999999999999999",
    "a cursor": b"WzksIlx1MDAwMCJd",  # [9,"\u0000"]
    "a cursor beyond": b"Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OSwiYSJd",
    "a cursor of a surrogate": b"WzksIlx1ZDgwMCJd",
    "a cursor of deep nesting": b"W1tbW1tbW1tbW1tbW1tbW1tbW1s",
    "a fragment, a query": b"a?b#c",
    "long": b"a" * 4000,
    "too long": b"a" * 20_000,
    "a list": b"a,b;c",
    "an IPv6 zone": b"[::1%25eth0]",
}
READ_S = 20.0


@dataclass(frozen=True)
class Endpoint:
    """A method and a path with its parameters in braces, and what of it a caller can choose."""

    method: str
    path: str
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    body: bytes = b""

    def requests(self, classes: Mapping[str, bytes] = CLASSES) -> Iterator[tuple[str, bytes]]:
        """What to send, and what it is: each class at each place, the other places left as they are."""
        plain = re.sub(rb"\{\w+\}", b"x", self.path.encode())
        said = f"{self.method} {self.path}"
        for kind, value in classes.items():
            for name in re.findall(r"\{\w+\}", self.path):
                path = re.sub(rb"\{\w+\}", b"x", self.path.encode().replace(name.encode(), value))
                yield f"{said}: {kind} as {name}", self._request(path)
            for name in self.query:
                yield f"{said}: {kind} as ?{name}", self._request(plain + b"?" + name.encode() + b"=" + value)
            yield f"{said}: {kind} as a parameter's name", self._request(plain + b"?" + value + b"=1")
            for name in self.headers:
                header = name.encode() + b": " + value + b"\r\n"
                yield f"{said}: {kind} in {name}", self._request(plain, header)
        for name in (*self.query, "unknown"):
            twice = name.encode() + b"=1&" + name.encode() + b"=2"
            yield f"{said}: ?{name} twice", self._request(plain + b"?" + twice)
        for name in self.headers:
            yield f"{said}: {name} twice", self._request(plain, name.encode() + b": 1\r\n" + name.encode() + b": 2\r\n")

    def _request(self, path: bytes, headers: bytes = b"") -> bytes:
        head = self.method.encode() + b" " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        if self.body and b"Content-Type" not in headers:
            head += b"Content-Type: application/json\r\n"
        return head + b"Content-Length: %d\r\n" % len(self.body) + headers + b"\r\n" + self.body


async def faults(
    host: str, port: int, endpoints: Iterable[Endpoint], *, at_once: int = 8, classes: Mapping[str, bytes] = CLASSES
) -> list[str]:
    """What of the answers is not as it should be: a status of 500 and above, or a refusal that is no problem document.

    A 503 is fine for a write that is not visible yet: a token may name one.
    """
    found: list[str] = []
    places = asyncio.Semaphore(at_once)

    async def one(what: str, sent: bytes) -> None:
        async with places:
            fault = await _fault(host, port, sent)
            if fault is not None:
                found.append(f"{what}: {fault}")

    async with asyncio.TaskGroup() as sending:
        for endpoint in endpoints:
            for what, sent in endpoint.requests(classes):
                sending.create_task(one(what, sent))
    return found


async def _fault(host: str, port: int, sent: bytes) -> str | None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        async with asyncio.timeout(READ_S):
            writer.write(sent)
            answer = await reader.read(16 * 1024 * 1024)
            while more := await reader.read(1024 * 1024):
                answer += more
    except (TimeoutError, ConnectionError) as error:
        return f"{type(error).__name__}: no answer"
    finally:
        writer.transport.abort()
    head, _, body = answer.partition(b"\r\n\r\n")
    if not (status := re.match(rb"HTTP/1\.[01] (\d{3}) ", head)):
        return f"no answer but {answer[:80]!r}"
    return judge(int(status[1]), head, body)


def judge(status: int, head: bytes, body: bytes) -> str | None:
    """What is wrong with an answer; None when nothing is."""
    if b"\nx-injected" in head.lower():
        return "a header was injected"
    if status < 400:
        return None
    if not re.search(rb"(?i)\r\ncontent-type: application/problem\+json", head):
        return f"{status}, but no problem document: {body[:200]!r}"
    text = body[body.find(b"{") : body.rfind(b"}") + 1]
    problem = json.loads(text) if text else {"status": status, "title": "to HEAD"}
    invisible = status == 503 and problem.get("type") == "urn:atlas:problem:not-yet-visible"
    right = (status < 500 or invisible) and problem.get("status") == status and problem.get("title")
    return None if right else f"{status}: {problem}"

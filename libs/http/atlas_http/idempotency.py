"""The same key, the same answer, one effect.

A key is its caller's own: two callers may use the same one, and neither reads or blocks the other's.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import orjson
from aiohttp import hdrs, web
from asyncpg.pool import PoolConnectionProxy
from atlas_contracts.values.scalars import describe
from atlas_runtime.metrics import timed_query

from atlas_http.problems import BAD_HEADER, CONTENT_TYPE, KEY_REUSED, Problem, dumps
from atlas_http.resources import Pool
from atlas_http.routes import header

Connection = PoolConnectionProxy

HEADER = "Idempotency-Key"
KEY_PARAMETER = header(
    HEADER,
    "A repeat with the same key gets the same answer and has no second effect; kept for a day",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
)
REPLAYED = "Idempotent-Replayed"
_CALLER_MAX = 255
_CALLER = re.compile(rf"[^\x00-\x1f\x7f]{{1,{_CALLER_MAX}}}")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
# Of a post of 25,000 records each result is kept. A repeat of a larger one gets status, token and counts.
KEPT_MAX_BYTES = 1024 * 1024
_PURGE_ROWS = 1000
# Digested in one go: about a millisecond.
_DIGEST_BYTES = 512 * 1024

# Waits while another transaction holds the same key, and then finds its row. A row past its time is taken over.
_CLAIM = """
INSERT INTO app.idempotency_keys AS held (caller, key, fingerprint, expires_at)
VALUES ($1, $2, $3, now() + make_interval(secs => $4))
ON CONFLICT (caller, key) DO UPDATE SET
    fingerprint = excluded.fingerprint, status = NULL, headers = NULL, body = NULL, expires_at = excluded.expires_at
WHERE held.expires_at <= now()
RETURNING true
"""
_STORED = "SELECT fingerprint, status, headers, body FROM app.idempotency_keys WHERE caller = $1 AND key = $2"
_STORE = """
UPDATE app.idempotency_keys SET status = $3, headers = $4, body = $5 WHERE caller = $1 AND key = $2
"""
_PURGE = """
DELETE FROM app.idempotency_keys WHERE (caller, key) IN (
    SELECT caller, key FROM app.idempotency_keys WHERE expires_at <= now() LIMIT $1 FOR UPDATE SKIP LOCKED
)
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that can be kept and given again."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        return web.Response(status=self.status, body=self.body, headers=self.headers)


Effect = Callable[[Connection], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Once:
    """A caller and its key, and what the request is, so that a reuse of the key for another one is seen.

    `caller` is empty where callers have no names: then all are one.
    """

    caller: str
    key: str
    fingerprint: bytes

    @property
    def owned(self) -> tuple[str, str]:
        """What the key is known by."""
        return self.caller, self.key


def of_request(request: web.Request, canonical_body: bytes, caller_header: str) -> Once | None:
    """From the header Idempotency-Key, None without one; a 400 problem when it is malformed.

    `caller_header` is the setting of that name: the header in which a trusted proxy puts the caller's name, or empty.
    Two requests are the same when method, path, If-Match and the body's meaning are; white space does not count.
    """
    key = _key(request)
    if key is None:
        return None
    return Once(_caller(request, caller_header), key, hashlib.sha256(_head(request) + canonical_body).digest())


async def of_pieces(request: web.Request, pieces: list[bytes], caller_header: str) -> Once | None:
    """The same for a body that may be large: the event loop is free while it is digested."""
    key = _key(request)
    if key is None:
        return None
    digest = hashlib.sha256(_head(request))
    taken = 0
    for piece in pieces:
        digest.update(piece)
        taken += len(piece)
        if taken >= _DIGEST_BYTES:
            await asyncio.sleep(0)
            taken = 0
    return Once(_caller(request, caller_header), key, digest.digest())


def _key(request: web.Request) -> str | None:
    key = request.headers.get(HEADER)
    if key is not None and _KEY.fullmatch(key) is None:
        raise Problem(BAD_HEADER, f"{HEADER} has to be 1 to 255 visible ASCII characters.")
    return key


def _caller(request: web.Request, header_name: str) -> str:
    """The caller's name; empty without a header for it. Raises a 400 problem where the proxy has put none, or two."""
    if not header_name:
        return ""
    names = request.headers.getall(header_name, [])
    if len(names) == 1 and _CALLER.fullmatch(names[0]):
        return names[0]
    found = "nothing" if not names else "several" if len(names) > 1 else describe(names[0])
    expected = f"the caller's name in 1 to {_CALLER_MAX} characters, as the proxy before the gateway writes it"
    raise Problem(BAD_HEADER, f"{header_name}: found {found}, expected {expected}.")


def _head(request: web.Request) -> bytes:
    parts = (request.method, request.path, request.headers.get(hdrs.IF_MATCH, ""))
    return b"".join(part.encode() + b"\n" for part in parts)


async def run(pool: Pool, once: Once | None, effect: Effect, ttl_s: float) -> Answer:
    """Run `effect` in a transaction; with a key, once: a repeat gets the stored answer and changes nothing.

    1. claim the key, waiting for a request in progress that holds it (bounded by the connection's lock time-out)
    2. the effect; a refusal (a Problem) undoes it and is an answer too
    3. store the answer beside the effect
    4. commit both

    Raises the refusal when there is no key, and a 422 problem when the key belongs to another request.
    """
    async with pool.acquire() as connection, connection.transaction():
        if once is None:
            return await effect(connection)
        with timed_query("idempotency.claim"):
            claimed = await connection.fetchval(_CLAIM, *once.owned, once.fingerprint, ttl_s)  # 1.
        if not claimed:
            return await replay(connection, once)
        try:
            async with connection.transaction():
                answer = await effect(connection)  # 2.
        except Problem as refusal:
            if refusal.kind.status >= 500:
                raise
            answer = of_refusal(refusal)
        await store(connection, once, answer)  # 3.
    return answer  # 4.


async def store(connection: Connection, once: Once, answer: Answer) -> None:
    """Keep the answer under the key, which has been claimed; of one above 1 MiB what it says as a whole."""
    headers = json.dumps(answer.headers)  # not orjson: a header's name may be a subclass of str
    with timed_query("idempotency.store"):
        await connection.execute(_STORE, *once.owned, answer.status, headers, _kept(answer.body))


def _kept(body: bytes) -> bytes:
    if len(body) <= KEPT_MAX_BYTES:
        return body
    document = orjson.loads(body)
    lists = {name: len(value) for name, value in document.items() if isinstance(value, list)}
    short = {name: value for name, value in document.items() if name not in lists}
    return orjson.dumps(short | {f"{name}_left_out": count for name, count in lists.items()})


async def purge(pool: Pool) -> int:
    """Delete up to 1,000 keys past their time; the number deleted."""
    with timed_query("idempotency.purge"):
        status: str = await pool.execute(_PURGE, _PURGE_ROWS)
    return int(status.rpartition(" ")[2])


async def replay(connection: Connection, once: Once) -> Answer:
    """The stored answer; a 422 problem when the key belongs to another request."""
    with timed_query("idempotency.replay"):
        row = await connection.fetchrow(_STORED, *once.owned)
    if row is None or row["fingerprint"] != once.fingerprint:
        raise Problem(KEY_REUSED, f"{HEADER} {once.key} was used for a different request; take a new key.")
    return Answer(row["status"], row["body"], {**orjson.loads(row["headers"]), REPLAYED: "true"})


def of_refusal(refusal: Problem) -> Answer:
    """A refusal as an answer that can be kept."""
    return Answer(refusal.kind.status, dumps(refusal.document), {**refusal.headers, hdrs.CONTENT_TYPE: CONTENT_TYPE})

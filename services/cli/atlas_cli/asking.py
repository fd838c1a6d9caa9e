"""Ask a service of the mesh over HTTP: its answer, judged once here, or one line that says what is wrong with it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from pydantic import TypeAdapter, ValidationError

from atlas_cli.terminal.faults import START_IT
from atlas_cli.terminal.output import CommandError

# Far more than any list of a healthy mesh; a service that sends without end must not take all memory.
ANSWER_MAX_BYTES = 256_000_000
_TOLD_CHARACTERS = 300
# Also without a body: a service takes nothing that changes something from what does not say it.
_JSON = {"Content-Type": "application/json"}


class NoAnswer(CommandError):
    """The service can't be reached, or broke off."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service, as a command sees it."""

    name: str
    url: str
    timeout_s: float = 20.0

    async def ask(
        self, method: str, path: str, shape: Any, *, query: Mapping[str, str] | None = None, body: Any = None
    ) -> Any:
        """The JSON that it answers, of which `shape` (a type that pydantic knows, such as a TypedDict) is a part.

        Raises NoAnswer when nothing comes back in time; CommandError, which says what was found and expected, when
        the service refuses or its answer is not JSON, not of that shape, or larger than ANSWER_MAX_BYTES.
        """
        url = f"{self.url.rstrip('/')}{path}"
        timeout = aiohttp.ClientTimeout(total=self.timeout_s)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(method, url, params=query or None, data=_json(body), headers=_JSON) as response,
            ):
                data = await _bounded(response, url)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise NoAnswer(f"the {self.name} at {url} does not answer: {reason}; {START_IT}") from None
        if response.status >= 400:
            raise CommandError(_problem(url, response.status, data))
        return _judged(data, shape, url)


def _json(body: Any) -> bytes | None:
    return None if body is None else json.dumps(body).encode()


async def _bounded(response: aiohttp.ClientResponse, url: str) -> bytes:
    data = bytearray()
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > ANSWER_MAX_BYTES:
            raise CommandError(f"{url} answers more than {ANSWER_MAX_BYTES:,} bytes")
    return bytes(data)


async def read_object(response: aiohttp.ClientResponse, url: str) -> dict[str, Any]:
    """The JSON object of an answer whose status the caller judges; CommandError when it is none."""
    data = await _bounded(response, url)
    answer: Any = _parsed(data, url)
    if not isinstance(answer, dict):
        raise CommandError(f"{url} answers {response.status} with what is no object: {answer!r:.{_TOLD_CHARACTERS}}")
    return answer


def _judged(data: bytes, shape: Any, url: str) -> Any:
    answer = _parsed(data, url)
    try:
        TypeAdapter(shape).validate_python(answer, strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = "/".join(map(str, fault["loc"])) or "the top"
        found = repr(fault["input"])[:_TOLD_CHARACTERS]
        raise CommandError(
            f"{url} answers otherwise than expected, at {place}: {fault['msg']}, found {found};"
            " is it a service of this mesh, and of this version?"
        ) from None
    return answer


def _parsed(data: bytes, url: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        found = data[:_TOLD_CHARACTERS].decode(errors="backslashreplace")
        raise CommandError(f"{url} answers what is no JSON ({error}): {found}") from None


def _problem(url: str, status: int, data: bytes) -> str:
    """A refusal in one line: what the problem document says, else how the answer begins."""
    try:
        problem = json.loads(data)
    except (ValueError, RecursionError):
        problem = None
    if not isinstance(problem, dict) or not isinstance(problem.get("title"), str):
        return f"{url} answered {status}: {data[:_TOLD_CHARACTERS].decode(errors='backslashreplace')}"
    detail = problem.get("detail")
    known = problem.get("known")
    more = f": {detail}" if isinstance(detail, str) and detail else ""
    names = f"; there are {', '.join(map(str, known))}" if isinstance(known, list) and known else ""
    return f"{problem['title']}{more}{names}"

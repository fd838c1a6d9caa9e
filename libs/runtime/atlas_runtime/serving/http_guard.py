"""No request that a page of somebody else's can make a browser send gets to a handler that changes something.

A page can make a browser call 127.0.0.1 or a private network: by a form or a `no-cors` request, for which nobody is
asked first; or by a name of its own that it lets point here, as if this were its own server. So a service looks at
three things: by which name it was called, from which page, and with a body of which type.
"""

import re
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from atlas_runtime.serving.http_server import CONTENT_TYPE

JSON_TYPES = ("application/json",)
READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Whoever asks these knows no name to ask by, and they show little: an orchestrator's probes, a collector of metrics.
PROBE_PATHS = frozenset({"/health", "/health/live", "/health/ready", "/metrics"})
# The types that a page may send to another origin without a preflight, by the fetch standard.
_PAGES_TYPES = frozenset({"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"})
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
# Names by which a service was called, which are the callers' own text.
_CALLED_MAX = 1000
_OWN_FETCHES = frozenset({"same-origin", "none"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes no further; the parts of a problem document, and headers for the answer."""

    slug: str
    status: int
    title: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)
    members: dict[str, Any] = field(default_factory=dict)


class Guard:
    """Judges requests by their method, path and headers."""

    def __init__(self, service: str, hosts: Iterable[str], origins: "re.Pattern[str] | None" = None) -> None:
        """`hosts` are names beside those that are known anyway, `*.example.org` for all below, `*` for any.

        Known are addresses (a page that is called by one comes from there), localhost, this machine's names, and
        the service's own as compose and Kubernetes give it: `relay`, `atlas-relay`, `relay.<namespace>.svc[.…]`.
        `origins`: other pages that may call.
        """
        self._service = service
        machine = {socket.gethostname().lower(), socket.getfqdn().lower()}
        self._hosts = {"localhost", service, f"atlas-{service}", *machine, *(host.lower() for host in hosts)}
        self._below = tuple(host[1:] for host in self._hosts if host.startswith("*."))
        self._origins = origins
        self._called: set[str] = set()

    def refusal(self, request: web.BaseRequest, accepted: Collection[str], *, judged: bool = False) -> Refusal | None:
        """What is wrong with the request; None: nothing.

        `accepted` are the media types of the endpoint's body: nothing else passes, and a request without a body says
        one too. `judged`: the handler looks at the type itself, so only those that a page can send are refused here,
        and a request without body and type is taken: of a page it would have an origin.
        """
        if request.path not in PROBE_PATHS and (refusal := self._by_host(request)):
            return refusal
        if request.method in READING_METHODS:
            return None
        return self._by_origin(request) or _by_type(request, accepted, judged)

    def knows(self, host: str) -> bool:
        """Whether this value of the header Host, with or without a port, names this service."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match["name"].lower().rstrip(".")
        if "*" in self._hosts or name in self._hosts or name.endswith((".localhost", *self._below)):
            return True
        first, _, rest = name.partition(".")
        in_cluster = rest.endswith((".svc", ".svc.cluster.local"))
        return _is_address(name) or (in_cluster and first in (self._service, f"atlas-{self._service}"))

    def _learns(self, host: str) -> bool:
        known = self.knows(host)
        if known and len(self._called) < _CALLED_MAX:
            self._called.add(host)
        return known

    def _by_host(self, request: web.BaseRequest) -> Refusal | None:
        called = request.headers.getall(hdrs.HOST, [])
        if not called or (len(called) == 1 and (called[0] in self._called or self._learns(called[0]))):
            return None  # without one it is HTTP/1.0, which no browser speaks
        return Refusal(
            "unknown-host",
            421,
            "The service is not known by this name",
            f"The header Host is {_shown(called)}; expected an address, localhost, {self._service}, or a name in the"
            " setting ATLAS_HTTP_HOSTS.",
        )

    def _by_origin(self, request: web.BaseRequest) -> Refusal | None:
        origins = request.headers.getall(hdrs.ORIGIN, [])
        fetched = request.headers.getall("Sec-Fetch-Site", [])
        if len(origins) == 1 and self._origins is not None and self._origins.fullmatch(origins[0]):
            return None
        host = request.headers.get(hdrs.HOST, "").lower()
        own = (f"http://{host}", f"https://{host}")  # where TLS ends is not known here
        if all(origin.lower() in own for origin in origins) and _OWN_FETCHES.issuperset(fetched):
            return None
        page = f"a page of {_shown(origins)}" if origins else "a page of another origin"
        return Refusal(
            "foreign-origin",
            403,
            "The request comes from another site",
            f"{page[0].upper()}{page[1:]} can't change anything here; send it from a program, or from a page of this"
            " service.",
        )


def _by_type(request: web.BaseRequest, accepted: Collection[str], judged: bool) -> Refusal | None:
    found = request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    if judged:
        refused = found in _PAGES_TYPES and (request.can_read_body or found != "")
    elif request.can_read_body:
        refused = found not in accepted
    else:  # nothing will be read, but a page must not be able to send it; of these DELETE is asked for by a preflight
        refused = found in _PAGES_TYPES and request.method != hdrs.METH_DELETE
    if not refused:
        return None
    wanted = list(accepted)
    return Refusal(
        "unsupported-media-type",
        415,
        "Unsupported media type",
        f"The Content-Type is {found[:100] or 'none'}; accepted here: {', '.join(wanted)}.",
        {"Accept-Post": ", ".join(wanted)},
        {"accepted": wanted},
    )


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _shown(values: list[str]) -> str:
    """Header values of a stranger in an answer and a log: bounded, and plain ASCII."""
    return ", ".join(ascii(value[:100]) for value in values[:3])


def guarded(guard: Guard) -> Middleware:
    """Refuse, by a problem document, what the guard refuses; bodies are JSON."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = guard.refusal(request, JSON_TYPES)
        return await handler(request) if refusal is None else _document(refusal)

    return middleware


def _document(refusal: Refusal) -> web.Response:
    body = {
        "type": f"urn:atlas:problem:{refusal.slug}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        **refusal.members,
    }
    return web.Response(
        status=refusal.status, body=orjson.dumps(body), content_type=CONTENT_TYPE, headers=refusal.headers
    )

"""Probes: what a service says about itself at /health, /health/live, /health/ready and /metrics."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from atlas_runtime.observing.logs import mask
from atlas_runtime.serving import http_server
from atlas_runtime.serving.http_guard import Guard, guarded
from atlas_runtime.settings import ServiceSettings

Check = Callable[[], Awaitable[str | None]]

_CHECK_TIMEOUT_S = 2.0  # a probe that hangs is as bad as one that fails; kubelet's own default is 1 s


class Health:
    """The readiness of one process: checks that are asked, notes that its loops push.

    Ready means: no check gives a reason, no note stands, and the process is not stopping.
    """

    def __init__(self, service: str, version: str | None = None) -> None:
        """`version` is by default the one of the distribution atlas-<service>."""
        self.service = service
        self.version = version or _version_of(f"atlas-{service}")
        self.started_at_ms = time.time_ns() // 1_000_000
        self.stopping = False
        self._checks: dict[str, Check] = {}
        self._notes: dict[str, str] = {}

    def add(self, name: str, check: Check) -> None:
        """Ask `check` at each probe: None is fine, else the reason. Raising, or 2 s of silence, is a reason."""
        self._checks[name] = check

    def note(self, name: str, reason: str | None) -> None:
        """What a loop knows about itself; it stands until the next note of that name. None: fine."""
        if reason is None:
            self._notes.pop(name, None)
        else:
            self._notes[name] = mask(reason)

    async def reasons(self) -> dict[str, str]:
        """Why the process is not ready, by check or note; empty when it is."""
        answers = await asyncio.gather(*(_ask(check) for check in self._checks.values()))
        failed = {name: answer for name, answer in zip(self._checks, answers, strict=True) if answer is not None}
        if self.stopping:
            failed["stopping"] = "the process is stopping"
        return {**failed, **self._notes}

    async def detail(self) -> dict[str, object]:
        """What GET /health shows."""
        reasons = await self.reasons()
        return {
            "service": self.service,
            "version": self.version,
            "status": "stopping" if self.stopping else "not_ready" if reasons else "ready",
            "uptime_s": round(time.time() - self.started_at_ms / 1000, 1),
            "checks": sorted(self._checks),
            "reasons": reasons,
        }


def probe_routes(health: Health) -> list[web.RouteDef]:
    """The four routes, for a service that has an HTTP server of its own."""

    async def detail(_request: web.Request) -> web.Response:
        return _json(200, await health.detail())

    async def live(_request: web.Request) -> web.Response:
        return _json(200, {"status": "alive"})

    async def ready(_request: web.Request) -> web.Response:
        reasons = await health.reasons()
        return _json(503 if reasons else 200, {"status": "not_ready" if reasons else "ready", "reasons": reasons})

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [
        web.get("/health", detail),
        web.get("/health/live", live),
        web.get("/health/ready", ready),
        web.get("/metrics", metrics),
    ]


@asynccontextmanager
async def serve_probes(
    settings: ServiceSettings, health: Health, *, routes: Iterable[web.AbstractRouteDef] = ()
) -> AsyncIterator[int]:
    """Serve the probes, and `routes`, on http_host:http_port within the block; gives the port that is bound.

    No page of somebody else's gets to `routes`, and what changes something says that its body is JSON.
    """
    guard = Guard(settings.service, settings.http_hosts)
    app = web.Application(
        middlewares=[http_server.documents, http_server.readable, guarded(guard), http_server.unencoded],
        client_max_size=http_server.BODY_MAX_BYTES,
    )
    app.add_routes([*probe_routes(health), *routes])
    async with http_server.listen(app, settings.http_host, settings.http_port) as port:
        yield port


async def _ask(check: Check) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            answer = await check()
    except TimeoutError:
        return f"no answer within {_CHECK_TIMEOUT_S:g} s"
    except Exception as error:  # noqa: BLE001 - whatever a check raises is the answer
        return mask(f"{type(error).__name__}: {error}")
    return None if answer is None else mask(answer)


def _json(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")


def _version_of(distribution: str) -> str:
    try:
        return distribution_version(distribution)
    except PackageNotFoundError:
        return "0"

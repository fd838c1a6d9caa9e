"""Probes: what a service says about itself at /health, /health/live, /health/ready and /metrics."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from atlas_runtime.observing.loops import Loops, Standing
from atlas_runtime.observing.process import version_of
from atlas_runtime.observing.safe_text import mask
from atlas_runtime.serving import http_server
from atlas_runtime.serving.dependencies import Check, Dependency
from atlas_runtime.serving.http_guard import Guard, guarded
from atlas_runtime.serving.http_metrics import measured
from atlas_runtime.settings import ServiceSettings

_OPENMETRICS = {"Content-Type": openmetrics.CONTENT_TYPE_LATEST}

__all__ = ["Check", "Health", "probe_routes", "serve_probes"]


class Health:
    """The readiness of one process: checks that are asked, notes that its loops push.

    Ready means: no check gives a reason, no note stands, and the process is not stopping.
    """

    def __init__(self, service: str, version: str | None = None) -> None:
        """`version` is by default the one of the distribution atlas-<service>."""
        self.service = service
        self.version = version or version_of(service)
        self.started_at_ms = time.time_ns() // 1_000_000
        self.stopping = False
        self.environment = ""
        self.loops = Loops()
        self._dependencies: dict[str, Dependency] = {}
        self._notes: dict[str, str] = {}

    def add(self, name: str, check: Check, *, needed: bool = True) -> None:
        """Ask `check` for probes: None is fine, else the reason. Raising, or 2 s of silence, is a reason.

        Of what is not `needed` a failure is shown, and the process is ready all the same.
        """
        self._dependencies[name] = Dependency(name, check, needed=needed)

    def note(self, name: str, reason: str | None) -> None:
        """What a loop knows about itself; it stands until the next note of that name. None: fine."""
        if reason is None:
            self._notes.pop(name, None)
        else:
            self._notes[name] = mask(reason)

    async def reasons(self) -> dict[str, str]:
        """Why the process is not ready, by check or note; empty when it is."""
        asked = list(self._dependencies.values())
        answers = await asyncio.gather(*(dependency.ask() for dependency in asked))
        failed = {
            dependency.name: answer
            for dependency, answer in zip(asked, answers, strict=True)
            if answer is not None and dependency.needed
        }
        if self.stopping:
            failed["stopping"] = "the process is stopping"
        return {**failed, **self._notes}

    async def detail(self) -> dict[str, object]:
        """What GET /health shows.

        `status`: healthy; degraded, which is ready and worth a look, as `worries` says; unhealthy, which is not ready,
        as `reasons` says; stopping.
        """
        reasons = await self.reasons()
        worries = {
            name: worry for name, dependency in self._dependencies.items() if (worry := dependency.worry()) is not None
        }
        # No reason to send nobody to it: what it answers is right.
        worries |= {f"loop {name}": why for name, why in self.loops.stuck().items()}
        status = "unhealthy" if reasons else "degraded" if worries else "healthy"
        return {
            "service": self.service,
            "version": self.version,
            "environment": self.environment,
            "status": "stopping" if self.stopping else status,
            "uptime_s": round(time.time() - self.started_at_ms / 1000, 1),
            "reasons": reasons,
            "worries": worries,
            "loops": [_shown(each) for each in self.loops.standing()],
            "dependencies": {name: found.detail() for name, found in sorted(self._dependencies.items())},
        }


def _shown(loop: Standing) -> dict[str, object]:
    """Times in seconds; `progress_s` is null before anything came of it."""
    progress_s = None if loop.progress_s is None else round(loop.progress_s, 1)
    return asdict(loop) | {"since_s": round(loop.since_s, 1), "progress_s": progress_s}


def probe_routes(health: Health) -> list[web.RouteDef]:
    """The four routes, for a service that has an HTTP server of its own.

    Metrics are in OpenMetrics, with exemplars, for who accepts that; else in Prometheus' own text.
    """

    async def detail(_request: web.Request) -> web.Response:
        return _json(200, await health.detail())

    async def live(_request: web.Request) -> web.Response:
        return _json(200, {"status": "alive"})

    async def ready(_request: web.Request) -> web.Response:
        reasons = await health.reasons()
        return _json(503 if reasons else 200, {"status": "not_ready" if reasons else "ready", "reasons": reasons})

    async def metrics(request: web.Request) -> web.Response:
        # Not the library's own choice, which fails for a version that is none.
        if "application/openmetrics-text" in request.headers.get("Accept", ""):
            return web.Response(body=_openmetrics(), headers=_OPENMETRICS)
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
    health.environment = settings.environment
    guard = Guard(settings.service, settings.http_hosts)
    app = web.Application(
        middlewares=[measured, http_server.documents, http_server.readable, guarded(guard), http_server.unencoded],
        client_max_size=http_server.BODY_MAX_BYTES,
    )
    app.add_routes([*probe_routes(health), *routes])
    async with http_server.listen(app, settings.http_host, settings.http_port) as port:
        yield port


def _openmetrics() -> bytes:
    found: bytes = openmetrics.generate_latest(REGISTRY)  # type: ignore[no-untyped-call]
    return found


def _json(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")

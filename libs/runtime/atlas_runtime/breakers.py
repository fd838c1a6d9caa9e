"""Circuit breakers with their state as a metric."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from purgatory import AsyncCircuitBreakerFactory, ContextChanged
from purgatory.domain.model import OpenedState

from atlas_runtime.metrics import BREAKER_OPENED, BREAKER_STATE

__all__ = ["OpenedState", "open_breaker"]

_STATES = {"closed": 0, "half-opened": 1, "opened": 2}


async def open_breaker(
    name: str, *, failures: int = 5, retry_after_s: float = 5.0
) -> AbstractAsyncContextManager[object]:
    """A breaker to use as `async with breaker: …`; keep it for as long as the dependency.

    After `failures` errors in a row it is open: the block is not entered and `OpenedState` is raised. After
    `retry_after_s` one attempt is let through, which closes or opens it again.
    """
    factory = AsyncCircuitBreakerFactory(default_threshold=failures, default_ttl=retry_after_s)

    def show(_name: str, _kind: str, event: Any) -> None:
        if isinstance(event, ContextChanged):
            BREAKER_STATE.labels(name).set(_STATES[event.state])
            BREAKER_OPENED.labels(name).inc(event.state == "opened")

    factory.add_listener(show)
    BREAKER_STATE.labels(name).set(_STATES["closed"])
    BREAKER_OPENED.labels(name)
    return await factory.get_breaker(name)

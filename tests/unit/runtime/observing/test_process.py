"""What a process says of itself: version, a loop that is held up, garbage."""

import asyncio
import gc
import time

from atlas_local.waiting import wait_until
from atlas_runtime.observing import process
from prometheus_client import REGISTRY


def _lag(sample: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"atlas_event_loop_lag_seconds_{sample}", labels) or 0.0


async def test_who_holds_up_the_loop_is_seen() -> None:
    before, slow = _lag("count"), _lag("bucket", le="0.1")
    lag = process.LoopLag(asyncio.get_running_loop(), every_s=0.01)
    try:
        await wait_until("a look at the loop", lambda: _lag("count") > before, 30)
        until = time.perf_counter() + 0.15
        while time.perf_counter() < until:
            pass
        await wait_until("a look that was late", lambda: _lag("count") - before > _lag("bucket", le="0.1") - slow, 30)
    finally:
        lag.stop()
    counted = _lag("count")
    await asyncio.sleep(0)
    assert _lag("count") == counted


async def test_garbage_is_counted_while_the_process_is_observed() -> None:
    def seconds() -> float | None:
        return REGISTRY.get_sample_value("atlas_gc_seconds_total", {"generation": "2"})

    with process.observed("runtime", "unit"):
        before = seconds()
        gc.collect()
        after = seconds()
        assert before is not None
        assert after is not None
        assert after > before
        build = {"service": "runtime", "version": "0.1.0", "environment": "unit"}
        assert REGISTRY.get_sample_value("atlas_build_info", build) == 1
    assert seconds() is None
    assert not [each for each in gc.callbacks if "Collections" in repr(each)]


def test_a_service_that_is_not_installed_has_version_0() -> None:
    assert process.version_of("nothing-of-that-name") == "0"

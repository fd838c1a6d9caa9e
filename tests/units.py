"""Values as Grafana writes them: the units that the dashboards have."""

from collections.abc import Sequence

_SECONDS = ((86400, " d"), (3600, " h"), (60, " min"), (1, " s"), (1e-3, " ms"), (1e-6, " µs"))
_SHORT = ((1e9, "G"), (1e6, "M"), (1e3, "K"), (1, ""))
_BYTES = ((2**40, " TiB"), (2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB"), (1, " B"))
_PER_SECOND = {"cps": "/s", "reqps": " req/s", "Bps": "/s"}


def written(value: float, unit: str) -> str:
    """A value with its unit; raises KeyError for one that no dashboard had before."""
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        return _scaled(value, _SECONDS)
    if unit in ("bytes", "Bps"):
        return _scaled(value, _BYTES) + _PER_SECOND.get(unit, "")
    if unit in ("short", "none"):
        return _scaled(value, _SHORT)
    return _scaled(value, _SHORT) + _PER_SECOND[unit]


def _scaled(value: float, scales: Sequence[tuple[float, str]]) -> str:
    if value == 0:
        return "0"
    scale, name = next(((scale, name) for scale, name in scales if abs(value) >= scale), scales[-1])
    scaled = value / scale
    return f"{scaled:.4g}{name}" if abs(scaled) >= 1000 else f"{scaled:.3g}{name}"

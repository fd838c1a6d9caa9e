"""Numbers that stand for states: text and colour of each, and the queries that give them."""

from infra.observability.dashboards.promql import series

SERVICE = {0: ("unknown", "text"), 1: ("down", "red"), 2: ("degraded", "orange"), 3: ("up", "green")}
UP = {0: ("down", "red"), 1: ("up", "green")}
STUCK = {0: ("gets on", "green"), 1: ("stuck", "red")}
BREAKER = {0: ("closed", "green"), 1: ("half open", "orange"), 2: ("open", "red")}
PAUSED = {0: ("read", "green"), 1: ("paused", "red")}
# By how much somebody should look, the worst last.
LAG = {
    0: ("ok", "green"),
    1: ("catching-up", "blue"),
    2: ("falling-behind", "orange"),
    3: ("blocked", "purple"),
    4: ("stalled", "red"),
    5: ("stopped", "dark-red"),
}


def status(metric: str, *matchers: str) -> str:
    """The status of a group or a partition as its number in LAG: there is a series for the status that it has."""
    found = {value: series(metric, *matchers, f'status="{text}"') for value, (text, _colour) in LAG.items()}
    return " or ".join(f"{selector} * {value}" for value, selector in found.items())


def service() -> str:
    """The state of each service as its number in SERVICE; there is a series for each state, 1 for the one it has."""
    found = {value: series("atlas_service_state", f'state="{text.upper()}"') for value, (text, _) in SERVICE.items()}
    return " + ".join(f"sum by (service) ({selector} * {value})" for value, selector in found.items() if value)

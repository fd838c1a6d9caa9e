"""Levels as the steps of a threshold: what is below each step has the colour of the one before."""

from grafana_foundation_sdk.models.dashboard import Threshold

from infra.observability.dashboards.panels import Levels

GOOD, WARNING, WRONG, PLAIN = "green", "orange", "red", "text"


def steps(levels: Levels) -> list[Threshold]:
    """From the least value up; the first has no value and is what is below all others."""
    warn, alarm = levels.warn, levels.alarm
    if warn is None and alarm is None:
        return [Threshold(value=None, color=PLAIN)]
    if levels.below:
        found = [Threshold(value=None, color=WARNING if alarm is None else WRONG)]
        rising = ((alarm, GOOD if warn is None else WARNING), (warn, GOOD))
    else:
        found = [Threshold(value=None, color=GOOD)]
        rising = ((warn, WARNING), (alarm, WRONG))
    return found + [Threshold(value=value, color=colour) for value, colour in rising if value is not None]

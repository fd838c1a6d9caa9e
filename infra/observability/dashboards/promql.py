"""Pieces of PromQL that every panel is made of."""

IN_CLUSTER = 'cluster=~"$cluster"'
OF_SERVICE = 'job=~"$service"'
OF_GROUP = 'group=~"$group"'
OF_TOPIC = 'topic=~"$topic"'
OF_PARTITION = 'partition=~"$partition"'


def series(metric: str, *matchers: str) -> str:
    """The series of a metric in the chosen clusters that match."""
    return f"{metric}{{{', '.join((IN_CLUSTER, *matchers))}}}"


def of_job(name: str) -> str:
    """The matcher for one service."""
    return f'job="{name}"'


def rate(selector: str) -> str:
    """Per second, over four scrapes or one step, whichever is longer."""
    return f"rate({selector}[$__rate_interval])"


def increase(selector: str) -> str:
    """By how much it grew in four scrapes or one step, whichever is longer."""
    return f"increase({selector}[$__rate_interval])"


def grown(selector: str, window: str = "$__rate_interval") -> str:
    """By how much each series grew in the window; one that was not there before it is new with all that it counts.

    For what is rare: rate() and increase() don't see the first value of a series, and often there is no other.
    """
    before = f"{selector} offset {window}"
    return f"(increase({selector}[{window}]) and {before} or (max_over_time({selector}[{window}]) unless {before}))"


def total(expression: str, *labels: str) -> str:
    """The sum for each combination of `labels`."""
    return _folded("sum", expression, labels)


def greatest(expression: str, *labels: str) -> str:
    """The greatest for each combination of `labels`."""
    return _folded("max", expression, labels)


def least(expression: str, *labels: str) -> str:
    """The least for each combination of `labels`."""
    return _folded("min", expression, labels)


def _folded(how: str, expression: str, labels: tuple[str, ...]) -> str:
    return f"{how} by ({', '.join(labels)}) ({expression})" if labels else f"{how}({expression})"


def quantile(share: float, histogram: str, *labels: str) -> str:
    """The quantile of a histogram's selector for each combination of `labels`.

    A series that nothing was counted in has none: the comparison takes the NaN out that Prometheus gives for it.
    """
    return f"histogram_quantile({share:g}, {total(rate(histogram), 'le', *labels)}) >= 0"


def ratio(part: str, whole: str) -> str:
    """`part / whole` where there is a whole: 0 / 0 is no answer, not a NaN."""
    return f"({part}) / ({whole} > 0)"


def or_none(expression: str, service: str, *labels: str) -> str:
    """The expression, or 0 labelled `none` while an instance of the service answers.

    A counter with labels is born at its first value. That there is none is a 0 only as long as somebody would count.
    """
    zero = f"0 * max({series('up', of_job(service))} == 1)"
    for label in labels:
        zero = f'label_replace({zero}, "{label}", "none", "", "")'
    return f"{expression} or {zero}"

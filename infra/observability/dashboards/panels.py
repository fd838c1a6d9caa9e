"""What a board says, before it is drawn: nothing that every panel must have can be left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial

from infra.observability.dashboards.trails import Trail


class Kind(Enum):
    """How a panel shows its answers."""

    LINES = "timeseries"
    STAT = "stat"
    TABLE = "table"
    TIMELINE = "state-timeline"
    # A row for each series, coloured by its value.
    ROWS = "heatmap of series"
    # Buckets of a histogram over time.
    BUCKETS = "heatmap of buckets"


@dataclass(frozen=True, slots=True)
class Levels:
    """From where on values are worth a look (`warn`) and wrong (`alarm`); `below`: it is small values that are.

    Without both, no value is wrong by itself: it is judged by what is beside it.
    """

    warn: float | None = None
    alarm: float | None = None
    below: bool = False


ANY = Levels()
NONE_IS_GOOD = Levels(alarm=1)


# Histograms whose measurements lead to their trace, where that is kept.
EXEMPLARS = (
    "atlas_http_request_seconds",
    "atlas_db_query_seconds",
    "atlas_relay_send_seconds",
    "atlas_projector_event_age_seconds",
    "atlas_archiver_store_seconds",
    "atlas_archiver_record_age_seconds",
)


@dataclass(frozen=True, slots=True)
class Query:
    """One expression. `legend`: of a line; of a table, the name of the column that the value is in."""

    expression: str
    legend: str = ""

    @property
    def has_exemplars(self) -> bool:
        """Whether points of it lead to a trace."""
        return any(f"{name}_bucket" in self.expression for name in EXEMPLARS)


@dataclass(frozen=True, slots=True)
class Column:
    """How one column of a table is shown; `link`: where a cell leads to; `first`: great values are on top."""

    name: str
    unit: str = ""
    levels: Levels = ANY
    states: Mapping[int, tuple[str, str]] | None = None
    link: str = ""
    first: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `title` says what is good; `states`: text and colour of a value; `width` and `height` of the grid.

    Without a `runbook` or a `trail` of its own it has those of its row.
    """

    title: str
    description: str
    queries: Sequence[Query]
    unit: str
    levels: Levels
    kind: Kind = Kind.LINES
    width: int = 8
    height: int = 8
    states: Mapping[int, tuple[str, str]] | None = None
    table: Sequence[Column] = ()
    runbook: str | None = None
    trail: Trail | None = None
    # For values that are far apart: a month and an hour.
    log: bool = False


# One large number: four in a line.
Number = partial(Panel, kind=Kind.STAT, width=6, height=5)


@dataclass(frozen=True, slots=True)
class Row:
    """Panels below one heading, laid from the left, a new line when one is full."""

    title: str
    runbook: str
    trail: Trail
    panels: Sequence[Panel]


class Choice(Enum):
    """A variable that a dashboard lets a reader choose."""

    CLUSTER = "cluster"
    SERVICE = "service"
    GROUP = "group"
    TOPIC = "topic"
    PARTITION = "partition"


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard; its file is `<uid without atlas->.json`."""

    uid: str
    title: str
    description: str
    choices: Sequence[Choice]
    rows: Sequence[Row]
    # Of these choices a reader makes one, not any number.
    one_of: Sequence[Choice] = ()

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.uid.removeprefix('atlas-')}.json"

"""A board as Grafana's dashboard: variables, annotations and links around its panels."""

from collections.abc import Iterator, Sequence

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import DataSourceRef

from infra.observability.dashboards.annotations import ANNOTATIONS, Annotation
from infra.observability.dashboards.drawing import SOURCE, drawn
from infra.observability.dashboards.panels import Board, Choice, Panel, Row
from infra.observability.dashboards.variables import VARIABLES

TAG = "atlas"
WIDTH = 24


def framed(board: Board) -> models.Dashboard:
    """The dashboard of a board."""
    made = (
        builders.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags([TAG])
        .time("now-30m", "now")
        .refresh("10s")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            builders.DashboardLink("Dashboards")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
        .variables([_variable(choice, board) for choice in board.choices])
        .annotations([_annotation(each) for each in ANNOTATIONS])
    )
    for place, row in _placed(board.rows):
        made.with_row(builders.Row(row.title).grid_pos(place).id(place.y + 1000))
        for number, (grid, panel) in enumerate(_placed_panels(row, place.y + 1)):
            made.with_panel(drawn(panel, row).grid_pos(grid).id(place.y * 10 + number + 1))
    return made.build()


def _placed(rows: Sequence[Row]) -> Iterator[tuple[models.GridPos, Row]]:
    y = 0
    for row in rows:
        yield models.GridPos(h=1, w=WIDTH, x=0, y=y), row
        y = max(grid.y + grid.h for grid, _ in _placed_panels(row, y + 1))


def _placed_panels(row: Row, y: int) -> Iterator[tuple[models.GridPos, Panel]]:
    """From the left; a new line, below the highest of this one, when a panel does not fit any more."""
    x = highest = 0
    for panel in row.panels:
        if x + panel.width > WIDTH:
            x, y, highest = 0, y + highest, 0
        yield models.GridPos(h=panel.height, w=panel.width, x=x, y=y), panel
        x, highest = x + panel.width, max(highest, panel.height)


def _variable(choice: Choice, board: Board) -> builders.QueryVariable:
    variable = VARIABLES[choice]
    query = variable.query(board.choices)
    made = (
        builders.QueryVariable(choice.value)
        .label(variable.label)
        .description(variable.description)
        .datasource(DataSourceRef(type_val=SOURCE.type_val, uid=SOURCE.uid))
        .query({"qryType": 1, "query": query, "refId": choice.value})
        .definition(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
    )
    if choice in board.one_of:
        return made
    return (
        made.multi(True)
        .include_all(True)
        # A series without the label is of the mesh too.
        .all_value(".*")
        .current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def _annotation(annotation: Annotation) -> builders.AnnotationQuery:
    return (
        builders.AnnotationQuery()
        .name(annotation.name)
        .datasource(SOURCE)
        .enable(True)
        .icon_color(annotation.colour)
        .expr(annotation.expression)
        .step(annotation.step)
        .title_format(annotation.title)
        .text_format(annotation.text)
        .tag_keys(annotation.tags)
        .use_value_for_time(annotation.at_value)
        .target(prometheus.Dataquery().datasource(SOURCE).ref_id("Anno").expr(annotation.expression))
    )

"""A panel as Grafana's: unit, levels, links to the runbook, from a point to its traces and logs."""

from collections.abc import Callable, Mapping
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from infra.observability.dashboards import runbooks
from infra.observability.dashboards.columns import shown
from infra.observability.dashboards.levels import steps
from infra.observability.dashboards.panels import Kind, Panel, Query, Row
from infra.observability.dashboards.trails import PROMETHEUS

SOURCE = common.DataSourceRef(type_val="prometheus", uid=PROMETHEUS)

Builder = timeseries.Panel | stat.Panel | table.Panel | statetimeline.Panel | heatmap.Panel


def drawn(panel: Panel, row: Row) -> Builder:
    """The builder of a panel of the row; where it is on the dashboard is not said yet."""
    made = _MADE[panel.kind](panel)
    made = made.title(panel.title).description(panel.description).datasource(SOURCE).unit(panel.unit)
    made.thresholds(builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps(panel.levels)))
    made.targets([_target(panel, query, letter) for query, letter in zip(panel.queries, ascii_uppercase, strict=False)])
    made.links([_link("Runbook", runbooks.url(panel.runbook or row.runbook))])
    traces, logs = (panel.trail or row.trail).urls(table=panel.kind is Kind.TABLE)
    made.data_links([_link("Traces of this", traces), _link("Logs of this", logs)])
    if panel.states:
        made.mappings([_mapping(panel.states)])
    return made


def _link(title: str, url: str) -> builders.DashboardLink:
    return builders.DashboardLink(title).type(models.DashboardLinkType.LINK).url(url).target_blank(True)


def _mapping(states: Mapping[int, tuple[str, str]]) -> models.ValueMap:
    return models.ValueMap(
        options={
            str(value): models.ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(states.items())
        }
    )


def _target(panel: Panel, query: Query, letter: str) -> prometheus.Dataquery:
    made = prometheus.Dataquery().datasource(SOURCE).ref_id(letter).expr(query.expression)
    if panel.kind is Kind.TABLE:
        return made.instant().format(PromQueryFormat.TABLE)
    made = made.range().legend_format(query.legend).exemplar(query.has_exemplars)
    return made.format(PromQueryFormat.HEATMAP) if panel.kind is Kind.BUCKETS else made


def _lines(panel: Panel) -> timeseries.Panel:
    has_levels = panel.levels.warn is not None or panel.levels.alarm is not None
    style = common.GraphThresholdsStyleMode.DASHED if has_levels else common.GraphThresholdsStyleMode.OFF
    scale = common_builders.ScaleDistributionConfig().type(common.ScaleDistribution.LINEAR)
    if panel.log:
        scale = common_builders.ScaleDistributionConfig().type(common.ScaleDistribution.LOG).log(10)
    made = timeseries.Panel() if panel.log else timeseries.Panel().min(0)
    return (
        made.scale_distribution(scale)
        .fill_opacity(10)
        .line_width(1.5)
        .show_points(common.VisibilityMode.AUTO)
        # A gap of a scrape or two is not one of the service.
        .span_nulls(30_000)
        .thresholds_style(common_builders.GraphThresholdsStyleConfig().mode(style))
        .tooltip(
            common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.TABLE)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
    )


def _stat(_panel: Panel) -> stat.Panel:
    return (
        stat.Panel()
        .graph_mode(common.BigValueGraphMode.AREA)
        .color_mode(common.BigValueColorMode.BACKGROUND)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def _table(panel: Panel) -> table.Panel:
    return shown(panel, table.Panel().show_header(True).cell_height(common.TableCellHeight.SM))


def _timeline(_panel: Panel) -> statetimeline.Panel:
    return (
        statetimeline.Panel()
        .merge_values(True)
        .row_height(0.8)
        .per_page(20)
        .fill_opacity(80)
        .line_width(0)
        .show_value(common.VisibilityMode.AUTO)
        .legend(common_builders.VizLegendOptions().show_legend(False).display_mode(common.LegendDisplayMode.LIST))
    )


def _heat(panel: Panel) -> heatmap.Panel:
    colours = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).steps(64)
    if panel.kind is Kind.ROWS:
        # Red from where it is wrong on: a scale that ends at the greatest value shows red also when all is well.
        colours.scheme("RdYlGn").reverse(True).min(0)
        if panel.levels.alarm is not None:
            colours.max(panel.levels.alarm)
    else:
        colours.scheme("Spectral").reverse(True)
    made = (
        heatmap.Panel()
        .calculate(False)
        .cell_gap(1)
        .show_legend()
        .tooltip(heatmap.HeatmapTooltip().mode(common.TooltipDisplayMode.SINGLE).y_histogram(False))
        .exemplars_color("rgba(255,0,255,0.7)")
        .color(colours)
    )
    axis = heatmap.YAxisConfig().axis_placement(common.AxisPlacement.LEFT)
    if panel.kind is Kind.ROWS:
        return made.cell_values(heatmap.CellValues().unit(panel.unit)).y_axis(axis)
    # What stands beside a bucket is its upper bound, in the unit of the panel; a cell counts.
    return made.filter_values(heatmap.FilterValueRange().le(1e-9)).y_axis(axis.unit(panel.unit))


_MADE: dict[Kind, Callable[[Panel], Builder]] = {
    Kind.LINES: _lines,
    Kind.STAT: _stat,
    Kind.TABLE: _table,
    Kind.TIMELINE: _timeline,
    Kind.ROWS: _heat,
    Kind.BUCKETS: _heat,
}

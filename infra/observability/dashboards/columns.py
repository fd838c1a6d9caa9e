"""A table of several questions: one row for each combination of labels, one column for each question."""

from string import ascii_uppercase

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.builders.common import TableSortByFieldState
from grafana_foundation_sdk.models import dashboard as models

from infra.observability.dashboards.levels import steps
from infra.observability.dashboards.panels import ANY, Column, Panel

# What Prometheus adds to every row.
_NOT_SHOWN = ("Time", "__name__", "instance")


def shown(panel: Panel, made: table.Panel) -> table.Panel:
    """The table with its questions beside each other, named, and the columns of the panel in their order."""
    columns = [column.name for column in panel.table]
    names = {f"Value #{letter}": query.legend for query, letter in zip(panel.queries, ascii_uppercase, strict=False)}
    if len(panel.queries) == 1:
        names = {"Value": panel.queries[0].legend}
    made.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    made.with_transformation(
        models.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": dict.fromkeys(_NOT_SHOWN, True),
                "indexByName": {_before(name, names): place for place, name in enumerate(columns)},
                "renameByName": names,
            },
        )
    )
    for column in panel.table:
        made.override_by_name(column.name, _properties(column))
    return made.sort_by(
        [TableSortByFieldState().display_name(column.name).desc(True) for column in panel.table if column.first]
    )


def _before(name: str, names: dict[str, str]) -> str:
    """What a column is called before it is renamed."""
    return next((given for given, wanted in names.items() if wanted == name), name)


def _properties(column: Column) -> list[models.DynamicConfigValue]:
    found = []
    if column.unit:
        found.append(models.DynamicConfigValue(id_val="unit", value=column.unit))
    if column.states:
        options = {
            str(value): {"text": text, "color": colour, "index": index}
            for index, (value, (text, colour)) in enumerate(column.states.items())
        }
        found.append(models.DynamicConfigValue(id_val="mappings", value=[{"type": "value", "options": options}]))
    if column.states or column.levels != ANY:
        found.append(models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}))
    if column.levels != ANY:
        found.append(
            models.DynamicConfigValue(id_val="thresholds", value={"mode": "absolute", "steps": steps(column.levels)})
        )
    if column.link:
        link = {"title": f"This {column.name} alone", "url": column.link, "targetBlank": False}
        found.append(models.DynamicConfigValue(id_val="links", value=[link]))
    return found

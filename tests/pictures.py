"""A dashboard as a picture, drawn from the answers to its questions: what a person would see, without a Grafana."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tests.prometheus import Series
from tests.units import written

Answers = Mapping[str, Sequence[Series]]
Panel = dict[str, Any]

_BACKGROUND, _PANEL, _INK, _FAINT = "#111217", "#181b1f", "#d0d1d6", "#3a3d44"
_COLOURS = {
    "green": "#73bf69", "orange": "#ff9830", "red": "#f2495c", "dark-red": "#c4162a", "blue": "#5794f2",
    "purple": "#b877d9", "text": "#8e8e94",
}  # fmt: skip
_LINES = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0", "#37872d", "#fade2a"]
_COLUMN_IN, _LINE_IN = 0.75, 0.36
_MARGIN, _TITLE_IN = 0.012, 0.3
_LEGEND_MAX = 7
# Of a timeline, which has pages.
_ROWS_MAX = 20
# Between two answers.
_STEP_S = 5.0
_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def picture(dashboard: dict[str, Any], answers: Mapping[int, Answers], file: Path) -> None:
    """Draw every panel where the dashboard has it; `answers` by the panel's id and the question's letter."""
    panels = dashboard["panels"]
    lines = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) + 1
    figure = Figure(figsize=(24 * _COLUMN_IN, lines * _LINE_IN), facecolor=_BACKGROUND, dpi=80)
    with mpl.rc_context({"font.size": 8, "text.color": _INK, "font.family": "DejaVu Sans"}):
        figure.text(0.005, 1 - 0.7 / lines, dashboard["title"], fontsize=14, weight="bold", va="center")
        for panel in panels:
            grid = panel["gridPos"]
            left, top = grid["x"] / 24, 1 - (grid["y"] + 1) / lines
            if panel["type"] == "row":
                figure.text(left + 0.005, top - 0.5 / lines, f"⌄ {panel['title']}", fontsize=11, va="center")
            else:
                box = (left, top - grid["h"] / lines, grid["w"] / 24, grid["h"] / lines)
                _draw(figure, panel, answers[panel["id"]], box)
        figure.savefig(file)


def _draw(figure: Figure, panel: Panel, answers: Answers, box: tuple[float, float, float, float]) -> None:
    left, bottom, width, height = box
    gap = 0.002
    frame = figure.add_axes((left + gap, bottom + gap, width - 2 * gap, height - 2 * gap), facecolor=_PANEL)
    frame.set_xticks([])
    frame.set_yticks([])
    for spine in frame.spines.values():
        spine.set_color(_FAINT)
    title = _TITLE_IN / figure.get_figheight()
    figure.text(left + 0.006, bottom + height - title * 0.75, panel["title"], weight="bold", va="center")
    names = 0.09 if panel["type"] in ("state-timeline", "heatmap") else 0.045
    below = (0.85 if panel["type"] == "timeseries" else 0.3) / figure.get_figheight()
    inside = (left + names, bottom + below, width - names - 0.01, height - title * 1.3 - below)
    plain = panel["type"] in ("stat", "table")
    if plain:
        inside = (left + 0.006, bottom + gap, width - 0.012, height - title * 1.3)
    axes = figure.add_axes(inside, facecolor=_PANEL)
    axes.tick_params(colors=_INK, labelsize=7, length=2)
    for spine in axes.spines.values():
        spine.set_color(_FAINT)
    _DRAWN[panel["type"]](axes, panel, answers)
    if plain:
        axes.axis("off")


def _named(panel: Panel, answers: Answers) -> list[tuple[str, Series]]:
    """Every series with its legend, the way that Grafana fills it."""
    legends = {target["refId"]: target.get("legendFormat", "") for target in panel["targets"]}
    return [
        (_LABEL.sub(lambda found, s=series: s.labels.get(found[1], ""), legends[letter]), series)  # type: ignore[misc]
        for letter, found in answers.items()
        for series in found
    ]


def _height_in(axes: Axes) -> float:
    return float(axes.get_window_extent().height / axes.figure.dpi)


def _times(axes: Axes, series: Sequence[Series]) -> None:
    every = [at for one in series for at, _ in one.points]
    axes.set_xlim(min(every), max(every) + 1)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _place: time.strftime("%H:%M:%S", time.gmtime(at))))


def _lines(axes: Axes, panel: Panel, answers: Answers) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    unit, named = defaults["unit"], _named(panel, answers)
    greatest = max((value for _, s in named for _, value in s.points), default=0.0)
    for number, (name, series) in enumerate(named):
        colour = _LINES[number % len(_LINES)]
        label = f"{name}  {written(series.last, unit)}" if number < _LEGEND_MAX else None
        axes.plot(*zip(*series.points, strict=True), color=colour, linewidth=1.1, marker=".", markersize=2, label=label)
    for step in defaults["thresholds"]["steps"][1:]:
        # Grafana draws a level also where it is far above; here it would press the lines flat.
        if step["value"] <= greatest * 1.5:
            axes.axhline(step["value"], color=_COLOURS[step["color"]], linewidth=0.8, linestyle="--")
    axes.grid(visible=True, color=_FAINT, linewidth=0.4)
    least = min((value for _, s in named for _, value in s.points), default=0.0)
    if defaults["custom"]["scaleDistribution"]["type"] == "log":
        axes.set_yscale("log")
    else:
        axes.set_ylim(min(0.0, least), greatest * 1.15 or 1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: written(value, unit)))
    if len(named) > _LEGEND_MAX:
        axes.plot([], [], alpha=0, label=f"and {len(named) - _LEGEND_MAX} more")
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(-0.1, -0.24 / _height_in(axes)),
        ncols=2,
        fontsize=6,
        frameon=False,
        labelcolor=_INK,
        borderpad=0,
    )
    _times(axes, [series for _, series in named])


def _level(value: float, steps: Sequence[dict[str, Any]]) -> str:
    colour: str = steps[0]["color"]
    for step in steps[1:]:
        if value >= step["value"]:
            colour = step["color"]
    return _COLOURS[colour]


def _stat(axes: Axes, panel: Panel, answers: Answers) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    values = [series.last for _, series in _named(panel, answers)]
    colour = _level(values[-1], defaults["thresholds"]["steps"])
    axes.patch.set_facecolor(colour)
    axes.add_patch(mpl.patches.Rectangle((0, 0), 1, 1, transform=axes.transAxes, color=colour, alpha=0.75))
    shown = " · ".join(written(value, defaults["unit"]) for value in values)
    axes.text(0.5, 0.5, shown, fontsize=20, ha="center", va="center", transform=axes.transAxes, color="white")


def _mapping(properties: Any) -> dict[str, dict[str, str]]:
    return {value: each for mapping in properties or () for value, each in mapping["options"].items()}


def _timeline(axes: Axes, panel: Panel, answers: Answers) -> None:
    named = _named(panel, answers)
    states = _mapping(panel["fieldConfig"]["defaults"].get("mappings"))
    named = named[:_ROWS_MAX]
    for row, (_name, series) in enumerate(reversed(named)):
        shown = [states.get(str(int(value)), {"color": "text"}) for _, value in series.points]
        colours = [_COLOURS[state["color"]] for state in shown]
        axes.broken_barh([(at, _STEP_S) for at, _ in series.points], (row - 0.4, 0.8), facecolors=colours)
        last = states.get(str(int(series.last)), {"text": "?"})
        axes.text(
            0.995,
            row,
            last["text"],
            ha="right",
            va="center",
            fontsize=6,
            transform=axes.get_yaxis_transform(),
            color="black",
        )
    axes.set_yticks(range(len(named)), [name[:28] for name, _ in reversed(named)], fontsize=6 if len(named) < 25 else 4)
    _times(axes, [series for _, series in named])


def _heat(axes: Axes, panel: Panel, answers: Answers) -> None:
    named = _named(panel, answers)
    buckets = panel["targets"][0].get("format") == "heatmap"
    if buckets:
        named = _apart(named)
    times = sorted({at for _, series in named for at, _ in series.points})
    column = {at: number for number, at in enumerate(times)}
    cells = np.full((len(named), len(times)), np.nan)
    for row, (_name, series) in enumerate(named):
        for at, value in series.points:
            cells[row, column[at]] = value if value > 0 or not buckets else np.nan
    unit = panel["fieldConfig"]["defaults"]["unit"]
    scale = LinearSegmentedColormap.from_list("levels", [_COLOURS[name] for name in ("green", "orange", "red")])
    # The scale of a board ends where values are wrong; Grafana's own where the greatest is.
    ends = panel["options"]["color"]
    shades: Any = "magma" if buckets else scale
    image = axes.imshow(
        cells,
        shades,
        aspect="auto",
        origin="lower",
        interpolation="nearest",
        vmin=ends.get("min"),
        vmax=ends.get("max"),
    )
    names = [written(float(name), unit) if buckets and name != "+Inf" else name for name, _ in named]
    every = max(1, len(names) // 16)
    axes.set_yticks(range(0, len(names), every), names[::every], fontsize=6)
    axes.set_xticks([])
    counted = FuncFormatter(lambda value, _place: written(value, "short" if buckets else unit))
    bar = axes.figure.colorbar(image, ax=axes, pad=0.01, format=counted)
    bar.ax.tick_params(colors=_INK, labelsize=6)


def _apart(named: list[tuple[str, Series]]) -> list[tuple[str, Series]]:
    """Buckets as Grafana draws them: each without what is in the one below."""
    rising = sorted(named, key=lambda each: float(each[0]))
    found, below = [], dict[float, float]()
    for name, series in rising:
        found.append((name, Series(series.labels, [(t, max(0.0, v - below.get(t, 0.0))) for t, v in series.points])))
        below = dict(series.points)
    return found


def _table(axes: Axes, panel: Panel, answers: Answers) -> None:
    organized = next(each["options"] for each in panel["transformations"] if each["id"] == "organize")
    renamed: dict[str, str] = organized["renameByName"]
    columns = [renamed.get(name, name) for name in sorted(organized["indexByName"], key=organized["indexByName"].get)]
    rows: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for letter, found in answers.items():
        column = renamed.get(f"Value #{letter}", renamed.get("Value", letter))
        for series in found:
            labels = tuple(sorted(series.labels.items()))
            rows.setdefault(labels, dict(labels))[column] = series.last
    properties = {
        each["matcher"]["options"]: {one["id"]: one.get("value") for one in each["properties"]}
        for each in panel["fieldConfig"]["overrides"]
    }
    for place, name in enumerate(columns):
        axes.text(place / len(columns), 0.97, name, weight="bold", va="top", transform=axes.transAxes, fontsize=7)
    fit = int(_height_in(axes) / 0.18) - 1
    for line, row in enumerate(list(rows.values())[:fit]):
        for place, name in enumerate(columns):
            text, colour = _cell(row.get(name, ""), properties.get(name, {}), panel["fieldConfig"]["defaults"]["unit"])
            where = (place / len(columns), 0.97 - (line + 1) / (fit + 1))
            axes.text(*where, text[:40], va="top", transform=axes.transAxes, fontsize=7, color=colour)


def _cell(value: float | str, properties: dict[str, Any], unit: str) -> tuple[str, Any]:
    if isinstance(value, str):
        return value, _INK
    states = _mapping(properties.get("mappings"))
    if str(int(value)) in states:
        return states[str(int(value))]["text"], _COLOURS[states[str(int(value))]["color"]]
    colour = _level(value, properties["thresholds"]["steps"]) if "thresholds" in properties else to_rgba(_INK)
    return written(value, properties.get("unit", unit)), colour


_DRAWN: dict[str, Callable[[Axes, Panel, Answers], None]] = {
    "timeseries": _lines,
    "stat": _stat,
    "table": _table,
    "state-timeline": _timeline,
    "heatmap": _heat,
}

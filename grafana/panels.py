"""The few kinds of panel that the dashboards are made of, each with one look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    barchart,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
    trend,
)
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    RangeMap,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.transformations import Column, Style, convert, filled, join, matrix, organize, sort

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")
"""By the variable that every dashboard has, so that another Prometheus can be looked at."""
FINE, LOOK, ACT, PLAIN = "green", "orange", "red", "text"
"""Red only where someone must act."""
GREY = "#808080"
"""Of what is shown, and is not to be believed."""
STATES = {
    "running": ("running", "blue"),
    "succeeded": ("succeeded", FINE),
    "failed": ("failed", ACT),
    "cancelled": ("cancelled", PLAIN),
    "stalled": ("stalled", LOOK),
    "untested": ("untested", LOOK),
    "lost": ("lost", ACT),
}
_POINTS = 250
"""Of a line: one every few pixels. Prometheus' time grows with their number."""
_MINUTES = "1m"
"""The finest step of panels whose data rules record each minute."""
_BARS = 60
"""Of a panel of bars or of dots that stand alone, so that one can be seen."""
_MEANT = {
    "/^champion/": FINE,
    "/^(latest|this run|test accuracy)/": "blue",
    "/^success$/": FINE,
    "/^failed$/": ACT,
    "/^up_for_retry$/": LOOK,
    "/^not to be trusted/": GREY,
}
"""Names of series → the colour that they have everywhere; all others have one by their name."""
_DASHES = {"fill": "dash", "dash": [8, 6]}
_NARROW = 60
"""Pixels that a column has at least; Grafana's own 150 are too many for a dozen columns."""
_RUN_LINK = (
    "/d/catwalk-run?var-model=${%s:percentencode}&var-run=${__value.raw}&${__url_time_range}&${datasource:queryparam}"
)
"""From a cell that holds a run_id to that run."""
SERVICE_LINK = "/d/catwalk-service?var-model=${model:percentencode}&${__url_time_range}&${datasource:queryparam}"
"""From what is said of a champion's test to what is seen of it in use."""
PAGE_LINK = "${exporter}/runs/${__value.raw}"
"""From a cell that holds a run_id to the run's page and report."""

Panel = TypeVar("Panel", stat.Panel, table.Panel, timeseries.Panel, trend.Panel, barchart.Panel, statetimeline.Panel)
Drawn = TypeVar("Drawn", timeseries.Panel, trend.Panel)


@dataclass(frozen=True)
class About:
    """What a panel tells its reader."""

    title: str
    question: str
    """The question that it answers, and how to read the answer."""
    empty: str
    """What it means that there is nothing to show."""
    unit: str
    width: int = 12
    """Of 24 columns."""
    height: int = 9
    decimals: int | None = None


def query(
    expr: str, ref: str = "A", legend: str = "", *, table: bool = False, now: bool = False
) -> prometheus.Dataquery:
    """One query: a range by default, else its value at the end of the range (`now`), as a table if so wished."""
    made = prometheus.Dataquery().datasource(PROMETHEUS).ref_id(ref).expr(expr).legend_format(legend or "__auto")
    made = made.instant() if table or now else made.range()
    return made.format(PromQueryFormat.TABLE if table else PromQueryFormat.TIME_SERIES)


def tile(
    about: About,
    *targets: prometheus.Dataquery,
    show: str = "",
    named: bool = False,
    plain: str = "",
    alarming: str = "",
    mappings: Sequence[ValueMap | RangeMap] = (),
) -> stat.Panel:
    """One fact in large letters.

    Args:
        show: a label to be shown instead of the value.
        named: show the series' name beside the value.
        plain: letter of the query whose value has a unit of its own, not the tile's.
        alarming: the colour of a count from one on.
        mappings: value → words and colour.
    """
    fields = f"/^{show}$/" if show else ""
    panel = (
        stat.Panel()
        .graph_mode(looks.BigValueGraphMode.NONE)
        .color_mode(looks.BigValueColorMode.VALUE)
        .justify_mode(looks.BigValueJustifyMode.CENTER)
        .text_mode(looks.BigValueTextMode.VALUE_AND_NAME if named else looks.BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields(fields).values(False))
        .color_scheme(_color(FieldColorModeId.THRESHOLDS))
        .thresholds(thresholds((None, PLAIN), *([(1, alarming)] if alarming else [])))
        .mappings(list(mappings))
    )
    if plain:
        panel.override_by_query(plain, _style({"unit": "none", "decimals": 4}))
    return _about(_targets(panel, targets), about)


def lines(
    about: About,
    *targets: prometheus.Dataquery,
    steps: bool = False,
    rare: bool = False,
    minutes: bool = False,
    limit: float | None = None,
    most: float | None = None,
    dashed: str = "",
    apart: bool = False,
) -> timeseries.Panel:
    """Values over time.

    Args:
        steps: they hold until they change.
        rare: they stand alone, with nothing before and after: dots.
        minutes: they are recorded each minute.
        limit: of values from 0 on; always in sight, as a dashed line.
        most: the scale reaches to it; else that of one value alone may be absurd, such as 10,000 %.
        dashed: the series whose names match it are limits, dashed lines.
        apart: they have colours in their order, so that no two of 56 look alike; by name, two of ten often do. Panels
            with the same series then agree, for Prometheus sorts them.
    """
    palette = FieldColorModeId.PALETTE_CLASSIC if apart else FieldColorModeId.PALETTE_CLASSIC_BY_NAME
    panel = (
        timeseries.Panel()
        .max_data_points(_BARS if rare else _POINTS)
        .legend(_legend())
        .tooltip(_tooltip())
        .color_scheme(_color(palette))
        .line_width(2)
        .fill_opacity(0)
        .draw_style(looks.GraphDrawStyle.POINTS if rare else looks.GraphDrawStyle.LINE)
        .point_size(8 if rare else 5)
        .show_points(looks.VisibilityMode.AUTO)
        .line_interpolation(looks.LineInterpolation.STEP_AFTER if steps else looks.LineInterpolation.LINEAR)
        # Under the latest's line, and seen beside it where both have one value; told apart without colours.
        .override_by_regexp("/^champion$/", _style({"custom.lineWidth": 6}))
    )
    if minutes:
        panel.interval(_MINUTES)
    if about.decimals == 0:  # counts: all zeros are a line at the bottom of a scale to 1
        panel.axis_soft_min(0).axis_soft_max(1)
    if most is not None:
        panel.axis_soft_max(most)
    if limit is not None:
        panel.axis_soft_min(0).axis_soft_max(1.1 * limit).thresholds(thresholds((None, "transparent"), (limit, LOOK)))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(looks.GraphThresholdsStyleMode.DASHED))
    if dashed:
        panel.override_by_regexp(dashed, _style({"custom.lineWidth": 1, "custom.lineStyle": _DASHES}))
    return _about(_targets(_meant(panel), targets), about)


def events(about: About, *targets: prometheus.Dataquery) -> timeseries.Panel:
    """Counts of rare events as bars."""
    return (
        lines(about, *targets)
        .max_data_points(_BARS)
        .draw_style(looks.GraphDrawStyle.BARS)
        .bar_alignment(looks.BarAlignment.AFTER)  # a point stands for the step that begins at it
        .fill_opacity(80)
        .line_width(0)
        .min(0)
        .stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL))
    )


def dots(
    about: About, joined: Sequence[prometheus.Dataquery], columns: Sequence[Column], when: str
) -> timeseries.Panel:
    """One dot a run at the time it started, and a line for what is called champion.

    Args:
        when: title of the column that holds this time, in milliseconds.
    """
    panel = (
        timeseries.Panel()
        .legend(_legend())
        .tooltip(_tooltip())
        .color_scheme(_color(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .draw_style(looks.GraphDrawStyle.POINTS)
        .point_size(8)
        .override_by_name("champion", _style({"custom.drawStyle": "line", "custom.showPoints": "never"}))
    )
    _targets(_meant(panel), joined)
    for column in columns:
        if column.style:
            panel.override_by_name(column.title, _style(column.style))
    for step in [*join("run_id", columns), convert(when, "time"), sort(when)]:
        panel.with_transformation(step)
    return _about(panel, about)


def curve(about: About, expr: str, series: str = "run_id", dashed: str = "") -> trend.Panel:
    """Values by epoch, one line a `series`; those whose names match `dashed` are dashed.

    Where there is nothing, one line without values says so in the legend: a Trend panel that lacks the field of its x
    axis shows an error instead of what it is told to.
    """
    x = f"epoch\\{series}"
    nothing = sentence(about.empty)
    placeholder = f'label_replace(label_replace(vector(0) / 0, "epoch", "0", "", ""), "{series}", "{nothing}", "", "")'
    panel = (
        trend.Panel()
        .x_field(x)
        .legend(_legend())
        .tooltip(_tooltip())
        .color_scheme(_color(FieldColorModeId.PALETTE_CLASSIC))  # by name, three of seven runs may look alike
        .line_width(2)
        .show_points(looks.VisibilityMode.AUTO)
        .point_size(4)
        .span_nulls(False)
        .override_by_name(x, _style({"unit": "none"}))
        .override_by_name(nothing, _style({"color": {"mode": "fixed", "fixedColor": PLAIN}}))
        .with_target(query(f"{expr} or on () {placeholder}", table=True))
    )
    if dashed:
        panel.override_by_regexp(dashed, _style({"custom.lineStyle": _DASHES}))
    _meant(panel)
    for step in [matrix("epoch", series), convert(x, "number"), sort(x)]:
        panel.with_transformation(step)
    return _about(panel, about)


def grid(
    about: About,
    expr: str,
    row: str,
    column: str,
    title: str,
    *,
    value: str = "Value",
    colors: str = "",
    link: Style | None = None,
) -> table.Panel:
    """A matrix of cells, ordered by the names of its rows and columns.

    Args:
        title: of the column that names the rows.
        value: what the cells show: the queries' numbers, or a label.
    """
    corner = f"{row}\\{column}"
    panel = _table(about).min_width(50).with_target(query(expr, table=True))
    if colors:
        panel.color_scheme(_color(FieldColorModeId(colors))).cell_options(
            looks.TableColoredBackgroundCellOptions(mode=looks.TableCellBackgroundDisplayMode.BASIC)
        )
    plain: Style = {
        "displayName": title,
        "custom.cellOptions": {"type": "auto"},
        "custom.width": 85,
        "unit": "string",
    }
    panel.override_by_name(corner, _style({**plain, **(link or {})}))
    for step in [sort(column), matrix(row, column, value), sort(corner)]:
        panel.with_transformation(step)
    return panel


def joined(
    about: About,
    key: str,
    targets: Sequence[prometheus.Dataquery],
    columns: Sequence[Column],
    *,
    order: str = "",
    falling: bool = False,
) -> table.Panel:
    """A table of several queries that share a label: one row a value of `key`.

    Args:
        key: the label.
        columns: in this order, all others are left out.
        order: title of the column to sort by, and where that is equal by the key; by the key alone if empty.
        falling: largest or latest first.
    """
    panel = _targets(_table(about), targets)
    rows = next(column.title for column in columns if column.name == key)
    for step in [*join(key, columns), *(sort(by, falling=falling) for by in (rows, order) if by)]:
        panel.with_transformation(step)
    return _styled(panel, columns)


def listing(
    about: About, target: prometheus.Dataquery, columns: Sequence[Column], *, falling: bool = False
) -> table.Panel:
    """A table of one query, ordered by its first column."""
    panel = _table(about).with_target(target).with_transformation(organize(columns))
    panel.with_transformation(sort(columns[0].title, falling=falling))
    return _styled(panel, columns)


def bars(about: About, expr: str, row: str, column: str) -> barchart.Panel:
    """Stacked bars: one bar a `row`, one part a `column`."""
    corner = f"{row}\\{column}"
    panel = (
        barchart.Panel()
        .x_field(corner)
        .orientation(looks.VizOrientation.HORIZONTAL)
        .stacking(looks.StackingMode.NORMAL)
        .show_value(looks.VisibilityMode.NEVER)
        .legend(_legend())
        .tooltip(_tooltip())
        .color_scheme(_color(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .fill_opacity(85)
        .with_target(query(expr, table=True))
    )
    for step in [sort(column), matrix(row, column), sort(corner)]:
        panel.with_transformation(step)
    return _about(panel, about)


def timeline(
    about: About,
    *targets: prometheus.Dataquery,
    mappings: Sequence[ValueMap],
    legend: bool = True,
    shaped: Sequence[DataTransformerConfig] = (),
) -> statetimeline.Panel:
    """States over time, one line a series; they are recorded each minute.

    Args:
        shaped: what makes such series of the answers.
    """
    panel = (
        statetimeline.Panel()
        .interval(_MINUTES)
        .show_value(looks.VisibilityMode.NEVER)
        .merge_values(True)
        .row_height(0.8)
        .line_width(0)
        .fill_opacity(80)
        .legend(_legend().show_legend(legend))
        .tooltip(_tooltip())
        .color_scheme(_color(FieldColorModeId.FIXED))  # by thresholds, values would be merged before they are mapped
        .mappings(list(mappings))
        # The message for "nothing at all" must not stand in the legend too.
        .override_by_regexp(".*", _style({"noValue": "not known"}))
    )
    for step in (*shaped, filled()):
        panel.with_transformation(step)
    return _about(_targets(panel, targets), about)


# --- Looks ------------------------------------------------------------------------------------------------------------
def words(meanings: Mapping[str, tuple[str, str]]) -> list[ValueMap]:
    """Value → words and colour."""
    results = {
        value: ValueMappingResult(text=text, color=color, index=number)
        for number, (value, (text, color)) in enumerate(meanings.items())
    }
    return [ValueMap(options=results)]


def thresholds(*steps: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """Colour from a value on; the first step has none."""
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=value, color=color) for value, color in steps])
    )


def link(title: str, url: str, *, elsewhere: bool = False) -> dict[str, object]:
    """A link of a cell or a series."""
    return {"title": title, "url": url, "targetBlank": elsewhere}


def run_links(model: str = "model") -> Style:
    """What a run_id leads to.

    Args:
        model: whose run it is; ``__data.fields.Model`` where the table has a column that says so.
    """
    places = [link("Run in detail", _RUN_LINK % model), link("Page and report", PAGE_LINK, elsewhere=True)]
    return {"links": places, "custom.width": 230}


def mapped(meanings: Mapping[str, tuple[str, str]]) -> Style:
    """Words and colours for one column."""
    options = {
        value: {"text": text, "color": color, "index": number}
        for number, (value, (text, color)) in enumerate(meanings.items())
    }
    return {"mappings": [{"type": "value", "options": options}], "custom.cellOptions": {"type": "color-text"}}


def percent(decimals: int = 2) -> Style:
    """Ratios in per cent."""
    return {"unit": "percentunit", "decimals": decimals}


def panel_link(title: str, url: str) -> dashboard.DashboardLink:
    """A link in a panel's header."""
    return dashboard.DashboardLink(title).type(DashboardLinkType.LINK).url(url).target_blank(True)


def sentence(text: str) -> str:
    """It begins with a capital."""
    return text[0].upper() + text[1:]


def _about(panel: Panel, about: About) -> Panel:
    panel.title(about.title).description(f"{about.question} Empty: {about.empty}")
    panel.no_value(sentence(about.empty))
    panel.unit(about.unit).span(about.width).height(about.height).datasource(PROMETHEUS)
    if about.decimals is not None:
        panel.decimals(about.decimals)
    return panel


def _targets(panel: Panel, targets: Sequence[prometheus.Dataquery]) -> Panel:
    for target in targets:
        panel.with_target(target)
    return panel


def _table(about: About) -> table.Panel:
    panel = table.Panel().color_scheme(_color(FieldColorModeId.THRESHOLDS)).thresholds(thresholds((None, PLAIN)))
    # The message for "nothing at all" must not stand in each empty cell too.
    panel.min_width(_NARROW).cell_height(looks.TableCellHeight.SM).override_by_regexp(
        ".*", _style({"noValue": "–", "custom.wrapHeaderText": True})
    )
    return _about(panel, about)


def _styled(panel: table.Panel, columns: Sequence[Column]) -> table.Panel:
    for column in columns:
        if column.style:
            panel.override_by_name(column.title, _style(column.style))
    return panel


def _style(properties: Style) -> list[DynamicConfigValue]:
    return [DynamicConfigValue(id_val=name, value=value) for name, value in properties.items()]


def _meant(panel: Drawn) -> Drawn:
    for names, color in _MEANT.items():
        panel.override_by_regexp(names, _style({"color": {"mode": "fixed", "fixedColor": color}}))
    return panel


def _color(mode: FieldColorModeId) -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(mode)


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(looks.LegendDisplayMode.LIST)
        .placement(looks.LegendPlacement.BOTTOM)
        .calcs([])
    )


def _tooltip() -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING)

"""The few kinds of panel that the dashboards consist of, each with one look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    DynamicConfigValue,
    FieldColorModeId,
    RangeMap,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import Dataquery, PromQueryFormat

from grafana.queries import with_name
from grafana.transformations import (
    Column,
    Style,
    arranged,
    convert,
    filled,
    join,
    matrix,
    organize,
    rename,
    settings,
    sort,
)

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")
"""The variable that every dashboard has, so that you can select another Prometheus."""
FINE, LOOK, ACT, PLAIN = "green", "orange", "red", "text"
"""Red and orange only where someone must act."""
GREY = "#808080"
"""The colour of values that can't be trusted."""
CALM = (
    *("blue", "purple", "green", "yellow", "#3fb6b2", "light-blue", "light-purple", "light-green", "#a38b6d"),
    *("dark-blue", "dark-purple", "dark-green"),
)
"""Colours of series by their position, without red and orange."""
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
"""The points of a line: one every few pixels. A query takes longer the more there are."""
_MINUTES = "1m"
"""The finest step of panels whose data rules record each minute."""
_BARS = 60
"""The points of a panel of bars or of isolated dots, few enough that you can see one."""
_MEANT = {
    "/^champion/": FINE,
    "/^(latest|this run|test accuracy|headline of the test)|^(test|run|worst class)$/": "blue",
    "/^success$/": FINE,
    "/^failed$/": ACT,
    "/^up_for_retry$/": "purple",
    "/^untrusted/": GREY,
}
"""Names of series → the colour that they have everywhere. All others have one by their position."""
_RUN_AXIS = {
    "unit": "string",
    "custom.scaleDistribution": {"type": "ordinal"},  # each tick is a run
    "custom.axisSoftMin": -1,  # room for half a name before the first run; a run without a name makes it at the end
    # Grafana spaces the ticks by the text of the largest number, the position of the last run: text as wide as a name.
    "mappings": [
        {"type": "regex", "options": {"pattern": "/^(.+)$/", "result": {"text": "$1", "index": 0}}},
        {"type": "range", "options": {"from": -1, "to": 1_000_000, "result": {"text": "00-00 00:00 0000", "index": 1}}},
    ],
}
_BLANK = " "
"""The name of the run at the end that only makes room, and of its series, which is left out."""
_ROOM = (
    ' or label_replace(label_replace(label_replace(vector(0) / 0, "run_id", "zzz", "", ""), "run", " ", "", ""), '
    '"%s", " ", "", "")'
)
"""A run without a name and value after the last one, half of whose name would be cut off otherwise."""
_EPOCH_AXIS = {"unit": "none", "custom.scaleDistribution": {"type": "ordinal"}}
"""Each tick is an epoch or step that a run has, never a fraction of one."""
_BEYOND = "A line that leaves the chart leads to a value far worse than the others."
_DASHES = {"fill": "dash", "dash": [8, 6]}
_FACT_PIXELS, _STATE_PIXELS, _NAME_PIXELS = 22, 18, 14
"""Text of tiles. Otherwise Grafana fits it to each tile: a number is huge, and a sentence can't be read."""
_NARROW = 60
"""The minimum width of a column in pixels; Grafana's default of 150 is too much for a dozen columns."""
_RUN_LINK = "/d/catwalk-run?var-model=${%s:percentencode}&var-run=${%s}&${__url_time_range}&${datasource:queryparam}"
"""From a run to Run detail."""
SERVICE_LINK = "/d/catwalk-service?var-model=${model:percentencode}&${__url_time_range}&${datasource:queryparam}"
"""From a champion's test to its use in service."""
_PAGE_LINK = "${exporter}/runs/${%s}"
"""From a run to its page and report."""
RUN_ID = "run_id"
"""Title of the hidden column that the links of a short name need."""

WRAPPED = {"type": "auto", "wrapText": True}
"""A cell that shows all of a long name, because names often differ in their end."""

Panel = TypeVar("Panel", stat.Panel, table.Panel, timeseries.Panel, trend.Panel, barchart.Panel, statetimeline.Panel)
Drawn = TypeVar("Drawn", timeseries.Panel, trend.Panel, barchart.Panel)


@dataclass(frozen=True)
class About:
    """What a panel says about itself."""

    title: str
    question: str
    """The question that it answers, and how to read the answer."""
    empty: str
    """What an empty panel means."""
    unit: str
    width: int = 12
    """Of 24 columns."""
    height: int = 9
    decimals: int | None = None


def query(
    expr: str, ref: str = "A", legend: str = "", *, table: bool = False, now: bool = False
) -> prometheus.Dataquery:
    """One query: over the range, or only at its end (`now`); a `table` is always queried at the end."""
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
        show: A label to show instead of the value.
        named: Whether to show the name of the series too.
        plain: The letter of the query whose value has its own unit, not the tile's.
        alarming: The colour of a count of one or more.
        mappings: Value → words and colour.
    """
    fields = f"/^{show}$/" if show else ""
    panel = (
        stat.Panel()
        .graph_mode(looks.BigValueGraphMode.NONE)
        .color_mode(looks.BigValueColorMode.VALUE)
        .justify_mode(looks.BigValueJustifyMode.CENTER)
        .text_mode(looks.BigValueTextMode.VALUE_AND_NAME if named else looks.BigValueTextMode.VALUE)
        .text(common.VizTextDisplayOptions().title_size(_NAME_PIXELS).value_size(_FACT_PIXELS))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields(fields).values(False))
        .color_scheme(_color(FieldColorModeId.THRESHOLDS))
        .thresholds(thresholds((None, PLAIN), *([(1, alarming)] if alarming else [])))
        .mappings(list(mappings))
    )
    if plain:
        panel.override_by_query(plain, _style({"unit": "none", "decimals": 4}))
    return _about(_targets(panel, targets), about)


def lamps(about: About, lit: Sequence[tuple[prometheus.Dataquery, Sequence[ValueMap]]]) -> stat.Panel:
    """Several states in words side by side, each with the meanings of its values."""
    panel = tile(about, *(target for target, _ in lit), named=True)
    panel.text(common.VizTextDisplayOptions().title_size(_NAME_PIXELS).value_size(_STATE_PIXELS))
    for target, mappings in lit:
        panel.override_by_query(str(target.build().ref_id), _style({"mappings": list(mappings)}))
    return panel


def lines(
    about: About,
    *targets: prometheus.Dataquery,
    steps: bool = False,
    rare: bool = False,
    minutes: bool = False,
    limit: float | None = None,
    dashed: str = "",
    many: bool = False,
    names: Sequence[str] = (),
) -> timeseries.Panel:
    """Values over time.

    Args:
        steps: Whether they hold until they change.
        rare: Whether they are isolated, and shown as dots.
        minutes: Whether rules record them each minute.
        limit: A limit for values from 0 on: a dashed line that is always visible.
        dashed: A pattern for the names of series that are limits, shown as dashed lines.
        many: Whether there are many series: the legend is then a table with the last values.
        names: Known names of series, which have fixed colours.
    """
    panel = (
        timeseries.Panel()
        .max_data_points(_BARS if rare else _POINTS)
        .legend(_legend(many))
        .tooltip(_tooltip())
        .color_scheme(_color(FieldColorModeId.PALETTE_CLASSIC))
        .line_width(2)
        .fill_opacity(0)
        .draw_style(looks.GraphDrawStyle.POINTS if rare else looks.GraphDrawStyle.LINE)
        .point_size(8 if rare else 5)
        .show_points(looks.VisibilityMode.AUTO)
        .line_interpolation(looks.LineInterpolation.STEP_AFTER if steps else looks.LineInterpolation.LINEAR)
    )
    panel.override_by_regexp(".*", _style({"noValue": "–"}))  # otherwise the whole message, in the legend's table
    if minutes:
        panel.interval(_MINUTES)
    if about.decimals == 0:  # counts: all zeros are a line at the bottom of a scale to 1
        panel.axis_soft_min(0).axis_soft_max(1)
    if limit is not None:
        _limited(panel, limit)
    if dashed:
        panel.override_by_regexp(dashed, _style({"custom.lineWidth": 1, "custom.lineStyle": _DASHES}))
    return _about(_targets(_meant(_calm(panel, targets, names)), targets), about)


def _limited(panel: timeseries.Panel, limit: float) -> None:
    """A dashed line at the limit, which is always visible."""
    panel.axis_soft_min(0).axis_soft_max(1.1 * limit).thresholds(thresholds((None, "transparent"), (limit, LOOK)))
    panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(looks.GraphThresholdsStyleMode.DASHED))


def events(about: About, *targets: prometheus.Dataquery) -> timeseries.Panel:
    """Counts of rare events as bars."""
    return (
        lines(about, *targets)
        .max_data_points(_BARS)
        .draw_style(looks.GraphDrawStyle.BARS)
        .show_points(looks.VisibilityMode.NEVER)
        .bar_alignment(looks.BarAlignment.AFTER)  # a point stands for the step that begins at it
        .fill_opacity(80)
        .line_width(0)
        .min(0)
        .stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL))
    )


def by_run(
    about: About,
    expr: str,
    series: str = "series",
    *,
    axis: str = "",
    units: Mapping[str, str] | None = None,
    dashed: str = "",
) -> trend.Panel:
    """Values by run, in the order in which the runs were created: a dot a run, a line for the champion and for limits.

    An axis of time would be mostly empty between nightly runs, and would put all trials of a sweep in one place.

    Args:
        about: What the panel says about itself.
        expr: The values, with the labels run_id and `series`.
        series: The label that names the series.
        axis: Where the axis ends: :func:`grafana.queries.far_off`. Lines that leave the chart show what lies beyond.
        units: Name of a series → its own unit.
        dashed: A pattern for the names of series that are limits, shown as dashed lines.
    """
    many = series != "series"
    panel = _trend(about, with_name(f"({expr})"), "run", series, "Run", many=many, axis=axis, room=_ROOM % series)
    panel.override_by_name("Run", _style(_RUN_AXIS))
    if not many:
        panel.line_width(1).point_size(8).show_points(looks.VisibilityMode.ALWAYS).span_nulls(True)
        panel.override_by_name("champion", _style({"custom.showPoints": "auto"}))
    if dashed:
        line = {"custom.showPoints": "auto", "custom.lineStyle": _DASHES}
        panel.override_by_regexp(dashed, _style(line))
    for name, unit in (units or {}).items():
        panel.override_by_name(name, _style({"unit": unit, "min": None, "max": None}))
    for step in (sort(series), sort("run_id"), matrix("run", series), rename(f"run\\{series}", "Run", without=_BLANK)):
        panel.with_transformation(step)
    return panel


def curve(about: About, expr: str, series: str = "run", *, axis: str = "", dashed: str = "") -> trend.Panel:
    """Values by epoch, one line a `series`; those whose names match `dashed` are dashed. `axis` is that of `by_run`."""
    title, corner = "Epoch or step", f"epoch\\{series}"
    expr = with_name(f"({expr})") if series == "run" else expr
    panel = _trend(about, expr, "epoch", series, title, many=series != "series", axis=axis)
    panel.override_by_name(title, _style(_EPOCH_AXIS))
    if dashed:
        panel.override_by_regexp(dashed, _style({"custom.lineStyle": _DASHES}))
    for step in (sort(series), matrix("epoch", series), convert(corner, "number"), sort(corner), rename(corner, title)):
        panel.with_transformation(step)
    return panel


def _trend(
    about: About, expr: str, x: str, series: str, title: str, *, many: bool, axis: str, room: str = ""
) -> trend.Panel:
    """A chart over the label `x`.

    If there is nothing to show, a line without values has the message as its name: a Trend panel without the field of
    its x axis shows an error instead of its own message.

    Args:
        axis: Where the axis ends, with the label `end`: ``min`` or ``max``.
        room: More series, whether or not there is anything to show.
    """
    about = replace(about, question=f"{about.question} {_BEYOND}") if axis else about
    nothing, nowhere = sentence(about.empty), _BLANK if room else "0"
    none = f'label_replace(vector(0) / 0, "{x}", "{nowhere}", "", "")'
    placeholder = f'label_replace({none}, "{series}", "{nothing}", "", "")'
    panel = (
        trend.Panel()
        .x_field(title)
        .legend(_legend(many))
        .tooltip(_tooltip())
        .color_scheme(_color(FieldColorModeId.PALETTE_CLASSIC))
        .line_width(2)
        .show_points(looks.VisibilityMode.AUTO)
        .point_size(4)
        .span_nulls(False)
        .override_by_regexp(".*", _style({"noValue": "–"}))
        .override_by_name(nothing, _style({"color": {"mode": "fixed", "fixedColor": PLAIN}}))
        .with_target(query(f"{expr} or on () {placeholder}{room}", table=True))
    )
    if axis:
        # As a time series, so that the numbers of the other query are still called `Value`.
        panel.with_target(query(axis, "B", "{{end}}", now=True)).with_transformation(settings("B"))
    return _about(_meant(panel), about)


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
        title: The title of the column that names the rows.
        value: What the cells show: the query's numbers, or a label.
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
        key: The label.
        columns: The columns in their order; all others are left out.
        order: The title of the column to sort by, before the key; empty: only by the key.
        falling: Whether the largest or latest comes first.
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


def bars(
    about: About, expr: str, row: str, column: str, *, first: str = "", names: Sequence[str] = ()
) -> barchart.Panel:
    """Stacked bars: one bar a `row`, one part a `column`.

    Args:
        first: The label by which to sort the bars, largest first; empty: by their names.
        names: Known names of the parts, in their order.
    """
    corner = f"{row}\\{column}"
    panel = (
        barchart.Panel()
        .x_field(corner)
        .orientation(looks.VizOrientation.HORIZONTAL)
        .stacking(looks.StackingMode.NORMAL)
        .show_value(looks.VisibilityMode.NEVER)
        .legend(_legend())
        .tooltip(_tooltip())
        .color_scheme(_color(FieldColorModeId.PALETTE_CLASSIC))
        .fill_opacity(85)
        .with_target(query(expr, table=True))
    )
    after = arranged((corner, *names)) if names else sort(corner)
    for step in [sort(column), *([sort(first, falling=True)] if first else []), matrix(row, column), after]:
        panel.with_transformation(step)
    return _about(_calm(panel, (), names), about)


def timeline(about: About, *targets: prometheus.Dataquery, mappings: Sequence[ValueMap]) -> statetimeline.Panel:
    """States over time, one line a series; rules record them each minute."""
    panel = (
        statetimeline.Panel()
        .interval(_MINUTES)
        .show_value(looks.VisibilityMode.NEVER)
        .merge_values(True)
        .row_height(0.8)
        .line_width(0)
        .fill_opacity(80)
        .legend(_legend())
        .tooltip(_tooltip())
        .color_scheme(_color(FieldColorModeId.FIXED))  # by thresholds, values are merged before they are mapped
        .mappings(list(mappings))
        # Otherwise the message of an empty panel is in the legend too.
        .override_by_regexp(".*", _style({"noValue": "not known"}))
        .with_transformation(filled())
    )
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
    """Colours, each from a value on; the first has none."""
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=value, color=color) for value, color in steps])
    )


def link(title: str, url: str, *, elsewhere: bool = False) -> dict[str, object]:
    """A link of a cell or a series."""
    return {"title": title, "url": url, "targetBlank": elsewhere}


def run_links(model: str = "model", run: str = "__value.raw") -> Style:
    """Links from a run's name.

    Args:
        model: The field or variable with its model; ``__data.fields.Model`` for a table with such a column.
        run: The field or variable with its run_id.
    """
    places = [
        link("Run in detail", _RUN_LINK % (model, run)),
        link("Page and report", _PAGE_LINK % run, elsewhere=True),
    ]
    return {"links": places, "custom.width": 230 if run == "__value.raw" else 145}


def run_columns(model: str = "model") -> list[Column]:
    """A run's short name with its links, from a query `with_name`, and the hidden run_id that they need."""
    links = run_links(model, f"__data.fields.{RUN_ID}")
    return [Column("run", "Run", links), hidden_run_id()]


def hidden_run_id() -> Column:
    """The run_id, which is not shown, for links from other cells of its row."""
    return Column("run_id", RUN_ID, {"custom.hideFrom.viz": True})


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
    """Returns the text with a capital at its beginning."""
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
    # Otherwise the message of an empty table is in each empty cell too.
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


def _calm(panel: Drawn, targets: Sequence[prometheus.Dataquery], names: Sequence[str]) -> Drawn:
    """Series of known names have fixed colours by their position, none of them red or orange."""
    for name, color in zip(names, CALM, strict=False):
        panel.override_by_name(name, _style({"color": {"mode": "fixed", "fixedColor": color}}))
    for target, color in zip(map(_built, targets), CALM, strict=False):
        if target.legend_format and "{{" not in target.legend_format:
            panel.override_by_query(str(target.ref_id), _style({"color": {"mode": "fixed", "fixedColor": color}}))
    return panel


def _built(target: prometheus.Dataquery) -> Dataquery:
    return target.build()


def _meant(panel: Drawn) -> Drawn:
    for names, color in _MEANT.items():
        panel.override_by_regexp(names, _style({"color": {"mode": "fixed", "fixedColor": color}}))
    # Below the latest one's line, and visible where both have one value, even without colours.
    return panel.override_by_regexp("/^champion$/", _style({"custom.lineWidth": 6}))


def _color(mode: FieldColorModeId) -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(mode)


def _legend(many: bool = False) -> common.VizLegendOptions:
    """A line below the chart or, for many series, a table beside it with their last values."""
    return (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(looks.LegendDisplayMode.TABLE if many else looks.LegendDisplayMode.LIST)
        .placement(looks.LegendPlacement.RIGHT if many else looks.LegendPlacement.BOTTOM)
        .calcs(["lastNotNull"] if many else [])
    )


def _tooltip() -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING)

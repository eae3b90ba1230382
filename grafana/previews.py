"""`python -m grafana.previews`: draws the main panels with matplotlib, from a running Prometheus and the same queries.

They show what the queries give, for readers of the documentation. They are no pictures of Grafana, and say so.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

from grafana import words
from grafana.asking import QueryError, ask
from grafana.dashboards import home, pipeline, run, runs

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

FOLDER = Path(__file__).resolve().parent / "previews"
LABEL = "preview drawn with matplotlib from the dashboard's queries; not a picture of Grafana"
COLORS = {"green": "#37872d", "orange": "#d9730d", "red": "#c4162a", "blue": "#1f60c4", "text": "#444444"}
_DAY = 86_400
Rows = list[tuple[dict[str, str], float]]


@dataclass(frozen=True)
class Source:
    """A Prometheus, and what a person would have chosen above the dashboards."""

    url: str
    variables: dict[str, str]
    now: float
    seconds: int

    def rows(self, expr: str, **changes: str) -> Rows:
        """Labels and value of each series at the end of the range."""
        variables = {**self.variables, **changes}
        found = ask(self.url, expr, variables, self.now, self.seconds, 15, instant=True)
        return [(series["metric"], float(series["value"][1])) for series in found]

    def by(self, label: str, expr: str, **changes: str) -> dict[str, float]:
        """Value by one label."""
        return {labels.get(label, ""): value for labels, value in self.rows(expr, **changes)}

    def lines(self, expr: str) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Labels and (time, value) of each series."""
        step = max(1, self.seconds // 500)
        found = ask(self.url, expr, self.variables, self.now, self.seconds, step, instant=False)
        return [(each["metric"], [(float(at), float(value)) for at, value in each["values"]]) for each in found]

    @property
    def newest(self) -> str:
        """The newest run."""
        return max(labels["run_id"] for labels, _ in self.rows(runs.STARTED))


def find(url: str, model: str, count: int) -> Source:
    """Chooses the last runs of a model (of any that there is, if it is not named).

    Raises:
        LookupError: Prometheus knows no run.
    """
    now, seconds = time.time(), 30 * _DAY
    everything = Source(url, {"model": model, "run": ".+", "recent": ".+", "split": "validation"}, now, seconds)
    if not model:
        found = everything.rows("max by (model) (last_over_time(catwalk_run_info[$__range]))")
        model = min((labels["model"] for labels, _ in found), default="")
        everything.variables["model"] = model
    chosen = sorted(labels["run_id"] for labels, _ in everything.rows(runs.STARTED))[-count:]
    if not chosen:
        raise LookupError(f"{url} knows no run; run `make demo` or `catwalk run` first")
    served = everything.rows(f'catwalk_champion_info{{model="{model}"}}')
    champion = served[0][0]["run_id"] if served else chosen[0]
    names = f"({'|'.join(chosen)})"
    # As a person would zoom in: from a little before the first of these runs.
    first = min(everything.by("run_id", runs.STARTED, run=names).values()) / 1_000
    seconds = min(seconds, max(600, int(1.05 * (now - first))))
    return Source(url, {**everything.variables, "run": names, "recent": names, "champion": champion}, now, seconds)


def draw_home(source: Source) -> Figure:
    """Tiles, accuracy over time, last decisions."""
    figure = _figure("Home", 9.5, 6.2)
    tiles = [
        ("Model", _words(words.ATTENTION, source.rows(home.attention("model")))),
        ("Pipeline", _words(words.ATTENTION, source.rows(home.attention("pipeline")))),
        ("Telemetry", _words(words.ATTENTION, source.rows(home.attention("telemetry")))),
        ("Accuracy in service", (_one(source.rows(home.ACCURACY_IN_SERVICE), "{:.2%}"), "text")),
        ("Last run", words.STATES.get(_label(source.rows(home.LAST_STATE), "state"), ("no run", "text"))),
        ("Last good run", (_age(source.rows(home.SINCE_SUCCESS)), "text")),
    ]
    for number, (title, (text, color)) in enumerate(tiles):
        axes = figure.add_axes((0.02 + number * 0.163, 0.76, 0.15, 0.14))
        _frame(axes)
        axes.text(0.5, 0.78, title, ha="center", fontsize=8, color="#666666")
        axes.text(0.5, 0.3, text, ha="center", fontsize=13, color=COLORS.get(color, color), weight="bold")
    axes = figure.add_axes((0.07, 0.40, 0.9, 0.27))
    for labels, points in source.lines(home.BY_ROLE):
        axes.step([_at(at) for at, _ in points], [value for _, value in points], where="post", label=labels["role"])
    axes.xaxis_date()
    _finish(axes, "Accuracy of the last runs", per_cent=True)
    decisions = source.by("run_id", home.RUN_ACCURACY)
    reasons = {labels["run_id"]: labels["reason"] for labels, _ in source.rows(home.RUN_DECISION)}
    cells = [
        [name, f"{decisions.get(name, float('nan')):.2%}", words.REASONS[reasons[name]][0]]
        for name in sorted(reasons, reverse=True)[:5]
    ]
    _table(figure.add_axes((0.02, 0.02, 0.96, 0.28)), "Last decisions", ["Run", "Test accuracy", "Decision"], cells)
    return figure


def draw_runs(source: Source) -> Figure:
    """Curves of several runs, classes, durations."""
    figure = _figure("Run comparison", 11, 8)
    names = sorted(source.by("run_id", runs.STARTED))
    colors = {name: f"C{number}" for number, name in enumerate(names)}
    for place, title, expr, per_cent in (
        ((0.06, 0.57, 0.42, 0.33), "Loss by epoch (validation)", runs.LOSS, False),
        ((0.56, 0.57, 0.42, 0.33), "Accuracy by epoch (validation)", runs.ACCURACY, True),
    ):
        axes = figure.add_axes(place)
        _curves(axes, source.rows(expr), "run_id", colors)
        _finish(axes, title, per_cent=per_cent)
    classes = source.rows(runs.CLASSES)
    _heat(
        figure.add_axes((0.18, 0.08, 0.44, 0.3)),
        "Accuracy of each class",
        classes,
        "run_id",
        "class",
        "{:.0%}",
        "Blues",
    )
    axes = figure.add_axes((0.70, 0.08, 0.28, 0.33))
    _stages(axes, source, names)
    return figure


def draw_run(source: Source) -> Figure:
    """One run beside the champion."""
    name = source.newest
    one = {"run": name}
    figure = _figure(f"Run detail: {name}", 11, 8.6)
    for place, title, expr, per_cent in (
        ((0.06, 0.62, 0.42, 0.29), "Loss, train and validation", run.LOSS_CURVES, False),
        ((0.56, 0.62, 0.42, 0.29), "Accuracy, train and validation", run.ACCURACY_CURVES, True),
    ):
        axes = figure.add_axes(place)
        _curves(axes, source.rows(expr, **one), "series", {})
        _finish(axes, title, per_cent=per_cent)
    confusion = source.rows(run.CONFUSION, **one)
    heat = figure.add_axes((0.10, 0.11, 0.40, 0.43))
    _heat(heat, "Confusion matrix", confusion, "true_class", "predicted_class", "{:.0f}", "YlGnBu")
    verdicts = {labels["check"]: labels["verdict"] for labels, _ in source.rows(run.VERDICT, **one)}
    figures = [source.by("check", expr, **one) for expr in (run.CHECK_VALUE, run.CHECK_THRESHOLD)]
    cells = [
        [check, verdict, *(f"{each[check]:.4f}" if check in each else "–" for each in figures)]
        for check, verdict in sorted(verdicts.items())
    ]
    axes = figure.add_axes((0.55, 0.27, 0.43, 0.27))
    _table(axes, "Gate checks", ["Check", "Verdict", "Value", "Threshold"], cells)
    seconds, memory = (source.by("stage", expr, **one) for expr in (run.STAGE_SECONDS, run.STAGE_MEMORY))
    started = source.by("stage", run.STAGE_STARTED, **one)
    cells = [
        [stage, f"{seconds.get(stage, 0):.1f} s", f"{memory.get(stage, 0) / 2**20:.0f} MiB"]
        for stage in sorted(started, key=lambda stage: started[stage])
    ]
    _table(figure.add_axes((0.55, 0.03, 0.43, 0.2)), "Stages", ["Stage", "Duration", "Peak memory"], cells)
    return figure


def draw_pipeline(source: Source) -> Figure:
    """When which stage ran, and how long it took beside what is usual."""
    figure = _figure("Pipeline health", 9.5, 5)
    axes = figure.add_axes((0.09, 0.50, 0.89, 0.36))
    changes = sorted(
        (float(labels["at"]) / 1_000, labels["stage"], on) for labels, on in source.rows(pipeline.STAGE_CHANGES)
    )
    order = ["publish", "decide", "test", "train", "ingest"]
    begun: dict[str, float] = {}
    for at, stage, on in changes:
        if on:
            begun[stage] = at
        elif stage in begun:
            start = begun.pop(stage)
            axes.barh(order.index(stage), _at(at) - _at(start), left=_at(start), color="#3274d9", height=0.6)
    axes.set_yticks(range(len(order)), order)
    axes.xaxis_date()
    _finish(axes, "Stages of the runs", legend=False)
    columns = [
        source.by("stage", expr)
        for expr in (pipeline.STAGE_NOW, pipeline.STAGE_USUAL, pipeline.STAGE_SLOW, pipeline.STAGE_RATIO)
    ]
    cells = [
        [stage, *(f"{each.get(stage, float('nan')):.1f} s" for each in columns[:3]), f"{columns[3].get(stage, 0):.2f}"]
        for stage in sorted(columns[0], key=lambda stage: -columns[0][stage])
    ]
    titles = ["Stage", "Newest run", "Median", "95th percentile", "Newest ÷ median"]
    _table(figure.add_axes((0.02, 0.03, 0.96, 0.3)), "Stages against their baseline", titles, cells)
    return figure


# --- Drawing ----------------------------------------------------------------------------------------------------------
def _figure(title: str, width: float, height: float) -> Figure:
    figure = plt.figure(figsize=(width, height), facecolor="white")
    figure.text(0.02, 1 - 0.25 / height, f"Catwalk: {title}", fontsize=12, weight="bold", va="center")
    figure.text(0.98, 1 - 0.25 / height, LABEL, fontsize=7, color="#a05000", ha="right", va="center")
    return figure


def _curves(axes: Axes, rows: Rows, series: str, colors: dict[str, str]) -> None:
    names = sorted({labels[series] for labels, _ in rows})
    bases = sorted({name.split()[0] for name in names})
    for name in names:
        points = sorted((int(labels["epoch"]), value) for labels, value in rows if labels[series] == name)
        color = colors.get(name, f"C{bases.index(name.split()[0])}")
        axes.plot(*zip(*points, strict=True), "--" if name.endswith(" train") else "-", label=name, color=color)
    axes.set_xlabel("epoch", fontsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _heat(axes: Axes, title: str, rows: Rows, row: str, column: str, text: str, colors: str) -> None:
    across, down = (sorted({labels[name] for labels, _ in rows}) for name in (column, row))
    values = {(labels[row], labels[column]): value for labels, value in rows}
    grid = [[values.get((each, other), float("nan")) for other in across] for each in down]
    axes.imshow(grid, cmap=colors, aspect="auto")
    middle = (max(map(max, grid)) + min(map(min, grid))) / 2
    for y, line in enumerate(grid):
        for x, value in enumerate(line):
            axes.text(
                x,
                y,
                text.format(value),
                ha="center",
                va="center",
                fontsize=6,
                color="white" if value > middle else "black",
            )
    axes.set_xticks(range(len(across)), across, rotation=45, ha="right", fontsize=6)
    axes.set_yticks(range(len(down)), down, fontsize=6)
    axes.set_title(title, fontsize=9, loc="left")


def _stages(axes: Axes, source: Source, names: Sequence[str]) -> None:
    rows = source.rows(runs.STAGES)
    left = dict.fromkeys(names, 0.0)
    for stage in sorted({labels["stage"] for labels, _ in rows}):
        values = {labels["run_id"]: value for labels, value in rows if labels["stage"] == stage}
        widths = [values.get(name, 0.0) for name in names]
        axes.barh(range(len(names)), widths, left=list(left.values()), label=stage, height=0.6)
        left = {name: left[name] + width for name, width in zip(names, widths, strict=True)}
    axes.set_yticks(range(len(names)), [name[-8:] for name in names])
    axes.set_xlabel("seconds", fontsize=7)
    _finish(axes, "Duration")


def _table(axes: Axes, title: str, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    axes.axis("off")
    axes.set_title(title, fontsize=9, loc="left")
    if not cells:
        axes.text(0, 0.8, "nothing yet", fontsize=8)
        return
    drawn = axes.table(
        cellText=list(cells), colLabels=list(columns), loc="upper left", cellLoc="left", edges="horizontal"
    )
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(7.5)
    drawn.auto_set_column_width(list(range(len(columns))))


def _finish(axes: Axes, title: str, *, per_cent: bool = False, legend: bool = True) -> None:
    axes.set_title(title, fontsize=9, loc="left")
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25)
    if per_cent:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=6)


def _frame(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color("#cccccc")


def _at(seconds: float) -> float:
    """Unix time → matplotlib's days."""
    return seconds / _DAY  # its epoch is Unix time's


def _one(rows: Rows, text: str) -> str:
    return text.format(rows[0][1]) if rows else "none"


def _label(rows: Rows, name: str) -> str:
    return rows[0][0].get(name, "") if rows else ""


def _words(meanings: dict[str, tuple[str, str]], rows: Rows) -> tuple[str, str]:
    return meanings[f"{rows[0][1]:.0f}"] if rows else ("no data", "text")


def _age(rows: Rows) -> str:
    if not rows:
        return "none"
    seconds = rows[0][1]
    unit, size = next((each for each in (("d", _DAY), ("h", 3_600), ("min", 60)) if seconds >= each[1]), ("s", 1))
    return f"{seconds / size:.0f} {unit} ago"


DRAWN: dict[str, Any] = {"home": draw_home, "runs": draw_runs, "run": draw_run, "pipeline": draw_pipeline}


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m grafana.previews", description=__doc__)
    default = os.environ.get("CATWALK_PROMETHEUS_URL", "http://127.0.0.1:9090")
    parser.add_argument("--prometheus", default=default, help="its address (default: %(default)s)")
    parser.add_argument("--model", default="", help="which model; default: the first")
    parser.add_argument("--runs", type=int, default=4, help="how many runs to compare (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder (default: grafana/previews)")
    chosen = parser.parse_args()
    try:
        source = find(chosen.prometheus, chosen.model, chosen.runs)
        chosen.out.mkdir(parents=True, exist_ok=True)
        for name, draw in DRAWN.items():
            path = chosen.out / f"{name}.png"
            draw(source).savefig(path, dpi=90)
            print(f"wrote {path}")
    except (LookupError, QueryError, OSError) as error:
        print(f"previews: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

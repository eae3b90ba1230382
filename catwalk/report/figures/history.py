"""Figures of this run beside earlier ones."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from catwalk.ledger.records.run import STAGES, Stage
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.records.values import is_finite
from catwalk.problems.interface import Metric
from catwalk.problems.intervals import wilson
from catwalk.report.facts import Facts, MissingError
from catwalk.report.figures import style

_COMPARED = 20
"""The most earlier runs whose durations are shown."""
_SHORTEST = 0.001
"""Seconds; a logarithmic axis has no 0."""
_STAGE_ROW = 0.393
"""The height of a stage's row, in inches."""
_DOTS_ONLY = 60
"""With more runs, intervals are drawn thin and without caps."""
_SPREAD = 0.06
"""Accuracy this far below the median is shown at the edge, because one failed recipe would flatten all others."""
_SPREADS = 3
"""The same distance for any other metric, as a multiple of its interquartile range."""


@dataclass(frozen=True)
class _Tested:
    """The tested runs of one model, oldest first."""

    runs: Sequence[SummaryRecord]
    metric: Metric
    examples: int
    """How many examples a test has; 0 if unknown, so that no interval is drawn."""

    @property
    def scores(self) -> list[float]:
        return [summary.scores[self.metric.name] for summary in self.runs]

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """The interval of each score; without examples, only the score."""
        n = self.examples
        return [wilson(round(score * n), n) if n else (score, score) for score in self.scores]

    @property
    def place(self) -> dict[str, int]:
        """The position of each run id, from 1."""
        return {summary.run_id: number for number, summary in enumerate(self.runs, 1)}

    def of(self, run_id: str) -> float:
        """Returns a run's score."""
        return self.scores[self.place[run_id] - 1]

    @cached_property
    def heights(self) -> tuple[float, float, float]:
        """The axis' lower end, its upper end below the legend, and the space between them and the outermost points."""
        middle, spread = statistics.median(self.scores), self._spread
        falls = self.metric.goal == "minimize"
        low = min((one for one, _ in self.bounds if falls or one > middle - spread), default=min(self.scores))
        high = max((one for _, one in self.bounds if not falls or one < middle + spread), default=max(self.scores))
        pad = max(0.002 if self.metric.name == "accuracy" else 0.02 * abs(middle) or 1e-9, 0.08 * (high - low))
        return low - pad, high + pad, pad

    @property
    def _spread(self) -> float:
        if self.metric.name == "accuracy":
            return _SPREAD
        first, _, third = statistics.quantiles(self.scores, n=4) if len(self.scores) > 3 else (0.0, 0.0, math.inf)
        return _SPREADS * (third - first) or math.inf

    def at_edge(self, score: float) -> float:
        """Returns where a score is drawn: at its value, or at the axis' edge if it is too far out."""
        bottom, top, pad = self.heights
        return min(max(score, bottom + 0.3 * pad), top - 0.3 * pad)

    @property
    def beyond(self) -> list[float]:
        """The scores that are drawn at the edge."""
        bottom, top, _ = self.heights
        return [score for score in self.scores if not bottom <= score <= top]


def headline_over_runs(facts: Facts) -> style.Drawing:
    """Draws the headline metric of every tested run of this model, with promotions and the champion marked."""
    metric = facts.problem.metrics[0]
    runs = [summary for summary in facts.past if is_finite(summary.scores.get(metric.name))]
    if not runs:
        raise MissingError(f"No run of {facts.record.model} has a test {metric.title}.")
    examples = facts.evaluation.value.examples if facts.evaluation.value and metric.name == "accuracy" else 0
    tested = _Tested(runs, metric, examples)
    champion = facts.in_service.run_id if facts.in_service else ""
    promoted = _promotions(facts, tested.place)
    figure = style.new_figure(3.0)
    axes = style.add_axes(figure, 0.6, 0.42, 3.42, 2.3)
    _draw_scores(axes, tested)
    _draw_promotions(axes, tested, promoted)
    _mark_runs(axes, tested, champion, facts.run_id)
    _frame(axes, tested)
    return style.Drawing(
        figure,
        f"Test {metric.title} of all runs of {facts.record.model}",
        _alt(facts, tested, len(promoted), champion),
        _note(facts, tested),
    )


def _draw_scores(axes: Axes, tested: _Tested) -> None:
    """Draws each score with its interval; scores beyond the axis are at its edge."""
    scores, bounds = tested.scores, tested.bounds
    beyond = [(number, score) for number, score in enumerate(scores, 1) if score in tested.beyond]
    inside = [(number, score) for number, score in enumerate(scores, 1) if score not in tested.beyond]
    many = len(scores) > _DOTS_ONLY
    axes.errorbar(
        [number for number, _ in inside],
        [score for _, score in inside],
        yerr=[
            [max(0.0, score - bounds[number - 1][0]) for number, score in inside],
            [max(0.0, bounds[number - 1][1] - score) for number, score in inside],
        ],
        linestyle="none",
        marker="o",
        markersize=2.2 if many else 3.6,
        color=style.QUIET,
        elinewidth=0.5 if many else 1,
        capsize=0 if many or not tested.examples else 2,
        label="tested run",
    )
    if beyond:
        falls = tested.metric.goal == "minimize"
        edge = [tested.at_edge(score) for _, score in beyond]
        look: dict[str, Any] = {"color": style.QUIET, "markersize": 4.5}
        name = "above the axis" if falls else "below the axis"
        axes.plot([number for number, _ in beyond], edge, "^" if falls else "v", label=name, **look)


def _draw_promotions(axes: Axes, tested: _Tested, promoted: Sequence[int]) -> None:
    if not promoted:
        return
    scores = tested.scores
    numbers, values = _in_service(promoted, scores)
    axes.step(numbers, values, where="post", color=style.GOOD, linewidth=1.2, label="in service", zorder=1.5)
    heights = [scores[number - 1] for number in promoted]
    axes.plot(promoted, heights, linestyle="none", marker="^", markersize=6.5, color=style.GOOD, label="promoted")


def _mark_runs(axes: Axes, tested: _Tested, champion: str, own: str) -> None:
    """Draws a star for the champion, and a ring for this run."""
    if champion in tested.place:
        axes.plot(
            [tested.place[champion]],
            [tested.of(champion)],
            linestyle="none",
            marker="*",
            markersize=12,
            markerfacecolor=style.STAR,
            markeredgecolor=style.INK,
            markeredgewidth=0.7,
            label="champion",
            zorder=5,
        )
    if own in tested.place:
        axes.plot(
            [tested.place[own]],
            [tested.at_edge(tested.of(own))],
            linestyle="none",
            marker="o",
            markersize=10,
            markerfacecolor="none",
            markeredgecolor=style.run_style(own).colour,
            markeredgewidth=1.8,
            label="this run",
            zorder=6,
        )


def _frame(axes: Axes, tested: _Tested) -> None:
    """Sets the axes, and the legend above the points."""
    count = len(tested.runs)
    axes.set_xlim(0.5, count + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=min(5, count), integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _day(tested.runs, value)))
    axes.grid(visible=False, axis="x")
    metric = tested.metric
    if metric.unit == "ratio":
        style.percent_axis(axes.yaxis)
    name = f"test {metric.title}" + ("" if metric.unit in ("ratio", "") else f" in {metric.unit}")
    hint = ", lower is better" if metric.goal == "minimize" else ", 95 % interval" if tested.examples else ""
    style.label(axes, "tested runs by start time (UTC)", name + hint)
    bottom, top, pad = tested.heights
    handles = len(axes.get_legend_handles_labels()[0])
    axes.set_ylim(bottom, top + (top - pad - bottom) * 0.16 * -(-handles // 3))
    style.legend(axes, "upper left", columns=3)


def _alt(facts: Facts, tested: _Tested, promotions: int, champion: str) -> str:
    scores = tested.scores
    metric, text = tested.metric, tested.metric.text
    alt = (
        f"Test {metric.title} of {len(scores)} runs of {facts.record.model}, from {text(min(scores))} to "
        f"{text(max(scores))}, median {text(statistics.median(scores))}."
    )
    if facts.run_id in tested.place:
        own = tested.of(facts.run_id)
        alt += f" This run has {text(own)}, rank {1 + sum(metric.gain(score - own) > 0 for score in scores)}."
    alt += f" {promotions} promotions are marked." if promotions else " None of them was promoted."
    if champion in tested.place:
        alt += f" The champion {champion} has {text(tested.of(champion))}."
    return alt


def _note(facts: Facts, tested: _Tested) -> str:
    beyond, text = tested.beyond, tested.metric.text
    far = (
        f"{len(beyond)} far above the others, up to {text(max(beyond))}"
        if beyond and tested.metric.goal == "minimize"
        else f"{len(beyond)} far below the others, down to {text(min(beyond))}"
        if beyond
        else ""
    )
    return style.sentences(
        f"The newest {len(facts.past)} runs; {facts.older:,} older runs are left out." if facts.older else "",
        f"{far}, shown at the edge." if far else "",
    )


def _promotions(facts: Facts, place: dict[str, int]) -> list[int]:
    """Returns the positions of the runs that were ever promoted, ascending."""
    history = facts.in_service.history if facts.in_service else []
    return sorted({place[change.run_id] for change in history if change.run_id in place and not change.rollback})


def _in_service(promoted: Sequence[int], scores: Sequence[float]) -> tuple[list[float], list[float]]:
    """Returns the score in service as a step line that continues to the newest run."""
    numbers = [*promoted, len(scores) + 0.5]
    values = [scores[number - 1] for number in promoted]
    return [float(number) for number in numbers], [*values, values[-1]]


def _day(tested: Sequence[SummaryRecord], value: float) -> str:
    number = round(value)
    if abs(value - number) > 0.01 or not 1 <= number <= len(tested):
        return ""
    first, last = (datetime.fromtimestamp(tested[index].started, UTC) for index in (0, -1))
    form = "%H:%M" if first.date() == last.date() else "%b %d" if (last - first).days < 300 else "%Y-%m"
    return datetime.fromtimestamp(tested[number - 1].started, UTC).strftime(form)


def _stage_seconds(summary: SummaryRecord, stage: Stage) -> float | None:
    return summary.stages[stage].seconds if stage in summary.stages else None


def stage_durations(facts: Facts) -> style.Drawing:
    """Draws the duration of each stage, beside those of earlier runs."""
    stages = [stage for stage in STAGES if stage in facts.summary.stages] if facts.logs else list(STAGES)
    own = {stage: _stage_seconds(facts.summary, stage) for stage in stages}
    if not any(value is not None for value in own.values()):
        raise MissingError("No stage of this run has ended.")
    earlier = [one for one in facts.past if one.run_id != facts.run_id and one.started < facts.summary.started]
    before = earlier[-_COMPARED:]
    height = _STAGE_ROW * (len(stages) + 0.85)
    figure = style.new_figure(height + 0.7)
    axes = style.add_axes(figure, 0.72, 0.42, 2.78, height)
    durations: list[str] = []
    for row, stage in enumerate(stages):
        others = [seconds for summary in before if is_finite(seconds := _stage_seconds(summary, stage))]
        middle = _draw_others(axes, row, others, len(before))
        seconds = own[stage]
        _draw_own(axes, row, seconds, style.run_style(facts.run_id).colour)
        if seconds is not None:
            durations.append(f"{stage} {seconds:.1f} s" + (f" (earlier median {middle:.1f} s)" if others else ""))
    _frame_stages(axes, stages)
    unknown = "publish builds this page, so its own duration is not known yet."
    note = style.sentences(
        unknown if "publish" in own and own["publish"] is None else "",
        "" if before else "There is no earlier run to compare with.",
    )
    return style.Drawing(figure, "Stage durations", "Duration of each stage: " + ", ".join(durations) + ".", note)


def _draw_others(axes: Axes, row: int, others: Sequence[float], runs: int) -> float:
    """Draws one stage of earlier runs, a stroke for each run, and their median, which it returns."""
    if not others:
        return 0.0
    seconds = [max(one, _SHORTEST) for one in others]
    middle = statistics.median(seconds)
    label = _once(axes, f"{runs} earlier runs" if runs > 1 else "the earlier run")
    heights = [row + 0.17] * len(seconds)
    axes.plot(seconds, heights, "|", color=style.QUIET, markersize=9, alpha=0.55, label=label)
    axes.plot(
        [middle],
        [row + 0.17],
        "D",
        color=style.QUIET,
        markersize=4.5,
        markerfacecolor=style.PAPER,
        label=_once(axes, "their median"),
    )
    return middle


def _draw_own(axes: Axes, row: int, seconds: float | None, colour: str) -> None:
    """Draws one stage of this run: a point, and its duration as text on the right."""
    if seconds is not None:
        place = [max(seconds, _SHORTEST)], [row - 0.17]
        axes.plot(*place, "o", color=colour, markersize=6.5, label=_once(axes, "this run"), zorder=4)
    axes.text(
        1.03,
        row,
        "not ended" if seconds is None else _seconds(seconds),
        transform=axes.get_yaxis_transform(),
        color=style.QUIET if seconds is None else style.INK,
        fontsize=style.SMALL,
        va="center",
    )


def _once(axes: Axes, label: str) -> str | None:
    """Returns a label for the legend, or None if the legend already has it."""
    return None if label in axes.get_legend_handles_labels()[1] else label


def _frame_stages(axes: Axes, stages: Sequence[Stage]) -> None:
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    if high / low < 100:  # a narrow range would have no labelled tick
        axes.set_xlim(low / 3, high * 3)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.minorticks_off()
    axes.set_yticks(range(len(stages)), stages)
    axes.tick_params(axis="y", labelcolor=style.INK)
    axes.set_ylim(len(stages) - 0.5, -1.35)
    axes.grid(visible=False, axis="y")
    style.label(axes, "seconds, logarithmic; last attempt of each stage")
    style.legend(axes, "upper left", columns=3)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 60:.1f} min"

"""This run among those before it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import UTC, datetime

from matplotlib.ticker import FuncFormatter, MaxNLocator

from catwalk.ledger.records import STAGES, Stage, SummaryRecord, is_finite
from catwalk.report.facts import Facts, MissingError
from catwalk.report.figures import style
from catwalk.report.statistics import wilson

_COMPARED = 20
"""Runs before this one whose durations are shown."""
_SHORTEST = 0.001
"""Seconds; a logarithmic axis has no 0."""
_DOTS_ONLY = 60
"""From so many runs on, intervals are drawn thin and without caps."""
_SPREAD = 0.06
"""Accuracy this far below the median is shown at the edge, or one failed recipe would flatten all others."""


def accuracy_over_runs(facts: Facts) -> style.Drawing:
    """Test accuracy of every tested run of this model with its interval; promotions and the champion marked."""
    tested = [summary for summary in facts.past if is_finite(summary.test_accuracy)]
    if not tested:
        raise MissingError(f"No run of {facts.record.model} has been tested yet.")
    examples = facts.evaluation.value.examples if facts.evaluation.value else 0
    scores = [summary.test_accuracy or 0.0 for summary in tested]
    bounds = [wilson(round(score * examples), examples) if examples else (score, score) for score in scores]
    place = {summary.run_id: number for number, summary in enumerate(tested, 1)}
    middle = statistics.median(scores)
    floor = min((low for low, _ in bounds if low > middle - _SPREAD), default=min(scores))
    ceiling = max(high for _, high in bounds)
    pad = max(0.002, 0.08 * (ceiling - floor))
    bottom = floor - pad
    figure = style.new_figure(3.0)
    axes = style.add_axes(figure, 0.6, 0.42, 3.42, 2.3)
    inside = [(number, score) for number, score in enumerate(scores, 1) if score >= bottom]
    below = [number for number, score in enumerate(scores, 1) if score < bottom]
    many = len(tested) > _DOTS_ONLY
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
        capsize=0 if many or not examples else 2,
        label="tested run",
    )
    if below:
        axes.plot(
            below, [bottom + 0.3 * pad] * len(below), "v", color=style.QUIET, markersize=4.5, label="below the axis"
        )
    promoted = _promotions(facts, place)
    if promoted:
        numbers, values = _in_service(promoted, scores)
        axes.step(numbers, values, where="post", color=style.GOOD, linewidth=1.2, label="in service", zorder=1.5)
        axes.plot(
            promoted,
            [scores[number - 1] for number in promoted],
            linestyle="none",
            marker="^",
            markersize=6.5,
            color=style.GOOD,
            label="promoted",
        )
    champion = facts.in_service.run_id if facts.in_service else ""
    if champion in place:
        axes.plot(
            [place[champion]],
            [scores[place[champion] - 1]],
            linestyle="none",
            marker="*",
            markersize=12,
            markerfacecolor=style.STAR,
            markeredgecolor=style.INK,
            markeredgewidth=0.7,
            label="champion",
            zorder=5,
        )
    if facts.run_id in place:
        axes.plot(
            [place[facts.run_id]],
            [max(scores[place[facts.run_id] - 1], bottom + 0.3 * pad)],
            linestyle="none",
            marker="o",
            markersize=10,
            markerfacecolor="none",
            markeredgecolor=style.run_style(facts.run_id).colour,
            markeredgewidth=1.8,
            label="this run",
            zorder=6,
        )
    axes.set_ylim(bottom, ceiling + pad)
    axes.set_xlim(0.5, len(tested) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=min(5, len(tested)), integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _day(tested, value)))
    axes.grid(visible=False, axis="x")
    style.percent_axis(axes.yaxis)
    style.label(
        axes,
        "tested runs in order of time, by their start (UTC)",
        "test accuracy" + (", 95 % interval" if examples else ""),
    )
    handles = len(axes.get_legend_handles_labels()[0])
    axes.set_ylim(bottom, ceiling + pad + (ceiling - bottom) * 0.16 * -(-handles // 3))
    style.legend(axes, "upper left", columns=3)
    alt = (
        f"Test accuracy of {len(tested)} runs of {facts.record.model}, from {min(scores):.2%} to {max(scores):.2%}, "
        f"median {middle:.2%}."
    )
    if facts.run_id in place:
        own = scores[place[facts.run_id] - 1]
        rank = 1 + sum(score > own for score in scores)
        alt += f" This run has {own:.2%}, rank {rank}."
    alt += f" {len(promoted)} promotions are marked." if promoted else " No promotion is among them."
    if champion in place:
        alt += f" The champion {champion} has {scores[place[champion] - 1]:.2%}."
    note = f"The newest {len(facts.past)} runs; {facts.older:,} older ones are left out." if facts.older else ""
    if below:
        note = f"{note} {len(below)} far below the others, at {min(scores):.1%} or more, shown at the edge.".strip()
    return style.Drawing(figure, f"Test accuracy of all runs of {facts.record.model}", alt, note)


def _promotions(facts: Facts, place: dict[str, int]) -> list[int]:
    """Positions of the runs that were ever put into service, ascending."""
    history = facts.in_service.history if facts.in_service else []
    return sorted({place[change.run_id] for change in history if change.run_id in place and not change.rollback})


def _in_service(promoted: Sequence[int], scores: Sequence[float]) -> tuple[list[float], list[float]]:
    """The accuracy in service as a step line that goes on to the newest run."""
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
    """Seconds that each stage took, beside the runs before this one."""
    own = {stage: _stage_seconds(facts.summary, stage) for stage in STAGES}
    if not any(value is not None for value in own.values()):
        raise MissingError("No stage of this run has ended.")
    before = [
        summary for summary in facts.past if summary.run_id != facts.run_id and summary.started < facts.summary.started
    ][-_COMPARED:]
    figure = style.new_figure(3.0)
    axes = style.add_axes(figure, 0.72, 0.42, 2.78, 2.3)
    look = style.run_style(facts.run_id)
    told: list[str] = []
    others_labelled = False
    for row, stage in enumerate(STAGES):
        others = [seconds for summary in before if is_finite(seconds := _stage_seconds(summary, stage))]
        others = [max(seconds, _SHORTEST) for seconds in others]
        middle = statistics.median(others) if others else 0.0
        if others:
            axes.plot(
                others,
                [row + 0.17] * len(others),
                "|",
                color=style.QUIET,
                markersize=9,
                alpha=0.55,
                label=None
                if others_labelled
                else f"the {len(before)} runs before"
                if len(before) > 1
                else "the run before",
            )
            axes.plot(
                [middle],
                [row + 0.17],
                "D",
                color=style.QUIET,
                markersize=4.5,
                markerfacecolor=style.PAPER,
                label=None if others_labelled else "their median",
            )
            others_labelled = True
        seconds = own[stage]
        if seconds is not None:
            axes.plot(
                [max(seconds, _SHORTEST)],
                [row - 0.17],
                "o",
                color=look.colour,
                markersize=6.5,
                label="this run" if not told else None,
                zorder=4,
            )
            told.append(f"{stage} {seconds:.1f} s" + (f" (median before {middle:.1f} s)" if others else ""))
        axes.text(
            1.03,
            row,
            "not ended" if seconds is None else _seconds(seconds),
            transform=axes.get_yaxis_transform(),
            color=style.QUIET if seconds is None else style.INK,
            fontsize=style.SMALL,
            va="center",
        )
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    if high / low < 100:  # a narrow range would have no labelled tick
        axes.set_xlim(low / 3, high * 3)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.minorticks_off()
    axes.set_yticks(range(len(STAGES)), STAGES)
    axes.tick_params(axis="y", labelcolor=style.INK)
    axes.set_ylim(len(STAGES) - 0.5, -1.35)
    axes.grid(visible=False, axis="y")
    style.label(axes, "seconds, logarithmic; last attempt of each stage")
    style.legend(axes, "upper left", columns=3)
    alt = "Duration of each stage: " + ", ".join(told) + "."
    note = "" if before else "There is no run before this one to compare with."
    if own["publish"] is None:
        note = f"publish builds this page, so its own duration is not known yet. {note}".strip()
    return style.Drawing(figure, "Stage durations", alt, note)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 60:.1f} min"

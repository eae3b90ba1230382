"""The results of a run's test: its metrics beside the champion's, and the slices of its examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from catwalk.ledger.records.evaluation import EvaluationRecord, SliceRecord
from catwalk.ledger.records.values import is_finite
from catwalk.problems import measured
from catwalk.problems.interface import Metric
from catwalk.problems.intervals import half_width, wilson
from catwalk.problems.slices import SliceDifference, regressions
from catwalk.report.facts import Facts
from catwalk.report.figures.names import FEW
from catwalk.web.markup import Content, Html, card, element, joined, table

_KEY_METRICS = 4
_LEVEL = 0.05
"""The significance level of a worse slice, if the decision doesn't give one."""


def sections(facts: Facts) -> Iterator[tuple[str, Callable[[], Html]]]:
    """Yields the title and table of each section that the run has."""
    evaluation = facts.evaluation.value
    if evaluation is None:
        return
    yield "Metrics", lambda: _metrics(facts, evaluation)
    if evaluation.slices:
        yield "Slices", lambda: _slices(facts, evaluation)


def key_figures(facts: Facts, evaluation: EvaluationRecord) -> Iterator[tuple[str, Content]]:
    """Yields the names and values of the most important metrics: the headline first, with its interval."""
    found = [(metric, value) for metric, value in measured(facts.problem, evaluation.scores) if is_finite(value)]
    for number, (metric, value) in enumerate(found[:_KEY_METRICS]):
        yield f"test {metric.title}", metric.text(value)
        if number == 0 and (interval := _interval(facts, evaluation, metric, value)):
            yield "95 % interval", interval


def _interval(facts: Facts, evaluation: EvaluationRecord, metric: Metric, value: float) -> str:
    """Returns the headline's interval: Wilson's for an accuracy; for any other, the mean loss and its
    standard error.
    """
    if metric.name == "accuracy":
        low, high = wilson(round(value * evaluation.examples), evaluation.examples)
        return f"{100 * low:.1f}–{high:.1%}"
    loss = facts.answers.value.loss if facts.answers.value else None
    if loss is None or len(loss) < 2:
        return ""
    half = half_width(loss)
    if metric.unit == "ratio":
        return f"{100 * (value - half):.1f}–{value + half:.1%}"
    return f"{value - half:.4g}–{value + half:.4g}"


def _metrics(facts: Facts, evaluation: EvaluationRecord) -> Html:
    before = facts.champion_evaluation.value
    theirs = before.scores if before else {}
    header: list[Content] = ["metric", "this run", *(["champion", "change"] if theirs else []), "what it is"]
    css = ["", "n", *(["n", "n"] if theirs else []), "quiet roomy"]
    rows: list[list[Content]] = []
    for metric, value in measured(facts.problem, evaluation.scores):
        other = theirs.get(metric.name)
        beside = ["–", "–"] if other is None else [metric.text(other), metric.change(value - other)]
        name = joined(metric.title, Html("<br>"), element("span", metric.better, "quiet"))
        rows.append([name, metric.text(value), *(beside if theirs else []), metric.help])
    note = f"Over {evaluation.examples:,} test examples."
    if theirs:
        note += f" The champion {facts.champion_id} has these values from its own test."
    return card(element("h3", "Metrics"), table(header, rows, css), element("p", note, "quiet"))


def _slices(facts: Facts, evaluation: EvaluationRecord) -> Html:
    """Returns the headline of each slice and, beside a champion, whether it got worse."""
    metric, against, level = facts.problem.metrics[0], _against(facts), _level(facts)
    scores = {(name, value): score for name, values in evaluation.slices.items() for value, score in values.items()}
    shown = _chosen(scores, against, metric)
    header: list[Content] = ["slice", "examples", metric.title]
    header += ["against the champion", "p", "verdict"] if against else []
    rows: list[list[Content]] = []
    for name, value in shown:
        score = scores[name, value]
        score_text = "–" if score.metric is None else metric.text(score.metric)
        row: list[Content] = [f"{name} {value}", f"{score.examples:,}", score_text]
        rows.append([*row, *(_beside(against.get((name, value)), level) if against else [])])
    table_of = table(header, rows, ["name", "n", "n", "n", "n", "nowrap"][: len(header)])
    return card(
        element("h3", "Slices"), table_of, element("p", _note(facts, len(shown), len(scores), against), "quiet")
    )


def _against(facts: Facts) -> dict[tuple[str, str], SliceDifference]:
    """Returns the difference from the champion for each slice and value, with p corrected for all that the gate
    examined.
    """
    common = facts.common.value
    if common is None:
        return {}
    labels = common.ours.labels
    slices = {**common.ours.slices, **facts.problem.slices(labels)}
    found = regressions(facts.problem, labels, common.ours.loss, common.theirs.loss, slices)
    return {(difference.slice, difference.value): difference for difference in found}


def _level(facts: Facts) -> float:
    checks = facts.decision.value.checks if facts.decision.value else []
    levels = (check.threshold for check in checks if check.check == "slice_regression")
    return next((level for level in levels if level is not None), _LEVEL)


def _chosen(
    scores: Mapping[tuple[str, str], SliceRecord], against: Mapping[tuple[str, str], SliceDifference], metric: Metric
) -> list[tuple[str, str]]:
    """Returns all slices in their order if they are few, otherwise those that got worse most clearly, or are worst."""
    if len(scores) <= FEW:
        return list(scores)

    def order(key: tuple[str, str]) -> float:
        if against:
            return against[key].p if key in against else math.inf
        value = scores[key].metric
        return math.inf if value is None else metric.gain(value)

    return sorted(scores, key=order)[:FEW]


def _beside(difference: SliceDifference | None, level: float) -> list[Content]:
    if difference is None:
        return ["–", "–", element("span", "too few examples", "quiet")]
    worse = difference.p < level
    verdict = element("b", "✗ worse", "bad") if worse else element("span", "✓ not worse", "good")
    statistic = difference.statistic
    return [statistic.text(statistic.difference), f"{difference.p:.2g}", verdict]


def _note(facts: Facts, shown: int, count: int, against: Mapping[tuple[str, str], SliceDifference]) -> str:
    which = "that got worse most clearly" if against else "with the worst values"
    few = f"The {shown} slices {which}, of {count}." if shown < count else ""
    if not against:
        small = "No slice has enough examples for a comparison with the champion." if facts.common.value else ""
        return " ".join(filter(None, (few, small, facts.common.why)))
    tested = (
        f"Each slice is compared with the champion on the examples that both were tested on. Worse: one-sided "
        f"p below {_level(facts):g}, Holm-corrected over all {len(against)} slices examined."
    )
    return " ".join(filter(None, (few, tested)))

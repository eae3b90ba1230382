"""The gate's checks as a table, each value in its own unit."""

from __future__ import annotations

from catwalk.ledger.records.decision import CheckRecord, DecisionRecord
from catwalk.problems.interface import Metric, Problem
from catwalk.web.markup import Content, Html, card, element, table

_VERDICTS = {"passed": ("✓", "good"), "failed": ("✗", "bad"), "inconclusive": ("?", ""), "skipped": ("–", "quiet")}
_NAMES = {
    "accuracy_floor": "accuracy floor",
    "recall_floor": "recall floor",
    "model_bytes": "size of the weights",
    "inference_seconds": "speed",
    "better": "better than the champion",
    "class_regression": "no class worse",
    "slice_regression": "no slice worse",
    "newer_data": "newer data",
    "test_set_size": "test set is large enough",
    "not_inferior_champion": "not inferior to the champion",
    "not_inferior_anchor": "not inferior to the anchor",
    "anchor_fresh": "anchor is not stale",
    "serves": "serves what was tested",
}
_DIFFERENCES = ("better", "not_inferior_champion", "not_inferior_anchor")
"""Checks whose value is a difference of the headline metric, positive if the challenger is better. A check that has
another metric's name after one of these is about that metric.
"""


def decision_table(decision: DecisionRecord, problem: Problem) -> Html:
    """Returns a table with one check per line."""
    rows: list[list[Content]] = [
        [
            _name(check.check, problem),
            _badge(check),
            _value(check, check.value, problem),
            _limit(check, problem),
            _interval(check, problem),
            check.sentence,
        ]
        for check in decision.checks
    ]
    header = ["check", "verdict", "value", "limit", "interval", "in words"]
    return card(table(header, rows, ["", "nowrap", "n roomy", "n roomy", "n roomy", "words"], stacked=True))


def _name(check: str, problem: Problem) -> str:
    if check in _NAMES:
        return _NAMES[check]
    metric = _difference_of(check, problem)
    if metric is None:
        return check.replace("_", " ")
    return f"not inferior to the {check.split('_')[2]}, {metric.title}"


def _badge(check: CheckRecord) -> Html:
    sign, css = _VERDICTS.get(check.verdict, ("", ""))
    return element("b", f"{sign} {check.verdict}", css)


def _difference_of(check: str, problem: Problem) -> Metric | None:
    """Returns the metric of a check whose value is a difference, otherwise None."""
    if check in _DIFFERENCES:
        return problem.metrics[0]
    if not check.startswith(_DIFFERENCES[1:]):
        return None
    return next((metric for metric in problem.metrics if check.endswith(f"_{metric.name}")), None)


def _value(check: CheckRecord, value: float | None, problem: Problem) -> str:
    if value is None:
        return "–"
    difference = _difference_of(check.check, problem)
    if difference:
        return difference.change(value)
    if check.check in ("class_regression", "slice_regression"):
        return f"p = {value:.2g}"
    if check.check == "model_bytes":
        return f"{value:,.0f} bytes"
    if check.check in ("inference_seconds", "serves"):
        return f"{value:.3f} s"
    if check.check == "test_set_size":
        return problem.metrics[0].change(value).removeprefix("+")
    if check.check == "quality":
        return problem.metrics[0].text(value)
    of_floor = {f"{metric.name}_floor": metric for metric in problem.metrics}
    return of_floor[check.check].text(value) if check.check in of_floor else f"{value:.2%}"


def _limit(check: CheckRecord, problem: Problem) -> str:
    if check.check == "better":
        return "–"  # its threshold is a p-value, which the sentence gives
    return _value(check, check.threshold, problem)


def _interval(check: CheckRecord, problem: Problem) -> str:
    metric = _difference_of(check.check, problem)
    if check.low is None or check.high is None or metric is None:
        return "–"
    return f"{metric.signed(check.low)} to {metric.signed(check.high)}"

"""The figures of a run's report, one table per kind of problem, with only the figures that the kind can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from catwalk.problems.answers import Answers
from catwalk.problems.binary import Binary
from catwalk.problems.interface import Kind
from catwalk.report.facts import Facts
from catwalk.report.figures import binary, calibration, classes, curves, examples, history, regression, style

Figures = Mapping[str, tuple[str, Callable[[Facts], style.Drawing]]]
"""Maps the name of the PNG file to the title and the function that draws it, in the page's order."""


def _scored(facts: Facts) -> binary.Scored:
    answers = facts.answers.get()
    return binary.Scored(facts.run_id, answers.labels == 1, np.asarray(answers.predictions, dtype=np.float64))


def _thresholds(facts: Facts) -> style.Drawing:
    problem = facts.problem
    costs, threshold = (problem.costs, problem.threshold) if isinstance(problem, Binary) else (None, None)
    return binary.threshold_table(_scored(facts), costs, threshold)


def _predicted(facts: Facts, answers: Answers | None = None, run_id: str = "") -> regression.Predicted:
    found = answers or facts.answers.get()
    unit = facts.problem.metrics[0].unit
    return regression.Predicted(run_id or facts.run_id, found.labels, found.predictions, unit)


def _error_by_quantile(facts: Facts) -> style.Drawing:
    common = facts.common.value
    if common is None:
        return regression.error_by_quantile(_predicted(facts))
    champion = _predicted(facts, common.theirs, facts.champion_id)
    return regression.error_by_quantile(_predicted(facts, common.ours), champion)


_TRAINING: Figures = {
    "loss_and_accuracy": ("Loss and accuracy by epoch", curves.loss_and_accuracy),
    "other_metrics": ("Other metrics by epoch", curves.other_metrics),
    "rate_and_gradient": ("Learning rate and gradient norm", curves.rate_and_gradient),
}
FIGURES: Mapping[Kind, Figures] = {
    "multiclass": {
        **_TRAINING,
        "class_accuracy": ("Test accuracy by class", classes.class_accuracy),
        "confusion_matrix": ("Confusion matrix, normalised by row", classes.confusion_matrix),
        "reliability": ("Reliability", calibration.reliability_diagram),
        "example_predictions": ("Example predictions", examples.example_predictions),
        "worst_mistakes": ("Worst mistakes", examples.worst_mistakes),
        "accuracy_over_runs": ("Test accuracy of all runs", history.headline_over_runs),
        "stage_durations": ("Stage durations", history.stage_durations),
    },
    "binary": {
        **_TRAINING,
        "roc": ("ROC", lambda facts: binary.roc(_scored(facts))),
        "precision_recall": ("Precision and recall", lambda facts: binary.precision_recall(_scored(facts))),
        "thresholds": ("Thresholds", _thresholds),
        "reliability": ("Reliability", calibration.reliability_of_positives),
        "headline_over_runs": ("Test result of all runs", history.headline_over_runs),
        "stage_durations": ("Stage durations", history.stage_durations),
    },
    "regression": {
        **_TRAINING,
        "predicted_against_true": (
            "Predicted against true",
            lambda facts: regression.predicted_against_true(_predicted(facts)),
        ),
        "residuals": ("Errors", lambda facts: regression.residuals(_predicted(facts))),
        "error_by_quantile": ("Error by true value", _error_by_quantile),
        "headline_over_runs": ("Test result of all runs", history.headline_over_runs),
        "stage_durations": ("Stage durations", history.stage_durations),
    },
}
_HISTORY = ("accuracy_over_runs", "headline_over_runs", "stage_durations")


def before_dataset(shown: Mapping[str, object]) -> int:
    """Returns how many figures come before the table of the dataset: it goes beside the reliability diagram, which is
    as tall, or otherwise before the figures of other runs.
    """
    found = list(shown)
    if "reliability" in shown:
        return found.index("reliability") + 1
    return sum(name not in _HISTORY for name in found)

"""Yes or no, with a probability. Imports nothing heavy, because DAG files import it with the models that they train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from catwalk.errors import ConfigError
from catwalk.problems.interface import MARGIN_RATIO, Kind, Metric, Outcome, is_number, names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from catwalk.problems.paired.differences import MeanDifference

CLIP = 1e-6
"""Probabilities are clipped to at least this distance from 0 and 1; otherwise a single certain mistake would have an
infinite loss.
"""
LEAST_POSITIVES = 100
"""With fewer, the paired test is wrong more often than its level: docs/gate.md."""
_LOG_LOSS = Metric("log_loss", "minimize", "nats", "mean logarithmic loss, with probabilities clipped at 1e-6")
_AUC = Metric("auc", "maximize", "", "area under the ROC curve: how often a positive is ranked above a negative")
_RANKING = (_AUC, Metric("average_precision", "maximize", "", "precision, averaged over the recall gained"))
_PROBABILITIES = (
    Metric("brier", "minimize", "", "mean squared difference between the probability and the truth"),
    Metric("calibration_error", "minimize", "ratio", "expected calibration error over 15 equally wide bins"),
)
_AT_THRESHOLD = (
    Metric("precision", "maximize", "ratio", "share of actual positives among predicted positives, at the threshold"),
    Metric("recall", "maximize", "ratio", "share of actual positives that are predicted as positive, at the threshold"),
)
_COST = Metric("cost", "minimize", "", "mean cost per example at the threshold")


@dataclass(frozen=True)
class Binary:
    """A problem in which each example is positive or not, and a model gives the probability that it is.

    Scores are probabilities of the positive class, (n,), or of both, (n, 2). The headline is the log loss: it penalises
    a wrong ranking and unreliable probabilities. For scores that are not probabilities, ``metric="auc"`` compares only
    rankings.
    """

    classes: Sequence[str] = ("0", "1")
    """The names of the negative and the positive class; labels are these, 0 and 1, or booleans."""
    metric: Literal["log_loss", "auc"] = "log_loss"
    """The headline metric."""
    threshold: float | None = None
    """The score from which an example is predicted as positive; None if there is no threshold."""
    costs: Sequence[float] | None = None
    """The costs of a false positive and of a false negative at the threshold."""
    clip: float = CLIP
    """Recorded with the problem; see :data:`CLIP`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", names("Binary", self.classes))
        if len(set(self.classes)) != 2:
            raise ConfigError(f"Binary: classes must name two classes, the positive last; got {self.classes!r:.100}")
        if self.metric not in ("log_loss", "auc"):
            raise ConfigError(f"Binary: metric must be log_loss or auc; got {self.metric!r:.50}")
        if not (is_number(self.clip) and 0 < self.clip < 0.5):
            raise ConfigError(f"Binary: clip must be between 0 and 0.5; got {self.clip!r:.50}")
        if self.threshold is not None and not is_number(self.threshold):
            raise ConfigError(f"Binary: threshold must be a number; got {self.threshold!r:.50}")
        if self.costs is not None:
            self._check_costs(self.costs)

    def _check_costs(self, costs: Any) -> None:
        if self.threshold is None:
            raise ConfigError("Binary: costs need a threshold; give threshold= too")
        pair = isinstance(costs, list | tuple) and len(costs) == 2
        if not (pair and all(is_number(cost) and cost >= 0 for cost in costs)):
            complaint = f"costs must be two numbers, for a false positive and a false negative; got {costs!r:.50}"
            raise ConfigError(f"Binary: {complaint}")
        object.__setattr__(self, "costs", tuple(costs))

    @property
    def kind(self) -> Kind:
        """Its name in records and labels."""
        return "binary"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics, the headline first; precision, recall and cost only if there is a threshold."""
        at_threshold = () if self.threshold is None else _AT_THRESHOLD
        cost = () if self.costs is None else (_COST,)
        if self.metric == "auc":
            return (*_RANKING, *at_threshold, *cost)
        return (_LOG_LOSS, *_RANKING, *_PROBABILITIES, *at_threshold, *cost)

    def measure(self, labels: Any, scores: Any) -> Outcome:
        """Scores a model's answers: see :meth:`catwalk.problems.interface.Problem.measure`.

        Args:
            labels: 0, 1, booleans or names, (n,).
            scores: The probabilities of the positive class, (n,), or of both, (n, 2); with ``metric="auc"``, any
                numbers (n,) that are higher for examples that are more likely positive.

        Raises:
            InputError: they are not, or ``metric="auc"`` gets only one class.
        """
        from catwalk.problems import ranking

        return ranking.measure(self, labels, scores)

    def paired(self, labels: NDArray[Any], challenger: NDArray[Any], baseline: NDArray[Any]) -> MeanDifference:
        """Returns Student's paired t on the log loss, or on AUC's pseudo-values, which is the test of DeLong et al.
        (1988).
        """
        from catwalk.problems.paired.differences import MeanDifference

        headline = self.metrics[0]
        return MeanDifference.of_losses(challenger, baseline, headline.name, headline.unit)

    def margin(self, baseline: NDArray[Any]) -> float:
        """Returns a ratio of the baseline's mean loss: :data:`catwalk.problems.interface.MARGIN_RATIO`."""
        return MARGIN_RATIO * float(baseline.mean())

    def tail(self, challenger: NDArray[Any], baseline: NDArray[Any], margin: float) -> None:
        """Returns None: the log loss itself penalises certain mistakes."""

    def too_few(self, labels: NDArray[np.int64]) -> str:
        """Returns a sentence if a class has fewer than 100 examples."""
        for label, name in enumerate(self.classes):
            count = int((labels == label).sum())
            if count < LEAST_POSITIVES:
                return f"There are {count:,} examples of class {name}; a comparison needs {LEAST_POSITIVES} of each."
        return ""

    def slices(self, labels: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Returns none: a rare class alone would only show that the other's probabilities rose."""
        return {}

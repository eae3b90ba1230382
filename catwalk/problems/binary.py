"""Yes or no, with a probability. Imports nothing heavy, since DAG files read it with the models that they train."""

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
"""Probabilities are taken to lie at least so far from 0 and 1, or a single sure mistake had an infinite loss."""
LEAST_POSITIVES = 100
"""Below it the paired test is wrong more often than it says: docs/gate.md."""
_LOG_LOSS = Metric("log_loss", "minimize", "nats", "mean logarithmic loss, probabilities clipped at 1e-6")
_AUC = Metric("auc", "maximize", "", "area under the ROC curve: how often a positive is ranked above a negative")
_RANKING = (_AUC, Metric("average_precision", "maximize", "", "precision, averaged over the recall gained"))
_PROBABILITIES = (
    Metric("brier", "minimize", "", "mean squared distance of the probability from the truth"),
    Metric("calibration_error", "minimize", "ratio", "expected calibration error over 15 equally wide bins"),
)
_AT_THRESHOLD = (
    Metric("precision", "maximize", "ratio", "share of the positives among those that the threshold takes for such"),
    Metric("recall", "maximize", "ratio", "share of the positives that the threshold takes for such"),
)
_COST = Metric("cost", "minimize", "", "mean cost of an example at the threshold")


@dataclass(frozen=True)
class Binary:
    """Each example is positive or not, and a model gives the probability that it is.

    Scores are probabilities of the positive class, (n,), or of both, (n, 2). The headline is the log loss: it objects
    to a wrong ranking and to probabilities that can't be taken at their word. For scores that are no probabilities,
    ``metric="auc"`` compares rankings alone.
    """

    classes: Sequence[str] = ("0", "1")
    """Names of the negative and the positive class; labels are these, 0 and 1, or booleans."""
    metric: Literal["log_loss", "auc"] = "log_loss"
    """The headline."""
    threshold: float | None = None
    """From this score on an example is taken for positive; None: nobody decides by one."""
    costs: Sequence[float] | None = None
    """Of a false positive and of a false negative at the threshold."""
    clip: float = CLIP
    """Recorded with the problem; see :data:`CLIP`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", names("Binary", self.classes))
        if len(set(self.classes)) != 2:
            raise ConfigError(f"Binary: classes names two classes, the positive last; got {self.classes!r:.100}")
        if self.metric not in ("log_loss", "auc"):
            raise ConfigError(f"Binary: metric is log_loss or auc; got {self.metric!r:.50}")
        if not (is_number(self.clip) and 0 < self.clip < 0.5):
            raise ConfigError(f"Binary: clip lies between 0 and 0.5; got {self.clip!r:.50}")
        if self.threshold is not None and not is_number(self.threshold):
            raise ConfigError(f"Binary: threshold is a number; got {self.threshold!r:.50}")
        if self.costs is not None:
            self._check_costs(self.costs)

    def _check_costs(self, costs: Any) -> None:
        if self.threshold is None:
            raise ConfigError("Binary: costs need a threshold that they arise at; give threshold= as well")
        pair = isinstance(costs, list | tuple) and len(costs) == 2
        if not (pair and all(is_number(cost) and cost >= 0 for cost in costs)):
            told = f"costs are two numbers, of a false positive and a false negative; got {costs!r:.50}"
            raise ConfigError(f"Binary: {told}")
        object.__setattr__(self, "costs", tuple(costs))

    @property
    def kind(self) -> Kind:
        """The word for it in records and labels."""
        return "binary"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The headline first; precision, recall and cost only where a threshold is named."""
        at_threshold = () if self.threshold is None else _AT_THRESHOLD
        cost = () if self.costs is None else (_COST,)
        if self.metric == "auc":
            return (*_RANKING, *at_threshold, *cost)
        return (_LOG_LOSS, *_RANKING, *_PROBABILITIES, *at_threshold, *cost)

    def measure(self, labels: Any, scores: Any) -> Outcome:
        """Scores a model's answers: see :meth:`catwalk.problems.interface.Problem.measure`.

        Args:
            labels: 0, 1, booleans or names, (n,).
            scores: probability of the positive class, (n,), or of both, (n, 2); with ``metric="auc"`` any numbers (n,)
                that are higher for what is likelier positive.

        Raises:
            InputError: they are not, or ``metric="auc"`` meets a single class.
        """
        from catwalk.problems import ranking

        return ranking.measure(self, labels, scores)

    def paired(self, labels: NDArray[Any], challenger: NDArray[Any], baseline: NDArray[Any]) -> MeanDifference:
        """Student's paired t on the log loss; on AUC's pseudo-values, which is the test of DeLong et al. (1988)."""
        from catwalk.problems.paired.differences import MeanDifference

        headline = self.metrics[0]
        return MeanDifference.of_losses(challenger, baseline, headline.name, headline.unit)

    def margin(self, baseline: NDArray[Any]) -> float:
        """A ratio of the baseline's mean loss: :data:`catwalk.problems.interface.MARGIN_RATIO`."""
        return MARGIN_RATIO * float(baseline.mean())

    def tail(self, challenger: NDArray[Any], baseline: NDArray[Any], margin: float) -> None:
        """None: the log loss itself weighs sure mistakes."""

    def too_few(self, labels: NDArray[np.int64]) -> str:
        """At least 100 examples of each class are needed."""
        for label, name in enumerate(self.classes):
            count = int((labels == label).sum())
            if count < LEAST_POSITIVES:
                return f"There are {count:,} examples of class {name}; a comparison takes {LEAST_POSITIVES} of each."
        return ""

    def slices(self, labels: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """None of its own: a rare class alone would say only that the other's probabilities rose."""
        return {}

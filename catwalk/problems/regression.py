"""A number. Imports nothing heavy, because DAG files import it with the models that they train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catwalk.problems.interface import MARGIN_RATIO, Kind, Metric, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from catwalk.problems.paired.differences import MeanDifference

LEAST_EXAMPLES = 30


@dataclass(frozen=True)
class Regression:
    """A problem in which a model predicts a number for each example.

    The headline is the mean absolute error, which heavy tails hardly affect. The root mean squared error must not be
    worse by more than the margin either; otherwise rare large errors could hide behind many small gains.
    """

    unit: str = ""
    """The unit of the target, such as ``EUR`` or ``seconds``."""

    @property
    def kind(self) -> Kind:
        """The word for it in records and labels."""
        return "regression"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics, the headline first."""
        return (
            Metric("mae", "minimize", self.unit, "mean absolute error"),
            Metric("rmse", "minimize", self.unit, "root of the mean squared error"),
            Metric("median_absolute_error", "minimize", self.unit, "median of the absolute errors"),
            Metric("r2", "maximize", "", "share of the target's variance that the model explains"),
        )

    def measure(self, labels: Any, scores: Any) -> Outcome:
        """Scores a model's answers: see :meth:`catwalk.problems.interface.Problem.measure`.

        Args:
            labels: The true values, (n,).
            scores: The predicted values, (n,).

        Raises:
            InputError: they are not finite numbers, or have different shapes.
        """
        import numpy as np

        from catwalk.problems import arrays

        expected = "the true values, finite numbers of shape (n,)"
        truth = arrays.floats("labels", arrays.column("labels", labels, expected), expected)
        expected = f"a predicted value for each label, finite numbers of shape ({len(truth)},)"
        predicted = arrays.floats("scores", arrays.column("scores", scores, expected, len(truth)), expected)
        loss = np.abs(predicted - truth)
        squared = float(np.square(loss).mean())
        metrics = {"mae": float(loss.mean()), "rmse": squared**0.5, "median_absolute_error": float(np.median(loss))}
        variance = float(truth.var())
        if variance:
            metrics["r2"] = 1 - squared / variance
        return Outcome(truth, predicted, predicted, loss, metrics)

    def paired(self, labels: NDArray[Any], challenger: NDArray[Any], baseline: NDArray[Any]) -> MeanDifference:
        """Returns Student's paired t on the absolute errors."""
        from catwalk.problems.paired.differences import MeanDifference

        return MeanDifference.of_losses(challenger, baseline, "mae", self.unit)

    def margin(self, baseline: NDArray[Any]) -> float:
        """Returns a ratio of the baseline's mean loss: :data:`catwalk.problems.interface.MARGIN_RATIO`."""
        return MARGIN_RATIO * float(baseline.mean())

    def tail(
        self, challenger: NDArray[Any], baseline: NDArray[Any], margin: float
    ) -> tuple[Metric, MeanDifference, float]:
        """Returns the RMSE, with a margin in the same proportion as the headline's to the mean absolute error.

        An example's share in an RMSE R is, with its loss l by the delta method, ``R/2 + l²/2R``, whose mean is R, so
        the same paired t applies.
        """
        from catwalk.problems.paired.differences import MeanDifference

        mine, theirs = _shares(challenger), _shares(baseline)
        statistic = MeanDifference.of_losses(mine, theirs, "rmse", self.unit)
        mean = float(baseline.mean())
        return self.metrics[1], statistic, margin * float(theirs.mean()) / mean if mean else 0.0

    def too_few(self, labels: NDArray[Any]) -> str:
        """Returns a sentence for fewer than 30 examples, whose mean is not yet normally distributed; with more, the
        margin determines how many are needed.
        """
        if len(labels) >= LEAST_EXAMPLES:
            return ""
        return f"There are {len(labels):,} examples; a comparison needs {LEAST_EXAMPLES}."

    def slices(self, labels: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Returns none."""
        return {}


def _shares(loss: NDArray[Any]) -> NDArray[Any]:
    rmse = float((loss**2).mean()) ** 0.5
    return rmse / 2 + loss**2 / (2 * rmse) if rmse else loss

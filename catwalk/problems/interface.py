"""The interface of every kind of problem. Imports nothing heavy, because DAG files import it.

A problem turns labels and scores into an :class:`Outcome`: metrics, and a loss for each example. Two models are
compared only by these losses on the same examples, so one gate serves all kinds::

    problem = Binary()
    outcome = problem.measure(labels, scores)        # validates; metrics, loss (n,), predictions (n,)
    outcome.metrics["log_loss"]                      # by name, as `problem.metrics` describes them, the headline first
    slice_scores(problem, outcome, {"country": country})
    compare(problem, labels, mine, theirs)           # catwalk.problems.comparison: a PairedTest with its verdict
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from catwalk.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from catwalk.problems.paired.differences import Paired

Kind = Literal["multiclass", "binary", "regression"]
Goal = Literal["maximize", "minimize"]
MARGIN_RATIO = 0.05
"""By default, a model is as good as another if its mean loss is certainly less than this ratio above the other's: at an
accuracy of 90 %, half a point.
"""


@dataclass(frozen=True)
class Metric:
    """A measure of a model's quality on a set of examples."""

    name: str
    goal: Goal
    unit: str
    """``ratio``, ``nats``, or the target's unit; empty for none."""
    help: str

    @property
    def title(self) -> str:
        """Its name in words."""
        return self.name.replace("_", " ")

    @property
    def better(self) -> str:
        """A phrase that says whether higher or lower is better."""
        return f"{'higher' if self.goal == 'maximize' else 'lower'} is better"

    def text(self, value: float) -> str:
        """Returns a value with its unit; a ratio as a percentage."""
        return f"{value:.2%}" if self.unit == "ratio" else f"{value:.4g} {self.unit}".rstrip()

    @property
    def unit_of_change(self) -> str:
        """The unit of a difference of two values: points for ratios; empty for none."""
        return "points" if self.unit == "ratio" else self.unit

    def signed(self, difference: float) -> str:
        """Returns a difference of two values with its sign, in :attr:`unit_of_change`, without the unit's name."""
        return f"{100 * difference:+.2f}" if self.unit == "ratio" else f"{difference:+.4g}"

    def change(self, difference: float) -> str:
        """Returns the same with its unit."""
        return f"{self.signed(difference)} {self.unit_of_change}".rstrip()

    def gain(self, difference: float) -> float:
        """Returns a difference of two values with its sign changed so that positive is better."""
        return difference if self.goal == "maximize" else -difference


@dataclass(frozen=True, eq=False)
class Outcome:
    """A model's answers to n examples, and the truth."""

    labels: NDArray[Any]
    """Shape (n,): the class index as int64, or the true value as float64."""
    scores: NDArray[np.float64]
    """The scores as given: (n, classes), or (n,)."""
    predictions: NDArray[Any]
    """Shape (n,): the class index, the probability of the positive class, or the value."""
    loss: NDArray[np.float64]
    """Shape (n,), lower is better. Its mean is the headline metric, or 1 minus it if the goal is to maximize that."""
    metrics: Mapping[str, float]
    """The values by name, the headline first, without metrics that are undefined for these examples."""


@runtime_checkable
class Problem(Protocol):
    """A kind of problem with its settings, as a frozen dataclass of plain values."""

    @property
    def kind(self) -> Kind:
        """The word for it in records and labels."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All metrics of :meth:`measure`, the headline first, by which the gate decides."""

    def measure(self, labels: Any, scores: Any) -> Outcome:
        """Scores a model's answers.

        Args:
            labels: The truth, (n,); anything that numpy can convert, including a tensor on any device.
            scores: The model's answers; shape and meaning depend on the kind.

        Raises:
            InputError: one line with the argument, what was expected and what it got.
        """

    def paired(self, labels: NDArray[Any], challenger: NDArray[Any], baseline: NDArray[Any]) -> Paired:
        """Returns the statistic of two models on the same examples.

        Args:
            labels: The labels, as in the outcome, (n,).
            challenger: The challenger's loss, (n,).
            baseline: The other model's loss, (n,).
        """

    def margin(self, baseline: NDArray[Any]) -> float:
        """Returns by how much the headline metric may be worse than that of a baseline with this loss (n,), in its
        unit.
        """

    def tail(
        self, challenger: NDArray[Any], baseline: NDArray[Any], margin: float
    ) -> tuple[Metric, Paired, float] | None:
        """Returns another metric that must not be inferior, with its statistic and its margin, in the same proportion
        to its baseline as the headline's `margin`; None if the mean loss is enough.
        """

    def too_few(self, labels: NDArray[Any]) -> str:
        """Returns why there are too few of these examples to compare two models, as a sentence; empty if there are
        enough.
        """

    def slices(self, labels: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Returns the slices of every problem of the kind: the value of each example by slice, (n,) each."""


def names(problem: str, classes: Any) -> tuple[str, ...]:
    """Returns the names of classes that were given to a problem.

    Raises:
        ConfigError: they are not names of classes.
    """
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        raise ConfigError(f"{problem}: classes must be a list of names; got {classes!r:.50}")
    return tuple(map(str, classes))


def is_number(given: Any) -> bool:
    """Returns whether it is a finite number that fits in a float."""
    try:
        return isinstance(given, Real) and not isinstance(given, bool) and math.isfinite(given)
    except OverflowError:
        return False

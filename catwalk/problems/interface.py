"""What a model is asked, and the one interface to every kind of problem. Imports nothing heavy, for DAG files read it.

A problem turns labels and scores into an :class:`Outcome`: metrics, and for each example a loss. Of two models on the
same examples only these losses are compared, so one gate serves all kinds::

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
"""By default a model is as good as another one if its mean loss is surely less than so much above the other's: at an
accuracy of 90 % this is half a point."""


@dataclass(frozen=True)
class Metric:
    """One figure of a model's quality on a set of examples."""

    name: str
    goal: Goal
    unit: str
    """``ratio``, ``nats``, the target's own; empty: none."""
    help: str

    @property
    def title(self) -> str:
        """Its name in words."""
        return self.name.replace("_", " ")

    @property
    def better(self) -> str:
        """Which way is good, for who doesn't know it."""
        return f"{'higher' if self.goal == 'maximize' else 'lower'} is better"

    def text(self, value: float) -> str:
        """A value with its unit; a ratio in per cent."""
        return f"{value:.2%}" if self.unit == "ratio" else f"{value:.4g} {self.unit}".rstrip()

    @property
    def unit_of_change(self) -> str:
        """Of a difference of two values: of ratios, points; empty: none."""
        return "points" if self.unit == "ratio" else self.unit

    def signed(self, difference: float) -> str:
        """A difference of two values with its sign, in :attr:`unit_of_change`, which it does not name."""
        return f"{100 * difference:+.2f}" if self.unit == "ratio" else f"{difference:+.4g}"

    def change(self, difference: float) -> str:
        """The same with its unit."""
        return f"{self.signed(difference)} {self.unit_of_change}".rstrip()

    def gain(self, difference: float) -> float:
        """A difference of two values, positive where it is one for the better, and the other way round."""
        return difference if self.goal == "maximize" else -difference


@dataclass(frozen=True, eq=False)
class Outcome:
    """A model's answers to n examples beside the truth."""

    labels: NDArray[Any]
    """Shape (n,): class index as int64, or the true value as float64."""
    scores: NDArray[np.float64]
    """As they were given: (n, classes), or (n,)."""
    predictions: NDArray[Any]
    """Shape (n,): class index, probability of the positive class, or value."""
    loss: NDArray[np.float64]
    """Shape (n,), lower is better. Its mean is the headline metric; where the goal is to maximize that, 1 less it."""
    metrics: Mapping[str, float]
    """Name → value, the headline first; what these examples leave undefined is not there."""


@runtime_checkable
class Problem(Protocol):
    """A kind of problem, with what it needs to know of this one, as a frozen dataclass of plain values."""

    @property
    def kind(self) -> Kind:
        """The word for it in records and labels."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All that :meth:`measure` can give, the headline first: the gate decides by that one."""

    def measure(self, labels: Any, scores: Any) -> Outcome:
        """Scores a model's answers.

        Args:
            labels: the truth, (n,); anything that numpy can convert, a tensor on any device included.
            scores: what the model says; shape and meaning are the kind's own.

        Raises:
            InputError: one line that names the argument, what was expected and what came.
        """

    def paired(self, labels: NDArray[Any], challenger: NDArray[Any], baseline: NDArray[Any]) -> Paired:
        """The statistic of two models on the same examples.

        Args:
            labels: as in the outcome, (n,).
            challenger: its loss, (n,).
            baseline: the other model's, (n,).
        """

    def margin(self, baseline: NDArray[Any]) -> float:
        """By how much the headline metric may be worse than that of a baseline with this loss (n,), in its unit."""

    def tail(
        self, challenger: NDArray[Any], baseline: NDArray[Any], margin: float
    ) -> tuple[Metric, Paired, float] | None:
        """What must not be inferior either: a metric, its statistic and its margin, which is to its baseline as the
        headline's `margin` is to the headline's; None: the mean loss tells it all."""

    def too_few(self, labels: NDArray[Any]) -> str:
        """Why these examples are too few to compare two models by, as a sentence; empty: they are enough."""

    def slices(self, labels: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Slices that each problem of the kind has: name → value of each example, (n,)."""


def names(problem: str, classes: Any) -> tuple[str, ...]:
    """Of classes, as they were given to a problem.

    Raises:
        ConfigError: they are none.
    """
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        raise ConfigError(f"{problem}: classes names the classes, as a list; got {classes!r:.50}")
    return tuple(map(str, classes))


def is_number(given: Any) -> bool:
    """Whether it is a finite one, which a float can hold."""
    try:
        return isinstance(given, Real) and not isinstance(given, bool) and math.isfinite(given)
    except OverflowError:
        return False

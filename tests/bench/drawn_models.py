"""Pairs of models for simulations of the paired tests: their losses on the same examples, at a known quality.

Each example has an error that no model can avoid and that all models share; each model adds its own noise. More noise
means a larger expected loss. That loss is computed by integration, so that "2 % better" is exact and not itself
simulated.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, ndtr
from scipy.stats import t as student

from catwalk.problems import Binary, Regression
from catwalk.problems.binary import CLIP
from catwalk.problems.interface import Problem

Floats = NDArray[Any]


class Drawn(Protocol):
    """A kind of model that can be drawn."""

    problem: Problem

    def examples(self, generator: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        """Returns what no model can change, and the labels, (n,) each."""

    def losses(self, generator: np.random.Generator, examples: tuple[Floats, Floats], noise: Floats) -> Floats:
        """Returns the losses of models with these noise levels, (models, 1), on the same examples: (models, n)."""

    def expected(self, noise: float) -> float:
        """Returns the expected loss of a model with this noise over all possible examples."""

    def noise(self, ratio: float) -> float:
        """Returns the noise of the model whose expected loss is this multiple of the usual model's."""


class Numbers:
    """Errors with the tails of Student's t with 3 degrees of freedom and a standard deviation of 1; models add noise of
    0.4.
    """

    problem = Regression()
    usual = 0.4

    def examples(self, generator: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        """Returns the shared error; labels don't matter here."""
        return (generator.standard_t(3, n) / np.sqrt(3)).astype(np.float32), np.zeros(n)

    def losses(self, generator: np.random.Generator, examples: tuple[Floats, Floats], noise: Floats) -> Floats:
        """Absolute errors."""
        own = generator.standard_normal((len(noise), len(examples[0])), dtype=np.float32)
        return np.abs(examples[0] + noise.astype(np.float32) * own)

    @cache  # noqa: B019 # lives as long as the program
    def expected(self, noise: float) -> float:
        """Returns the mean of a folded normal distribution around each shared error."""
        shared = _heavy_tailed()
        ratio = shared / noise
        folded = noise * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2) + shared * (1 - 2 * ndtr(-ratio))
        return float(folded.mean())

    @cache  # noqa: B019
    def noise(self, ratio: float) -> float:
        """By bisection."""
        target = ratio * self.expected(self.usual)
        return float(brentq(lambda noise: self.expected(noise) - target, 1e-3, 20, xtol=1e-6))


class YesNo:
    """1 % positives; the true logit is normal with standard deviation 2, and models see it with noise of 1.

    The answer shrinks what the model sees towards the mean, as a fitted model does, times a `stretch`. Above 1, the
    model is overconfident.
    """

    usual = 1.0
    share = 0.01

    def __init__(self, problem: Problem | None = None, stretch: float = 1.0) -> None:
        self.problem = problem or Binary()
        self.stretch = stretch

    @cache  # noqa: B019
    def centre(self) -> float:
        """Mean of the true logit."""
        points, weights = _normal()
        return float(brentq(lambda mean: weights @ expit(mean + 2 * points) - self.share, -20, 0))

    def examples(self, generator: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        """The true logit, and the labels that it gives."""
        logit = (self.centre() + 2 * generator.standard_normal(n)).astype(np.float32)
        return logit, (generator.random(n) < expit(logit)).astype(np.int64)

    def probabilities(self, seen: Floats, noise: Floats) -> Floats:
        """Returns a model's answer to what it sees."""
        shrunk = self.centre() + 4 / (4 + noise**2) * (seen - self.centre())
        return np.asarray(expit(self.stretch * shrunk))

    def losses(self, generator: np.random.Generator, examples: tuple[Floats, Floats], noise: Floats) -> Floats:
        """Log losses."""
        logit, positive = examples
        noise = noise.astype(np.float32)
        seen = generator.standard_normal((len(noise), len(logit)), dtype=np.float32)
        seen *= noise
        seen += logit
        answer = self.probabilities(seen, noise)
        return -np.log(np.clip(np.where(positive == 1, answer, 1 - answer), CLIP, 1))

    @cache  # noqa: B019
    def expected(self, noise: float) -> float:
        """Integrates over the true logit and what the model sees of it."""
        points, weights = _normal()
        logit = self.centre() + 2 * points[:, None]
        answer = np.clip(self.probabilities(logit + noise * points, np.asarray(noise)), CLIP, 1 - CLIP)
        loss = -(expit(logit) * np.log(answer) + expit(-logit) * np.log(1 - answer))
        return float(weights @ loss @ weights)

    @cache  # noqa: B019
    def noise(self, ratio: float) -> float:
        """Solves by bisection; the usual model is not stretched."""
        target = ratio * YesNo().expected(self.usual)
        return float(brentq(lambda noise: self.expected(noise) - target, 1e-3, 20, xtol=1e-6))


@cache
def _heavy_tailed() -> Floats:
    """Returns the absolute shared error at equal steps of probability."""
    return np.asarray(np.abs(student.ppf((np.arange(20_000) + 0.5) / 20_000, 3)) / np.sqrt(3))


@cache
def _normal() -> tuple[Floats, Floats]:
    """Returns points and weights to integrate over a standard normal distribution (Gauss-Hermite)."""
    points, weights = np.polynomial.hermite_e.hermegauss(120)
    return points, weights / weights.sum()

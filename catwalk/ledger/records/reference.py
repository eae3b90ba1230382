"""The distribution of a model's inputs and answers under normal conditions, which a service is compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from catwalk.ledger.records.values import is_finite

SCHEMA = 1
MOST_INPUTS = 50
"""Maximum number of inputs: each has a dozen series per version and replica, and its own test."""
MISSING = "missing"
OTHER = "other"

Side = Literal["input", "prediction"]
Origin = Literal["test", "service"]


@dataclass(frozen=True)
class FeatureReference:
    """One column of the inputs, one feature of the images, or one aspect of the answers, in bins."""

    name: str
    side: Side
    edges: list[float]
    """The edges between bins, increasing; a value equal to an edge belongs to the bin above it. Empty for categories.
    """
    categories: list[str]
    """The categories; empty for numbers."""
    counts: list[int]
    """Examples in each bin."""
    missing: int = 0
    """Examples without a value: none, or NaN."""
    other: int = 0
    """Examples whose value fits no bin: infinite, of the wrong type, or an unlisted category."""
    dispersion: float = 1.5
    """How much more two samples differ than independent examples would; at least 1."""
    floor: float = 0.03
    """The smallest shift that matters, on roughly the scale of PSI."""

    @property
    def bins(self) -> list[str]:
        """Names of the bins: ``..0.2``, ``0.2..0.5``, ``0.5..``, or the categories; then ``missing`` and ``other``."""
        if self.categories:
            return [*self.categories, MISSING, OTHER]
        edges = [f"{edge:.6g}" for edge in self.edges]
        return [f"{low}..{high}" for low, high in zip(["", *edges], [*edges, ""], strict=True)] + [MISSING, OTHER]

    @property
    def examples(self) -> list[int]:
        """The number of examples in each bin."""
        return [*self.counts, self.missing, self.other]

    @property
    def fault(self) -> str:
        """What is wrong with it, as the end of a sentence; empty if nothing is."""
        if len(set(self.bins)) < len(self.bins) or self.edges != sorted(self.edges):
            return "has bins with the same name"
        if (self.edges and self.categories) or not all(map(math.isfinite, self.edges)):
            return "has edges that are not increasing numbers"
        if len(self.counts) != len(self.bins) - 2 or min(self.examples) < 0 or not sum(self.examples):
            return f"has {len(self.bins) - 2} bins, but not one count of examples for each"
        if not is_finite(self.dispersion) or self.dispersion < 1 or not is_finite(self.floor) or self.floor <= 0:
            return "has a dispersion below 1 or a floor that is not above 0"
        return ""


@dataclass(frozen=True)
class Calibration:
    """The basis for estimating a classifier's accuracy without labels, from labelled held-out examples."""

    temperature: float
    """The divisor of the scores, as logits."""
    accuracy: float
    """Share of the correct answers."""
    confidence: float
    """Mean probability of a correct answer, by the scaled scores."""
    error: float
    """Expected calibration error of that probability."""
    examples: int
    threshold: float = 0.5
    """For a binary problem: the probability from which the answer is yes."""

    @property
    def fault(self) -> str:
        """What is wrong with it, as the end of a sentence; empty if nothing is."""
        shares = (self.accuracy, self.confidence, self.error)
        if not all(0 <= share <= 1 for share in shares) or self.examples < 1 or not is_finite(self.threshold):
            return "has shares outside 0 to 1"
        return "" if is_finite(self.temperature) and self.temperature > 0 else "has a temperature that is not above 0"


@dataclass(frozen=True)
class ReferenceRecord:
    """``runs/<run_id>/reference.json``: the reference of a model and its run.

    ``baseline.json`` beside it has the same form and bins, from the version's own days in service.
    """

    model: str
    run_id: str
    kind: str
    """The kind of problem: multiclass, binary or regression."""
    classes: list[str]
    origin: Origin
    """Its source: held-out examples of the training data, or a version's own days in service."""
    inputs: Literal["", "columns", "pictures"]
    """The kind of inputs; empty if they are not watched."""
    features: list[FeatureReference]
    left_out: list[str]
    """Columns that are not watched, because there are too many."""
    created: float
    schema: int = SCHEMA
    columns: list[str] = field(default_factory=list)
    """All columns of the inputs, in order."""
    days: list[str] = field(default_factory=list)
    """The days in service that it is made from, in UTC, oldest first."""
    by: str = ""
    """Who accepted these days; empty if no one did, so that the baseline was made automatically."""
    calibration: Calibration | None = None
    """None if there were no labels, or the kind of problem has no calibration."""

    @property
    def examples(self) -> int:
        """The number of examples that it is made from."""
        return max((sum(feature.examples) for feature in self.features), default=0)

    @property
    def fault(self) -> str:
        """What is wrong with it, as a sentence; empty if nothing is."""
        if self.schema != SCHEMA:
            return f"it has version {self.schema}, and this Catwalk reads version {SCHEMA}; update the older of the two"
        if not self.features:
            return "it has no features"
        if len({(feature.side, feature.name) for feature in self.features}) < len(self.features):
            return "it names a feature twice"
        if len(self.of("input")) > MOST_INPUTS:
            return f"it watches {len(self.of('input'))} inputs, and the limit is {MOST_INPUTS}"
        if self.calibration is not None and self.calibration.fault:
            return f"its calibration {self.calibration.fault}"
        return next((f"its feature {each.name} {each.fault}" for each in self.features if each.fault), "")

    def of(self, side: Side) -> list[FeatureReference]:
        """Its features of one side, in order."""
        return [feature for feature in self.features if feature.side == side]


@dataclass(frozen=True)
class DeclinedRecord:
    """``runs/<run_id>/baseline_declined.json``: why no baseline was made automatically. Written once."""

    run_id: str
    reason: str
    """The end of a sentence."""
    days: list[str]
    """The first days in service of which it would have been made, in UTC, oldest first; empty if they were not read."""
    created: float

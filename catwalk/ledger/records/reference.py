"""What a model's inputs and answers look like where all is well: what a service is compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from catwalk.ledger.records.values import is_finite

SCHEMA = 1
MOST_INPUTS = 50
"""Each has a dozen series a version and replica, and is a test of its own."""
MISSING = "missing"
OTHER = "other"

Side = Literal["input", "prediction"]
Origin = Literal["test", "service"]


@dataclass(frozen=True)
class FeatureReference:
    """One column of the inputs, one feature of the pictures, or one aspect of the answers, in bins."""

    name: str
    side: Side
    edges: list[float]
    """Between the bins, rising; a value that equals one belongs above it. Empty for categories."""
    categories: list[str]
    """Empty for numbers."""
    counts: list[int]
    """Examples in each bin."""
    missing: int = 0
    """Examples that have no value: none, or NaN."""
    other: int = 0
    """Examples with a value that fits no bin: infinite, of the wrong type, or a category that is not listed."""
    dispersion: float = 1.5
    """How much more two samples differ than independent examples would; 1 at least."""
    floor: float = 0.03
    """The least shift that matters, about as PSI counts it."""

    @property
    def bins(self) -> list[str]:
        """Their names: ``..0.2``, ``0.2..0.5``, ``0.5..``, or the categories; then ``missing`` and ``other``."""
        if self.categories:
            return [*self.categories, MISSING, OTHER]
        told = [f"{edge:.6g}" for edge in self.edges]
        return [f"{low}..{high}" for low, high in zip(["", *told], [*told, ""], strict=True)] + [MISSING, OTHER]

    @property
    def examples(self) -> list[int]:
        """In each of the bins."""
        return [*self.counts, self.missing, self.other]

    @property
    def fault(self) -> str:
        """What is wrong with it, as the end of a sentence; empty: nothing."""
        if len(set(self.bins)) < len(self.bins) or self.edges != sorted(self.edges):
            return "has bins that can't be told apart"
        if (self.edges and self.categories) or not all(map(math.isfinite, self.edges)):
            return "has edges that are no rising numbers"
        if len(self.counts) != len(self.bins) - 2 or min(self.examples) < 0 or not sum(self.examples):
            return f"has {len(self.bins) - 2} bins, but no examples for each of them"
        if not is_finite(self.dispersion) or self.dispersion < 1 or not is_finite(self.floor) or self.floor <= 0:
            return "has a dispersion below 1 or a floor that is not above 0"
        return ""


@dataclass(frozen=True)
class Calibration:
    """What a classifier's accuracy is estimated by where no labels are known: of labelled, held-out examples."""

    temperature: float
    """That scores are divided by, as logits."""
    accuracy: float
    """Share of the answers that are right."""
    confidence: float
    """Mean chance of being right, as the scaled scores have it."""
    error: float
    """Expected calibration error of that chance."""
    examples: int
    threshold: float = 0.5
    """Of a binary problem: from this probability on the answer is yes."""

    @property
    def fault(self) -> str:
        """What is wrong with it, as the end of a sentence; empty: nothing."""
        shares = (self.accuracy, self.confidence, self.error)
        if not all(0 <= share <= 1 for share in shares) or self.examples < 1 or not is_finite(self.threshold):
            return "has shares that are none"
        return "" if is_finite(self.temperature) and self.temperature > 0 else "has a temperature that is not above 0"


@dataclass(frozen=True)
class ReferenceRecord:
    """``runs/<run_id>/reference.json``: of a model, and of the run that has trained it.

    ``baseline.json`` beside it is the same of the version's own days in service, with the same bins.
    """

    model: str
    run_id: str
    kind: str
    """Of problem: multiclass, binary or regression."""
    classes: list[str]
    origin: Origin
    """Held-out examples of the training data, or a version's own days in service."""
    inputs: Literal["", "columns", "pictures"]
    """What the model is given; empty: nothing that is watched."""
    features: list[FeatureReference]
    left_out: list[str]
    """Columns that are not watched, since there are too many."""
    created: float
    schema: int = SCHEMA
    columns: list[str] = field(default_factory=list)
    """All of the inputs' columns, in their order."""
    days: list[str] = field(default_factory=list)
    """In service, that it is made of, in UTC; the oldest first."""
    by: str = ""
    """Who has accepted these."""
    calibration: Calibration | None = None
    """None: no labels were given, or the kind of problem has none."""

    @property
    def examples(self) -> int:
        """That it is made of."""
        return max((sum(feature.examples) for feature in self.features), default=0)

    @property
    def fault(self) -> str:
        """What is wrong with it, as a sentence; empty: nothing."""
        if self.schema != SCHEMA:
            return f"it has version {self.schema}, and this Catwalk reads version {SCHEMA}; update the older of the two"
        if not self.features:
            return "it has no feature"
        if len({(feature.side, feature.name) for feature in self.features}) < len(self.features):
            return "it names a feature twice"
        if len(self.of("input")) > MOST_INPUTS:
            return f"it watches {len(self.of('input'))} inputs, and {MOST_INPUTS} are the most"
        if self.calibration is not None and self.calibration.fault:
            return f"its calibration {self.calibration.fault}"
        return next((f"its feature {each.name} {each.fault}" for each in self.features if each.fault), "")

    def of(self, side: Side) -> list[FeatureReference]:
        """Its features of one side, in order."""
        return [feature for feature in self.features if feature.side == side]

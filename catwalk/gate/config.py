"""The gate's thresholds, as settings of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from catwalk.knobs import Section, number, setting


@dataclass(frozen=True)
class GateConfig(Section):
    """When a challenger may ship."""

    accuracy_floor: float = number(0.88, 0.0, 1.0)
    """Lowest test accuracy that may ship, as a ratio."""
    recall_floor: float = number(0.6, 0.0, 1.0)
    """Lowest recall of any class that may ship, as a ratio."""
    calibration_cap: float = number(0.05, 0.0, 1.0)
    """Highest expected calibration error that may ship, as a ratio."""
    significance: float = number(0.01, 0.0, 0.5, above=True)
    """Significance level of McNemar's exact test, above which two models count as equally good; small, because one test
    set decides night after night.
    """
    margin: float = number(0.005, 0.0, 1.0)
    """By how much a challenger's accuracy may be below that of champion and anchor, as a ratio, and still replace them
    because its data is newer.
    """
    class_significance: float = number(0.05, 0.0, 0.5, above=True)
    """Significance level, corrected for all classes together, at which a class counts as worse."""
    model_bytes_cap: int | None = number(None, 1, 10**12)
    """Largest size of the weights that may ship, in bytes; empty for any."""
    inference_seconds_cap: float | None = number(None, 0.0, 3_600.0, above=True)
    """Longest time to score 1,000 examples that may ship, in seconds; empty for any."""
    serve_check: Literal["on", "off"] = setting("on")
    """Whether a model that would ship is first tested in a separate server process."""
    serve_p99_seconds_cap: float | None = number(None, 0.0, 3_600.0, above=True)
    """Highest 99th percentile of request durations in that server, in seconds; empty for any."""
    serve_start_seconds_cap: float | None = number(None, 0.0, 3_600.0, above=True)
    """Longest time until that server is ready, in seconds; empty for five minutes."""
    serve_memory_bytes_cap: int | None = number(None, 1, 10**15)
    """Most memory that it may use, in bytes; empty for any."""


LIMITS = (
    "loss_growth_ratio", "generalisation_gap_ratio", "validation_loss_rise_ratio", "epochs_since_best",
    "headline_regression_ratio", "runs_blocked", "champion_age_seconds", "class_share_distance_ratio",
    "dataset_statistic_change_ratio", "schedule_grace_seconds", "duration_ratio", "duration_excess_seconds",
    "service_error_ratio", "service_duration_seconds", "service_headline_ratio", "service_labels_age_seconds",
)  # fmt: skip
"""Limits of alerts that a model may override, by their names in ``prometheus/rules/thresholds.yml``."""


@dataclass(frozen=True)
class Thresholds:
    """When a challenger of any kind of problem may ship."""

    floors: Mapping[str, float] = field(default_factory=dict)
    """The worst value of each metric that may ship: the lowest if the goal is to maximize it, otherwise the highest."""
    margin: float | None = None
    """By how much the headline metric may be worse and still ship because of newer data, in its unit; None for the
    problem's default.
    """
    significance: float = 0.01
    """The significance level of the paired test."""
    slice_significance: float = 0.05
    """The significance level, corrected for all slices together, at which a slice counts as worse."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """The model's own values of :data:`LIMITS`; not used here."""

"""References, and the series that a monitor shows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import catwalk
from catwalk.ledger.records.reference import ReferenceRecord
from catwalk.service import reference

RUN: Any = SimpleNamespace(record=SimpleNamespace(model="churn"), run_id="20261123T030000Z-00000001")
_LABELS = ("version", "side", "feature", "bin", "le")
Series = dict[tuple[str, ...], float]


def made(inputs: Any = None, scores: Any = None, problem: Any = None, run: Any = RUN, **more: Any) -> ReferenceRecord:
    """A reference of that run."""
    return reference.make(run, problem or catwalk.Binary(), inputs, scores, **more)


def table(rows: int = 1_000) -> dict[str, Any]:
    """Columns of a binary model: numbers, a category, a flag."""
    random = np.random.default_rng(0)
    return {
        "age": random.normal(40, 10, rows),
        "country": random.choice(["de", "fr", "it"], rows),
        "member": random.random(rows) < 0.5,
    }


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def scrape(registry: CollectorRegistry) -> Series:
    """Name, and the values of version, side, feature, bin and le, where there are any → value."""
    found: Series = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            labels = [
                sample.labels[name] for name in ("version", "side", "feature", "bin", "le") if name in sample.labels
            ]
            found[sample.name, *labels] = sample.value
    return found


def bins(registry: CollectorRegistry, feature: str) -> dict[str, float]:
    """The bins of a feature that something was counted in."""
    series = scrape(registry)
    return {
        name[4]: value
        for name, value in series.items()
        if name[0] == "catwalk_service_bin_total" and name[3] == feature and value
    }

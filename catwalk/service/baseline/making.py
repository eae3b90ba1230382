"""Makes a reference of recorded days."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from catwalk.ledger.records.reference import FeatureReference, ReferenceRecord
from catwalk.service import shift
from catwalk.service.baseline.recorded import Counts, Recorded, UnfitError

LEAST_A_DAY = 200
"""Predictions on the median day. If there are fewer, the rules compute no figure for a day."""


def made(reference: ReferenceRecord, found: Recorded, floor: float) -> ReferenceRecord:
    """Returns the reference of a version's days in service, with the bins by which it was counted.

    Raises:
        UnfitError: The version makes too few predictions.
    """
    usual = float(np.median(np.max([counts.sum(1) for counts in found.counts], axis=0)))
    if usual < LEAST_A_DAY:
        message = f"version {reference.run_id} of {reference.model} makes {usual:.0f} predictions on the median day"
        raise UnfitError(f"{message}, and a baseline needs {LEAST_A_DAY}: with less traffic, only gross shifts show")
    pairs = zip(reference.features, found.counts, strict=True)
    features = [_feature(feature, counts, floor) for feature, counts in pairs]
    return replace(reference, origin="service", features=features, days=found.days)


def was_counted(days: Counts) -> bool:
    """Returns whether the service gives its monitor this feature."""
    return bool(days.sum(0).round().any())


def _feature(feature: FeatureReference, days: Counts, floor: float) -> FeatureReference:
    if not was_counted(days):
        return feature
    *counts, missing, other = (round(total) for total in days.sum(0).tolist())  # increases are not quite whole
    return replace(feature, counts=counts, missing=missing, other=other, floor=floor, dispersion=shift.dispersion(days))

"""The test of a Trainable's model stores a reference, which services are compared with."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

import catwalk
from catwalk.ledger.runs import Ledger
from catwalk.service import pictures, reference
from tests.catwalk.stages.test_previews import measured

pytestmark = pytest.mark.integration


def test_the_test_stage_makes_one_from_its_pictures_and_answers(ledger: Ledger) -> None:
    run = measured(ledger, tested=900)
    found = reference.of_run(run)
    assert [each.name for each in found.of("input")] == list(pictures.NAMES)
    assert [each.name for each in found.of("prediction")] == ["class", "confidence"]
    assert found.examples == 900 and found.classes == list(run.record.classes)
    monitor = catwalk.PredictionMonitor(run.record.model, reference=found, registry=CollectorRegistry())
    assert monitor.version == run.run_id

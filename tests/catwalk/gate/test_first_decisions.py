"""Decisions that version 0.1.0 has stored are made again from the predictions that lie beside them."""

from __future__ import annotations

import json
import re
import tarfile
from functools import cache
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from catwalk.codec import from_json
from catwalk.gate.config import GateConfig
from catwalk.gate.decision import Baseline, Examples, Ruling, rule
from catwalk.ledger.records.decision import DecisionRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from ml.fashion_mnist.config import CLASSES
from tests.support.ledgers import FIRST_EDITION

DECIDED = [
    "20261116T030000Z-8893fa15", "20261117T030000Z-9b3651a6", "20261118T030000Z-602a2eec", "20261118T150000Z-00c0ffee",
    "20261119T090000Z-bb0596a1", "20261119T120000Z-accfaa49",
]  # fmt: skip


@cache
def files() -> dict[str, bytes]:
    with tarfile.open(FIRST_EDITION) as archive:
        found = {member.name: archive.extractfile(member) for member in archive}
        return {name: file.read() for name, file in found.items() if file}


def test_these_are_all_its_decisions() -> None:
    assert sorted(name.split("/")[1] for name in files() if name.endswith("/decision.json")) == DECIDED


@pytest.mark.parametrize("run_id", DECIDED)
def test_a_stored_decision_is_made_again(run_id: str) -> None:
    stored = from_json(DecisionRecord, files()[f"runs/{run_id}/decision.json"])
    again = decided_again(run_id, stored)
    assert (again.decision, again.reason) == (stored.decision, stored.reason)
    found = {check.check: check for check in again.checks}
    for check in stored.checks:
        now = found[check.check]
        assert (now.verdict, now.threshold) == (check.verdict, check.threshold)
        # Version 0.1.0 had tails and quantiles from scipy, whose last bits are others.
        for mine, theirs in ((now.value, check.value), (now.low, check.low), (now.high, check.high)):
            assert mine == (theirs if theirs is None else pytest.approx(theirs, rel=1e-12, abs=1e-15))
        assert now.sentence == as_said_today(check.sentence)


REWORDED = (
    (r" images( and|\.$)", r" examples\1"),  # version 0.1.0 knew only images
    (
        r"is there, with the right hash, and all models saw",
        "exists and has the right hash, and all models were tested on",
    ),
    (r"same test examples\.$", "same examples."),
    (
        r"alone right on (\d+) examples and alone wrong on (\d+) of ([\d,]+)",
        r"only it is right on \1 of \3 examples, and only the other on \2",
    ),
    (r"^Against the", "Compared with the"),
    (r"not surely within", "not certainly within"),
)
"""What has the same meaning in other words since."""


def as_said_today(sentence: str) -> str:
    for then, now in REWORDED:
        sentence = re.sub(then, now, sentence)
    return sentence


def decided_again(run_id: str, stored: DecisionRecord) -> Ruling:
    folder = f"runs/{run_id}/"
    own = load(files()[f"{folder}predictions.safetensors"])
    others = {
        name.rpartition("/")[2].removesuffix(".safetensors"): load(body)["logits"].argmax(axis=1)
        for name, body in files().items()
        if name.startswith(f"{folder}opponents/")
    }
    assert set(others) == {stored.champion} - {""}
    score = json.loads(files()[f"{folder}evaluation.json"]) | {"classes": list(CLASSES)}
    config: dict[str, Any] = json.loads(files()[f"{folder}run.json"])["config"]["gate"]
    return rule(
        EvaluationRecord(**score),
        own["labels"].astype(np.int64),
        own["logits"].argmax(axis=1),
        [Baseline("champion", other, predicted) for other, predicted in others.items()],
        Examples(False, ""),
        model_bytes=0,
        problem="",
        config=GateConfig(**config),
    )

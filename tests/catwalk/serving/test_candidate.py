"""Before a model ships it is asked in a real server process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load, save

from catwalk import extras
from catwalk.ledger.models.champion import in_service
from catwalk.ledger.records.decision import CheckRecord, DecisionRecord
from catwalk.ledger.records.run import STAGES
from catwalk.ledger.runs import Ledger, Run, new_run_id
from catwalk.stages.decide import decide
from catwalk.stages.lifecycle.opening import open_run
from catwalk.stages.pipeline import STAGE_FUNCTIONS
from catwalk.storage.opening import open_store
from catwalk.telemetry.observer import Silent
from tests.models.shapes import SHAPES
from tests.support.commands import unset_settings

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """An empty one in a folder."""
    unset_settings(monkeypatch)
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    return Ledger(open_store())


def candidate(ledger: Ledger, **knobs: Any) -> Run:
    """A run that would ship."""
    config = SHAPES.config.from_flat({"accuracy_floor": 0.2, "recall_floor": 0.0, "calibration_cap": 1.0, **knobs})
    run = open_run(ledger, new_run_id(), SHAPES, config, "cli")
    for stage in STAGES[:3]:
        STAGE_FUNCTIONS[stage](run, Silent())
    return run


def decision(run: Run) -> tuple[DecisionRecord, CheckRecord | None]:
    decide(run, Silent())
    found = run.decision()
    assert found
    return found, next((check for check in found.checks if check.check == "serves"), None)


def test_one_that_answers_as_in_its_test_ships_and_the_figures_are_kept(ledger: Ledger) -> None:
    run = candidate(ledger)
    found, check = decision(run)
    assert check and check.verdict == "passed", found
    assert "answers 150 of 150 examples as in its test" in check.sentence
    assert check.value and 0 < check.value < 1
    assert (found.decision, found.reason) == ("ship", "first") and in_service(run)


def test_one_that_answers_otherwise_is_held(ledger: Ledger) -> None:
    run = candidate(ledger)
    key = run.key("predictions.safetensors")
    stored = load(run.store.get(key).body)
    stored["logits"][:20] = stored["logits"][:20, ::-1]  # as if other code had made the test's answers
    run.store.put(key, save(stored))
    found, check = decision(run)
    assert (found.decision, found.reason) == ("hold", "serves") and not in_service(run)
    assert check and check.verdict == "failed" and " of 150 examples as in its test alone" in check.sentence


def test_one_that_its_server_refuses_is_held(ledger: Ledger) -> None:
    run = candidate(ledger)
    key = run.key("model.safetensors")
    run.store.put(key, run.store.get(key).body + b"\0")
    found, check = decision(run)
    assert (found.decision, found.reason) == ("hold", "serves")
    assert check and "the server refuses it" in check.sentence and "sha256" in check.sentence


def test_one_that_is_slower_than_its_cap_is_held(ledger: Ledger) -> None:
    found, check = decision(candidate(ledger, serve_p99_seconds_cap=1e-6))
    assert (found.reason, check and check.threshold) == ("serves", 1e-6)


def test_without_the_extra_or_where_it_is_off_nobody_asks_and_the_record_says_so(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(extras.EXTRAS, "serve", ("no_such_module",))
    found, check = decision(candidate(ledger))
    assert found.decision == "ship" and check and check.verdict == "skipped"
    assert check.sentence == (
        "It was not asked in a server: no_such_module is not installed (pip install 'catwalk-mlops[serve]')."
    )
    found, check = decision(candidate(ledger, serve_check="off", accuracy_floor=0.99))
    assert found.decision == "hold" and check is None, "what is held anyway is not asked"

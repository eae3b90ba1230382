"""The id of an episode's run, the run that it gets, and the slot in the ledger."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from catwalk.errors import PreconditionFailedError
from catwalk.ledger.records.retraining import ClaimRecord, RequestRecord, RetrainingSettings, SlotRecord
from catwalk.retraining import slots
from catwalk.retraining.episodes import asked_for, claim, claimed
from catwalk.retraining.events import Reset, TurnedOff, TurnedOn
from catwalk.retraining.run_ids import dag_run_id
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store

AIRFLOWS = re.compile(r"(?!.*\.\.)[A-Za-z0-9_.~:+-]{1,250}")
"""Airflow's `allowed_run_id_pattern`, the longest id, and the two dots that it refuses."""
NAMES = ["churn", "Kündigung 2", "解約", "a+b@c & d", "解" * 60, "解" * 59 + "約", "a__e1", "v1..2", "v1...2"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path.as_uri())


def test_a_run_is_called_by_its_model_and_number() -> None:
    assert dag_run_id("churn", 3) == "catwalk__churn__e3"
    assert dag_run_id("Kündigung 2", 3) == "catwalk__K~C3~BCndigung~202__e3"


def test_names_of_any_script_make_ids_that_airflow_takes_and_that_differ() -> None:
    made = [dag_run_id(name, number) for name in NAMES for number in (1, 999_999)]
    assert all(AIRFLOWS.fullmatch(one) for one in made)
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("model", NAMES)
def test_a_slot_and_a_claim_are_kept_under_names_of_any_script(store: Store, model: str) -> None:
    etag = slots.keep(store, SlotRecord(model, number=7), None)
    found = slots.find(store, model)
    assert found and (found[0].model, found[0].number, found[1]) == (model, 7, etag)
    assert list(slots.etags(store)) == [(model, etag)]
    assert claim(store, model, 7, ClaimRecord("run", "id"))
    assert claimed(store, model, 7) == ClaimRecord("run", "id")


def test_of_two_who_change_a_slot_one_wins(store: Store) -> None:
    etag = slots.keep(store, SlotRecord("churn"), None)
    slots.keep(store, SlotRecord("churn", number=1), etag)
    with pytest.raises(PreconditionFailedError):
        slots.keep(store, SlotRecord("churn", number=1), etag)
    with pytest.raises(PreconditionFailedError):
        slots.keep(store, SlotRecord("churn"), None)


def test_an_episode_is_claimed_by_one_run_whose_retry_finds_its_own(store: Store) -> None:
    won: list[str] = []

    def race(run: str) -> None:
        if claim(store, "churn", 1, ClaimRecord(run, "id")):
            won.append(run)

    threads = [threading.Thread(target=race, args=(f"run{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = won
    assert claim(store, "churn", 1, ClaimRecord(winner, "id")), "a retry of the first task keeps its claim"
    assert claimed(store, "churn", 2) is None


def test_only_what_a_slot_has_asked_for_is_an_alerts_run(store: Store) -> None:
    old, current = (RequestRecord(number, f"catwalk__churn__e{number}", "A", 0, 0) for number in (1, 2))
    slots.keep(store, SlotRecord("churn", number=2, episode=current, history=[old]), None)
    assert asked_for(store, "churn", "catwalk__churn__e2") == current
    assert asked_for(store, "churn", "catwalk__churn__e1") == old
    assert asked_for(store, "churn", "catwalk__churn__e3") is None, "a person gave a run this id"
    assert asked_for(store, "other", "catwalk__churn__e2") is None
    assert asked_for(store, "churn", "manual__2026-11-27") is None


def test_a_persons_word_is_kept(store: Store) -> None:
    settings = RetrainingSettings(dag_id="churn_training", budget=5)
    assert slots.change(store, "churn", TurnedOn(settings, "ann")).settings == replace(settings, on=True)
    slots.change(store, "churn", TurnedOff("bob"))
    found = slots.find(store, "churn")
    assert found and (found[0].settings.on, found[0].changed_by) == (False, "bob")
    before = found[1]
    slots.change(store, "churn", Reset("ann"))
    assert list(slots.etags(store)) == [("churn", before)], "an event that changes nothing is not written"

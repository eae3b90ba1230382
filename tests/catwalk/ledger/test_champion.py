"""The champion in a real S3: compared with, promoted and rolled back by hand, with its history."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from safetensors.numpy import save

from catwalk.codec import to_json
from catwalk.errors import ArtifactError, CatwalkError, DamagedError
from catwalk.gate.baselines import compare_examples
from catwalk.gate.promotion import promote_by_hand, rollback
from catwalk.ledger.examples import digests_key
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.runs import Run
from catwalk.stages.decide import decide
from catwalk.stages.test import test as score
from catwalk.stages.train import train
from catwalk.telemetry.observer import Silent
from tests.support.runs import decided, stage_process

pytestmark = pytest.mark.integration

MODEL = "mlp-synthetic"
BETTER = {"epochs": 8}
WORSE = {"epochs": 1, "peak_learning_rate": 1e-4}


def decision(run: Run) -> tuple[str, str]:
    record = run.decision()
    assert record is not None
    return record.decision, record.reason


def in_service(run: Run) -> str:
    found = Champions(run.store).get(MODEL)
    assert found is not None
    return found[0].run_id


def test_a_challenger_is_compared_with_the_champion_on_its_own_test_images(new_run: Callable[..., Run]) -> None:
    good = decided(new_run(**BETTER))
    assert decision(good) == ("ship", "first")
    bad = decided(new_run(**WORSE, accuracy_floor=0))
    assert decision(bad) == ("hold", "worse")
    record = bad.decision()
    assert record is not None
    assert record.champion == good.run_id
    better = {check.check: check for check in record.checks}["better"]
    mine, theirs = bad.evaluation(), good.evaluation()
    assert mine is not None and theirs is not None
    assert better.value == pytest.approx(mine.accuracy - theirs.accuracy)
    assert bad.store.exists(bad.key(f"opponents/{good.run_id}.safetensors"))
    assert in_service(bad) == good.run_id


def test_the_same_model_again_is_no_better(new_run: Callable[..., Run]) -> None:
    first, again = decided(new_run()), decided(new_run())
    assert decision(again) == ("hold", "no_better")
    assert in_service(again) == first.run_id


AS_GOOD = {"margin": 1, "class_significance": 1e-300, "significance": 1e-300}
"""Knobs with which any two models count as equally good."""


def sentence(run: Run) -> str:
    record = run.decision()
    assert record is not None
    return record.sentence


def forget_digests(run: Run) -> None:
    """Removes the digests from a run's dataset, as an older version stored it."""
    record = run.dataset()
    assert record is not None
    run.store.delete(digests_key(record.sha256))
    values = json.loads(to_json(record))
    del values["digests_sha256"]
    run.store.put(run.key("dataset.json"), json.dumps(values).encode())


def test_as_good_on_newer_data_ships(new_run: Callable[..., Run]) -> None:
    decided(new_run())
    newer = decided(new_run(train_examples=520, **AS_GOOD))
    assert decision(newer) == ("ship", "newer_data")
    assert "it learnt from all examples of the champion, and from 20 more" in sentence(newer)
    assert in_service(newer) == newer.run_id


def test_a_part_of_the_data_is_never_newer(new_run: Callable[..., Run]) -> None:
    champion = decided(new_run(train_examples=520))
    part = decided(new_run(**AS_GOOD))
    assert decision(part) != ("ship", "newer_data")
    record = part.decision()
    assert record is not None
    (check,) = [check for check in record.checks if check.check == "newer_data"]
    assert (check.verdict, check.sentence) == (
        "skipped",
        "No newer data: it lacks 20 of the champion's 520 examples.",
    )
    assert champion.run_id == record.champion


@pytest.mark.parametrize(
    ("knobs", "newer", "said"),
    [
        ({"train_examples": 520}, True, "from all examples of the champion, and from 20 more"),
        ({"validation_examples": 50, "train_examples": 550}, True, "from all examples of the champion, and from 50"),
        ({"train_examples": 480}, False, "it lacks 20 of the champion's 500 examples"),
        ({"split_seed": 1, "train_examples": 5_000}, False, "it lacks 4"),
        ({"split_seed": 1}, False, "it lacks 4"),
        ({"validation_examples": 200}, False, "it lacks 100 of the champion's 500 examples"),
        ({"seed": 12}, False, "it learnt from the same examples as the champion"),
    ],
)
def test_which_data_is_newer(knobs: dict[str, int], newer: bool, said: str, new_run: Callable[..., Run]) -> None:
    champion, challenger = new_run(), new_run(**knobs)
    found = compare_examples(challenger, champion)
    assert found.newer is newer
    assert said in found.sentence
    for runs in ([champion], [challenger], [champion, challenger]):
        for run in runs:
            forget_digests(run)
        assert compare_examples(challenger, champion) == found, "as an older version stored it"


def test_missing_data_is_not_newer_and_the_decision_says_so(new_run: Callable[..., Run]) -> None:
    champion, newer = decided(new_run()), new_run(train_examples=520, **AS_GOOD)
    forget_digests(champion)
    record = champion.dataset()
    assert record is not None
    champion.store.delete(f"datasets/{record.sha256}/train.safetensors")
    decided(newer)
    assert decision(newer) == ("hold", "no_better")
    assert "It is unknown whether its data is newer, so it counts as not newer: datasets/" in sentence(newer)


def spoil(run: Run, name: str, body: bytes) -> None:
    run.store.put(run.key(name), body)


def cut(run: Run, name: str) -> None:
    """Keeps the first half of a record."""
    body = run.store.get(run.key(name)).body
    spoil(run, name, body[: len(body) // 2])


@pytest.mark.parametrize("name", ["model.safetensors", "epochs.json", "evaluation.json", "run.json"])
def test_a_damaged_champion_holds_until_someone_acts(name: str, new_run: Callable[..., Run]) -> None:
    old = decided(new_run())
    cut(old, name)
    new = decided(new_run(**BETTER))
    assert decision(new) == ("hold", "precondition")
    assert "A comparison with the champion is not possible: " in sentence(new)
    assert old.run_id in sentence(new) and "`catwalk promote RUN` or `catwalk rollback`" in sentence(new)
    promote_by_hand(new, "ada", "the old one is damaged")
    assert in_service(new) == new.run_id
    assert decision(decided(new_run(**BETTER, seed=12)))[1] != "precondition"


def test_a_damaged_anchor_holds_and_is_replaced_by_hand(new_run: Callable[..., Run]) -> None:
    best, worse = decided(new_run(**BETTER)), decided(new_run(**WORSE, accuracy_floor=0))
    assert promote_by_hand(worse, "ada", "try it").anchor == best.run_id
    cut(best, "evaluation.json")
    new = decided(new_run())
    assert decision(new) == ("hold", "precondition")
    assert "A comparison with the anchor is not possible: " in sentence(new)
    assert promote_by_hand(new, "ada", "the best is lost").anchor == new.run_id


def test_an_accuracy_of_nan_makes_no_anchor_and_ends_none(new_run: Callable[..., Run]) -> None:
    best, lost = decided(new_run(**BETTER)), decided(new_run(**WORSE, accuracy_floor=0))
    values = json.loads(lost.store.get(lost.key("evaluation.json")).body)
    spoil(lost, "evaluation.json", json.dumps({**values, "accuracy": "NaN"}).encode())
    assert promote_by_hand(lost, "ada", "try it").anchor == best.run_id
    spoil(best, "evaluation.json", json.dumps({**values, "accuracy": "NaN"}).encode())
    new = decided(new_run(**WORSE, seed=12, accuracy_floor=0))
    assert promote_by_hand(new, "ada", "the best has no score").anchor == new.run_id


def test_a_champion_of_a_newer_version_is_a_champion(new_run: Callable[..., Run]) -> None:
    old = decided(new_run())
    values = json.loads(old.store.get(old.key("run.json")).body)
    values["config"]["training"] |= {"mixup": 0.1, "epochs": 100_000}
    values |= {"invented": [1]}
    spoil(old, "run.json", json.dumps(values).encode())
    assert decision(decided(new_run())) == ("hold", "no_better")
    new = decided(new_run(**BETTER))
    assert new.decision().champion == old.run_id  # type: ignore[union-attr]


def test_a_network_that_this_version_cannot_build_is_not_guessed_at(new_run: Callable[..., Run]) -> None:
    """Its weights fit, but another network would compute its answers, so the answers of its own test count."""
    old = decided(new_run())
    values = json.loads(old.store.get(old.key("run.json")).body)
    values["config"]["network"] |= {"activation": "gelu"}
    spoil(old, "run.json", json.dumps(values).encode())
    new = decided(new_run(**BETTER))
    record = new.decision()
    assert record is not None
    (asked,) = [check for check in record.checks if check.check == "precondition"]
    assert "The champion could not be asked again, so the answers of its own test count: " in asked.sentence
    assert "the network has settings that this version can't read (activation)" in asked.sentence


def test_a_record_of_the_champion_that_is_damaged_holds_and_nothing_is_promoted(new_run: Callable[..., Run]) -> None:
    old, key = decided(new_run()), f"champions/{MODEL}.json"
    whole = old.store.get(key).body
    old.store.put(key, whole[:50])
    new = decided(new_run(**BETTER))
    assert decision(new) == ("hold", "precondition")
    assert f"{key} is damaged" in sentence(new) and "restore it from a backup, or delete it" in sentence(new)
    assert old.store.get(key).body == whole[:50], "for the operator who fixes it"
    with pytest.raises(DamagedError, match="restore it from a backup"):
        promote_by_hand(new, "ada", "why not")
    old.store.delete(key)
    promote_by_hand(old, "ada", "as before")
    assert in_service(new) == old.run_id


@pytest.mark.parametrize("body", [b"damaged", save({"other": np.zeros(1, dtype=np.float32)})])
def test_damaged_predictions_of_a_baseline_are_computed_again(body: bytes, new_run: Callable[..., Run]) -> None:
    old, new = decided(new_run()), new_run(**BETTER)
    for stage in (train, score):
        stage(new, Silent())
    spoil(new, f"opponents/{old.run_id}.safetensors", body)
    decide(new, Silent())
    assert decision(new)[1] != "precondition"


def test_own_predictions_that_are_damaged_are_one_line(new_run: Callable[..., Run]) -> None:
    run = new_run()
    for stage in (train, score):
        stage(run, Silent())
    spoil(run, "predictions.safetensors", b"damaged")
    with pytest.raises(ArtifactError, match=r"predictions\.safetensors is damaged"):
        decide(run, Silent())


def test_a_decision_interrupted_after_the_promotion_compares_with_what_it_replaced(new_run: Callable[..., Run]) -> None:
    old = decided(new_run(**WORSE, accuracy_floor=0))
    new = new_run(**BETTER)
    for stage in (train, score):
        stage(new, Silent())
    process = stage_process(new, "decide", f"{MODEL}.json", "1", "after")
    process.communicate(timeout=300)
    assert in_service(new) == new.run_id
    assert new.decision() is None
    decide(new, Silent())
    assert decision(new) == ("ship", "better")
    record = new.decision()
    assert record is not None
    assert record.champion == old.run_id


def test_promotions_and_rollbacks_by_hand_keep_their_history(new_run: Callable[..., Run]) -> None:
    a, b, c = decided(new_run()), decided(new_run()), decided(new_run())
    promote_by_hand(b, "ada", "try b")
    promote_by_hand(c, "ada", "try c")
    rollback(a.store, MODEL, "bob", "c is slow")
    assert in_service(a) == b.run_id
    record = rollback(a.store, MODEL, "bob", "b too")
    assert in_service(a) == a.run_id
    with pytest.raises(CatwalkError, match="is the first champion of mlp-synthetic; there is no earlier one"):
        rollback(a.store, MODEL, "bob", "once more")
    told = [(change.run_id, change.previous, change.by, change.reason, change.rollback) for change in record.history]
    assert told == [
        (a.run_id, "", "gate", "first", False),
        (b.run_id, a.run_id, "ada", "try b", False),
        (c.run_id, b.run_id, "ada", "try c", False),
        (b.run_id, c.run_id, "bob", "c is slow", True),
        (a.run_id, b.run_id, "bob", "b too", True),
    ]
    with pytest.raises(CatwalkError, match="is already the champion"):
        promote_by_hand(a, "ada", "again")


def test_without_a_champion_there_is_nothing_to_roll_back(new_run: Callable[..., Run]) -> None:
    with pytest.raises(CatwalkError, match="mlp-synthetic has no champion"):
        rollback(new_run().store, MODEL, "bob", "why not")

"""The champion in a real S3: compared with, promoted and rolled back by hand, with its history."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ml.champion import Champions
from ml.errors import CatwalkError
from ml.observer import Silent
from ml.pipeline import decide, run_stages, train
from ml.pipeline import test as score
from ml.runs import Run
from tests.ml.conftest import stage_process

pytestmark = pytest.mark.integration

MODEL = "mlp-synthetic"
BETTER = {"epochs": 8}
WORSE = {"epochs": 1, "peak_learning_rate": 1e-4}


def finished(run: Run) -> Run:
    run_stages(run, Silent())
    return run


def decision(run: Run) -> tuple[str, str]:
    record = run.decision()
    assert record is not None
    return record.decision, record.reason


def in_service(run: Run) -> str:
    found = Champions(run.store).get(MODEL)
    assert found is not None
    return found[0].run_id


def test_a_challenger_is_compared_with_the_champion_on_its_own_test_images(new_run: Callable[..., Run]) -> None:
    good = finished(new_run(**BETTER))
    assert decision(good) == ("ship", "first")
    bad = finished(new_run(**WORSE, accuracy_floor=0))
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
    first, again = finished(new_run()), finished(new_run())
    assert decision(again) == ("hold", "no_better")
    assert in_service(again) == first.run_id


def test_as_good_on_newer_data_ships(new_run: Callable[..., Run]) -> None:
    finished(new_run())
    newer = finished(new_run(train_examples=520, margin=1, class_significance=1e-300, significance=1e-300))
    assert decision(newer) == ("ship", "newer_data")
    assert in_service(newer) == newer.run_id


def test_a_champion_that_is_damaged_blocks_until_somebody_acts(new_run: Callable[..., Run]) -> None:
    old = finished(new_run())
    old.store.put(old.key("model.safetensors"), b"damaged")
    new = finished(new_run(**BETTER))
    assert decision(new) == ("hold", "precondition")
    record = new.decision()
    assert record is not None
    assert "The champion can't be compared with" in record.sentence
    Champions(new.store).promote_by_hand(new, "ada", "the old one is damaged")
    assert in_service(new) == new.run_id


def test_a_decision_interrupted_after_the_promotion_compares_with_what_it_replaced(new_run: Callable[..., Run]) -> None:
    old = finished(new_run(**WORSE, accuracy_floor=0))
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
    a, b, c = finished(new_run()), finished(new_run()), finished(new_run())
    champions = Champions(a.store)
    champions.promote_by_hand(b, "ada", "try b")
    champions.promote_by_hand(c, "ada", "try c")
    champions.rollback(MODEL, "bob", "c is slow")
    assert in_service(a) == b.run_id
    record = champions.rollback(MODEL, "bob", "b too")
    assert in_service(a) == a.run_id
    with pytest.raises(CatwalkError, match="is the first champion of mlp-synthetic: nothing was before it"):
        champions.rollback(MODEL, "bob", "once more")
    told = [(change.run_id, change.previous, change.by, change.reason, change.rollback) for change in record.history]
    assert told == [
        (a.run_id, "", "gate", "first", False),
        (b.run_id, a.run_id, "ada", "try b", False),
        (c.run_id, b.run_id, "ada", "try c", False),
        (b.run_id, c.run_id, "bob", "c is slow", True),
        (a.run_id, b.run_id, "bob", "b too", True),
    ]
    with pytest.raises(CatwalkError, match="is the champion already"):
        champions.promote_by_hand(a, "ada", "again")


def test_without_a_champion_there_is_nothing_to_roll_back(new_run: Callable[..., Run]) -> None:
    with pytest.raises(CatwalkError, match="mlp-synthetic has no champion"):
        Champions(new_run().store).rollback(MODEL, "bob", "why not")

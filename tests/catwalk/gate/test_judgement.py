"""The decision about a model of any kind: floors, paired tests, slices, tails, and when it is inconclusive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from catwalk.errors import ConfigError
from catwalk.gate.config import Thresholds
from catwalk.gate.decision import Examples, Ruling
from catwalk.gate.judgement import PairedBaseline, judge
from catwalk.ledger.records.decision import CheckRecord
from catwalk.problems import Binary, Multiclass, Regression
from catwalk.problems.interface import Outcome, Problem
from catwalk.problems.paired.pairing import Keyed, pair

N = 4_000
RANDOM = np.random.default_rng(3)
TRUTH = RANDOM.normal(size=N)
MINE, THEIRS, OTHERS = RANDOM.normal(size=(3, N))
KEYS = np.arange(N)
SAME, NEWER = Examples(False, "No newer data."), Examples(True, "Newer data.")
LAND = np.where(np.arange(N) % 4 == 0, "it", "de").astype(object)


def answers(problem: Problem, noise: float, draw: Any = MINE, shift: Any = 0.0) -> Outcome:
    """Returns the answers of a model whose signal has this much noise."""
    signal = TRUTH + noise * draw + shift
    if isinstance(problem, Regression):
        return problem.measure(TRUTH, signal)
    if isinstance(problem, Binary):
        return problem.measure(TRUTH > 1, 1 / (1 + np.exp(3 - 3 * signal)))
    return problem.measure(TRUTH > 0, np.stack([-signal, signal], axis=1))


def judged(problem: Problem, outcome: Outcome, *others: tuple[str, Outcome], **changes: Any) -> Ruling:
    given: dict[str, Any] = {"slices": {}, "examples": SAME, **changes}
    mine = Keyed(KEYS, outcome.loss)
    baselines = [PairedBaseline(role, pair(mine, Keyed(KEYS, other.loss))) for role, other in others]  # type: ignore[arg-type]
    return judge(problem, outcome, baselines, **given)


def check(ruling: Ruling, name: str) -> CheckRecord:
    return next(entry for entry in ruling.checks if entry.check == name)


PROBLEMS: list[Problem] = [Multiclass(("low", "high")), Binary(), Regression("EUR")]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.kind)
def test_the_first_model_ships_and_says_how_good_it_is(problem: Problem) -> None:
    outcome = answers(problem, 0.3)
    ruling = judged(problem, outcome)
    assert (ruling.decision, ruling.reason) == ("ship", "first")
    assert "over 4,000 examples." in ruling.sentence
    assert check(ruling, "quality").value == outcome.metrics[problem.metrics[0].name]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.kind)
def test_better_ships_worse_is_held_and_as_good_needs_newer_data(problem: Problem) -> None:
    good, bad = answers(problem, 0.3), answers(problem, 0.6, THEIRS)
    shipped = judged(problem, good, ("champion", bad))
    held = judged(problem, bad, ("champion", good), examples=NEWER)
    assert (shipped.decision, shipped.reason) == ("ship", "better")
    assert (held.decision, held.reason) == ("hold", "worse")
    assert (check(held, "better").value or 0) == -(check(shipped, "better").value or 0) < 0
    again = judged(problem, good, ("champion", good))
    newer = judged(problem, good, ("champion", good), examples=NEWER)
    assert (again.decision, again.reason) == ("hold", "no_better")
    assert (newer.decision, newer.reason) == ("ship", "newer_data")


def test_the_sentence_is_in_the_metrics_unit_and_names_the_test() -> None:
    ruling = judged(Regression("EUR"), answers(Regression("EUR"), 0.3), ("champion", answers(Regression(), 0.6)))
    sentence = check(ruling, "better").sentence
    assert "The challenger is better than the champion: 0.2" in sentence
    assert "EUR better, mean mae of 4,000 examples (Student's paired t-test p = " in sentence


def test_floors_follow_the_metrics_direction() -> None:
    problem = Binary()
    outcome = answers(problem, 0.3)
    auc, loss = outcome.metrics["auc"], outcome.metrics["log_loss"]
    floors = {"auc": auc + 0.01, "log_loss": loss + 0.01}
    ruling = judged(problem, outcome, thresholds=Thresholds(floors=floors))
    assert (ruling.decision, ruling.reason) == ("hold", "floor")
    assert check(ruling, "auc_floor").verdict == "failed"
    assert "is below the floor of" in check(ruling, "auc_floor").sentence
    assert check(ruling, "log_loss_floor").verdict == "passed"
    assert "nats is within the cap of" in check(ruling, "log_loss_floor").sentence


def test_a_floor_on_an_undefined_metric_fails_and_on_an_unknown_one_is_an_error() -> None:
    constant = Regression().measure([1.0, 1.0], [1.0, 1.5])
    ruling = judge(Regression(), constant, [], {}, SAME, Thresholds(floors={"r2": 0.5}))
    assert (ruling.decision, ruling.reason) == ("hold", "floor")
    assert "r2 can't be measured on these examples" in check(ruling, "r2_floor").sentence
    with pytest.raises(ConfigError, match=r"floors: expected metrics out of mae, rmse, .*; got 'accuracy'"):
        judge(Regression(), constant, [], {}, SAME, Thresholds(floors={"accuracy": 0.5}))


def test_a_slice_that_got_worse_holds_a_better_model() -> None:
    problem = Regression()
    shift = np.where(LAND == "it", 0.7, 0.0)
    ruling = judged(
        problem, answers(problem, 0.1, shift=shift), ("champion", answers(problem, 0.6, THEIRS)), slices={"land": LAND}
    )
    assert check(ruling, "better").verdict == "passed"
    assert (ruling.decision, ruling.reason) == ("hold", "class")
    assert "land it got worse by 0.2" in ruling.sentence


def test_true_classes_are_slices_beside_those_named() -> None:
    problem = Multiclass(("low", "high"))
    tilted = answers(problem, 0.1, shift=0.4)
    ruling = judged(problem, tilted, ("champion", answers(problem, 0.3, THEIRS)), slices={"land": LAND})
    assert check(ruling, "slice_regression").verdict == "failed"
    assert "class low got worse by" in check(ruling, "slice_regression").sentence


def test_without_slices_there_is_nothing_to_get_worse() -> None:
    ruling = judged(Regression(), answers(Regression(), 0.3), ("champion", answers(Regression(), 0.6)))
    assert check(ruling, "slice_regression").verdict == "skipped"


def test_rare_big_errors_hold_a_model_with_a_smaller_mean_error() -> None:
    problem, spikes = Regression(), np.where(np.arange(N) % 50 == 0, 6.0, 0.0)
    ruling = judged(problem, answers(problem, 0.3, shift=spikes), ("champion", answers(problem, 0.6, THEIRS)))
    assert check(ruling, "better").verdict == "passed"
    assert check(ruling, "not_inferior_champion_rmse").verdict == "failed"
    assert (ruling.decision, ruling.reason) == ("hold", "worse")


def test_the_anchor_stops_slow_erosion_of_any_metric() -> None:
    problem = Regression()
    best = answers(problem, 0.3)
    kept, new = (answers(problem, noise, 0.95 * MINE + 0.31 * own) for noise, own in ((0.312, THEIRS), (0.32, OTHERS)))
    given: dict[str, Any] = {"examples": NEWER, "thresholds": Thresholds(significance=1e-9)}
    alone = judged(problem, new, ("champion", kept), **given)
    anchored = judged(problem, new, ("champion", kept), ("anchor", best), **given)
    assert (alone.decision, alone.reason) == ("ship", "newer_data")
    assert (anchored.decision, anchored.reason) == ("hold", "worse")


def test_a_test_set_too_small_for_the_margin_ships_nothing_for_newer_data() -> None:
    problem = Multiclass()
    one, other = answers(problem, 0.3), answers(problem, 0.3, THEIRS)
    ruling = judged(problem, one, ("champion", other), examples=NEWER, thresholds=Thresholds(margin=0.011))
    assert check(ruling, "better").verdict == "inconclusive"
    assert check(ruling, "test_set_size").verdict == "inconclusive"
    assert (ruling.decision, ruling.reason) == ("hold", "inconclusive")
    assert "A margin of 1.10 points needs" in ruling.sentence
    wide = judged(problem, one, ("champion", other), examples=NEWER, thresholds=Thresholds(margin=0.03))
    assert (wide.decision, wide.reason) == ("ship", "newer_data")


def test_fewer_than_a_hundred_positives_decide_nothing() -> None:
    problem, labels = Binary(), np.arange(N) < 99
    good, bad = (problem.measure(labels, np.where(labels, up, 0.01)) for up in (0.9, 0.02))
    ruling = judged(problem, good, ("champion", bad), examples=NEWER)
    assert (ruling.decision, ruling.reason) == ("hold", "inconclusive")
    assert ruling.sentence.count("There are 99 examples of class 1; a comparison needs 100 of each.") == 1


@pytest.mark.parametrize("role", ["champion", "anchor"])
def test_other_examples_decide_nothing_and_the_decision_says_so(role: str) -> None:
    problem = Regression()
    good, bad = answers(problem, 0.3), answers(problem, 0.6, THEIRS)
    mine, theirs = Keyed(KEYS, good.loss), Keyed(KEYS, bad.loss)
    elsewhere = pair(mine, Keyed(KEYS + N, bad.loss))
    pairs = {"champion": pair(mine, theirs), "anchor": pair(mine, theirs), role: elsewhere}
    baselines = [PairedBaseline(name, found) for name, found in pairs.items()]  # type: ignore[arg-type]
    ruling = judge(problem, good, baselines, {}, NEWER)
    assert (ruling.decision, ruling.reason) == ("hold", "inconclusive")
    assert f"The {role}: Not comparable: 0 of 4,000 test examples are in both" in ruling.sentence


def test_trouble_holds() -> None:
    ruling = judged(Regression(), answers(Regression(), 0.3), trouble="The champion is not known.")
    assert (ruling.decision, ruling.reason) == ("hold", "precondition")
    assert "The champion is not known." in ruling.sentence

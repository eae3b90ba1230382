"""A sweep's choice: by validation, once, among the finished trials; and how its trials end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from catwalk.errors import NoTrialError
from catwalk.ledger.records.sweep import TrialRecord
from catwalk.ledger.runs import Ledger, Run, new_run_id
from catwalk.ledger.summaries import shown_state
from catwalk.ledger.sweep import NOT_CHOSEN, forget, ranked, winner
from catwalk.ledger.sweep import chosen as chosen_by
from catwalk.stages.lifecycle.opening import open_run
from catwalk.stages.pipeline import STAGE_FUNCTIONS
from catwalk.stages.sweeps.choice import choice, choose, standings
from catwalk.stages.sweeps.search import Trial
from catwalk.telemetry.observer import Silent
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import RunConfig
from tests.support.runs import SMALL

SWEEP = "20261123T030000Z-7f3a90c1"


def trial(name: str, accuracy: float | None, loss: float | None = 0.5) -> TrialRecord:
    return TrialRecord(f"20261123T030000Z-{name * 8}", {"dropout": 0.2}, accuracy, loss if accuracy else None)


def test_accuracy_decides_then_the_loss_then_the_order_of_the_plan() -> None:
    trials = [trial("a", 0.8), trial("b", None), trial("c", 0.9, 0.4), trial("d", 0.9, 0.3), trial("e", 0.9, 0.3)]
    assert [record.run_id[-1] for record in ranked(trials)] == ["d", "e", "c", "a"]


def test_the_choice_says_by_how_much_and_how_many_trials_did_not_finish() -> None:
    chosen = choice(SWEEP, [trial("a", 0.80), trial("b", 0.81), trial("c", None)], 1.0)
    assert chosen.winner.endswith("b")
    assert chosen.sentence == (
        "Best by validation of 2 trials: accuracy 81.00%, 1.00 points above the next; 1 more did not finish."
    )
    lines = standings(chosen)
    assert [line[0] for line in lines[1:]] == ["→", " ", " "]
    assert "did not finish  dropout=0.2" in lines[-1]


@pytest.mark.parametrize("nothing", [math.nan, math.inf, -math.inf])
def test_a_result_of_nan_ranks_no_trial(nothing: float) -> None:
    worse, better = trial("a", 0.8), trial("c", 0.9)
    for odd in (trial("b", nothing), trial("b", 0.99, nothing)):
        for order in ([odd, worse, better], [better, odd, worse], [worse, better, odd]):
            chosen = choice(SWEEP, order, 1.0)
            assert chosen.winner == better.run_id
            assert chosen.sentence.endswith("1 more did not finish.")
            assert "did not finish" in standings(chosen)[-1]


def test_a_single_trial_is_the_best() -> None:
    assert choice(SWEEP, [trial("a", 0.5)], 1.0).sentence == "Best by validation of 1 trial: accuracy 50.00%."


def test_no_finished_trial_is_an_error() -> None:
    with pytest.raises(NoTrialError, match="none of the 2 trials"):
        choice(SWEEP, [trial("a", None), trial("b", None)], 1.0)


@pytest.fixture
def trials(ledger: Ledger) -> dict[str, Trial]:
    """Three trials: one with hardly any training, one that was never opened, and a better one."""
    varied: list[Trial] = [{"epochs": 1, "peak_learning_rate": 1e-6}, {"dropout": 0.5}, {"epochs": 4}]
    named = {new_run_id(): values for values in varied}
    for index, (run_id, values) in enumerate(named.items()):
        if index != 1:
            config = RunConfig.from_flat({**SMALL, **values})
            run = open_run(ledger, run_id, CLASSIFIER, config, "sweep", "fashion_sweep", "manual__1", SWEEP)
            stages(run, "ingest", "train")
    return named


def stages(run: Run, *names: str) -> None:
    for name in names:
        STAGE_FUNCTIONS[name](run, Silent())  # type: ignore[index]


@pytest.mark.integration
def test_one_trial_is_tested_and_the_others_say_why_not(ledger: Ledger, trials: Mapping[str, Trial]) -> None:
    worse, _, better = trials
    with pytest.raises(NoTrialError, match="has not chosen a trial yet"):
        winner(ledger, SWEEP)
    waiting = ledger.run(worse).summary()
    assert waiting is not None
    assert waiting.waits_for_others
    assert shown_state(waiting, waiting.updated + 3_600, 600) == "running", "it waits for the others"
    assert shown_state(waiting, waiting.updated + 90_000, 600) == "stalled", "but not forever"
    slow = replace(waiting, sweep_wait=100_000)
    assert shown_state(slow, waiting.updated + 90_000, 600) == "running", "as its DAG says"
    assert shown_state(replace(slow, stage="test"), waiting.updated + 601, 600) == "stalled", "but nothing else may"
    chosen = choose(ledger, SWEEP, trials)
    assert chosen.winner == better
    stages(winner(ledger, SWEEP), "test", "decide")
    for run_id in (worse, better):
        stages(ledger.run(run_id), "publish")
    loser, best = ledger.run(worse).summary(), ledger.run(better).summary()
    assert loser is not None
    assert best is not None
    assert (best.state, best.decision, best.sweep) == ("succeeded", "ship", SWEEP)
    assert (loser.state, loser.decision, loser.reason, loser.error) == ("succeeded", "", NOT_CHOSEN, "")
    assert loser.sentence.startswith(f"Not tested: another trial of the sweep was better by validation, {better} with")
    assert loser.test_accuracy is None
    assert ledger.run(worse).evaluation() is None, "the test split was looked at once"
    report = ledger.store.get(ledger.run(worse).key("report.html")).body.decode()
    assert "Not tested: another trial of the sweep was better" in report
    assert "never tested" not in report
    assert chosen.sentence in ledger.store.get(ledger.run(better).key("report.html")).body.decode()


@pytest.mark.integration
def test_a_damaged_trial_leaves_the_choice_to_the_others(
    ledger: Ledger, trials: Mapping[str, Trial], caplog: pytest.LogCaptureFixture
) -> None:
    worse, _, better = trials
    ledger.store.put(ledger.run(better).key("epochs.json"), b"{")
    chosen = choose(ledger, SWEEP, trials)
    assert chosen.winner == worse
    assert "2 more did not finish" in chosen.sentence
    assert f"runs/{better}/epochs.json is damaged" in caplog.text


@pytest.mark.integration
def test_a_choice_is_final(ledger: Ledger, trials: Mapping[str, Trial]) -> None:
    first, late, _ = trials
    chosen = choose(ledger, SWEEP, {first: trials[first]})
    assert choose(ledger, SWEEP, trials) == chosen
    config = RunConfig.from_flat({**SMALL, **trials[late]})
    stages(open_run(ledger, late, CLASSIFIER, config, "sweep", sweep=SWEEP), "ingest", "train", "publish")
    summary = ledger.run(late).summary()
    assert summary is not None
    assert summary.sentence == f"Not tested: the sweep had chosen {first} before this trial finished."
    forget(ledger.store, {first})
    assert chosen_by(ledger.store, SWEEP) == chosen, "it stays with the last of its trials"
    ledger.store.put("sweeps/damaged.json", b"{")
    damaged = forget(ledger.store, {late})
    assert list(damaged) == ["sweeps/damaged.json"] and "is damaged" in damaged["sweeps/damaged.json"]
    assert chosen_by(ledger.store, SWEEP) is None, "the damaged trial keeps nothing else"


@pytest.mark.integration
def test_trials_of_a_sweep_that_never_chose_have_failed(ledger: Ledger, trials: Mapping[str, Trial]) -> None:
    run = ledger.run(next(iter(trials)))
    stages(run, "publish")
    summary = run.summary()
    assert summary is not None
    assert (summary.state, summary.error) == ("failed", "the run ended after train")
    assert not replace(summary, stage="train").waits_for_others

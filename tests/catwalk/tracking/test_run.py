"""What `catwalk.run` writes: the same ledger that the stages write, for a model of any kind."""

from __future__ import annotations

import json
import math
import threading
from contextlib import suppress
from itertools import count
from typing import Any

import numpy as np
import pandas
import pytest
import torch

import catwalk
from catwalk.errors import ConfigError, InputError
from catwalk.ledger.models import artifact
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.training import EpochRecord
from catwalk.ledger.runs import Ledger
from catwalk.ledger.summaries import Summaries
from catwalk.replay.points import left_out, run_points
from catwalk.replay.room import KEY
from catwalk.tracking import handle
from tests.catwalk.tracking.conftest import EXAMPLES, KEYS, LABELS, Program, only, scores


def one(as_of: str = "2026-11-25", noise: float = 0.1, **options: Any) -> Any:
    """A run from beginning to end."""
    with catwalk.run("churn", catwalk.Binary(), **options) as run:
        run.data(as_of=as_of)
        for epoch in range(1, 4):
            run.epoch(epoch, train={"loss": 1 / epoch}, validation={"loss": 2 / epoch, "auc": 0.9})
        run.model(b"weights of " + as_of.encode())
        run.test(LABELS, scores(noise), keys=KEYS, slices={"country": np.where(KEYS % 2, "de", "fr")})
    return run


def test_a_run_is_in_the_ledger_as_the_stages_would_have_written_it(ledger: Ledger) -> None:
    run = one(params={"depth": 6}, every="24h", owner="growth")
    stored = ledger.run(run.run_id)
    record, training, evaluation, decision = stored.record, stored.training(), stored.evaluation(), stored.decision()
    assert record.problem["kind"] == "binary" and record.owner == "growth" and record.schedule == "every 24 h"
    assert record.parameters == {"depth": 6}
    assert training and evaluation and decision
    assert [epoch.scores for epoch in training.epochs][-1] == {
        "train": {"loss": 1 / 3}, "validation": {"loss": 2 / 3, "auc": 0.9},
    }  # fmt: skip
    assert training.model_sha256 == artifact.verify(stored)
    assert evaluation.examples == EXAMPLES and 0 < evaluation.metrics["log_loss"] < 1
    assert {value: part.examples for value, part in evaluation.slices["country"].items()} == {"de": 1000, "fr": 1000}
    assert decision.decision == "would_ship" and str(decision).startswith("Would ship: no champion yet")
    assert [attempt.outcome for attempt in stored.attempts()] == ["succeeded"]
    (summary,) = Summaries(ledger.store).read()
    assert (summary.state, summary.trigger, summary.decision) == ("succeeded", "cli", "would_ship")
    assert summary.test_metrics == evaluation.scores and summary.last_metrics == training.epochs[-1].scores
    assert run_points(stored)  # replay and the emitter cope with a run without classes
    assert str(run.decision) == decision.sentence


def test_a_better_model_ships_and_a_worse_one_does_not(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_SHIP", "1")
    first = one(noise=0.2)
    better = one("2026-11-26", noise=0.1)
    worse = one("2026-11-27", noise=0.3)
    assert [run.decision.decision for run in (first, better, worse)] == ["ship", "ship", "hold"]
    assert (better.decision.reason, worse.decision.reason) == ("better", "worse")
    current = Champions(ledger.store).get("churn")
    assert current and current[0].run_id == better.run_id


def test_an_equally_good_model_ships_only_with_newer_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_SHIP", "1")
    assert one().decision.reason == "first"
    assert one("2026-11-25").decision.reason == "no_better"
    assert one("2026-11-26").decision.reason == "newer_data"


def test_nothing_but_a_shipping_run_touches_the_champion(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    assert one().decision.decision == "would_ship"
    monkeypatch.setenv("CATWALK_SHIP", "1")
    assert one(ship="never").decision.decision == "would_ship"
    assert Champions(ledger.store).get("churn") is None


@pytest.mark.parametrize(
    ("problem", "labels", "answers", "headline"),
    [
        (catwalk.Regression(), np.linspace(1, 9, 800), np.linspace(1, 9, 800) + 0.1, "mae"),
        (catwalk.Multiclass(), np.arange(800) % 3, np.eye(3)[np.arange(800) % 3], "accuracy"),
        (catwalk.Multiclass(("a", "b", "c")), np.arange(800) % 3, np.eye(3)[np.arange(800) % 3], "accuracy"),
    ],
)
def test_every_kind_of_problem(ledger: Ledger, problem: Any, labels: Any, answers: Any, headline: str) -> None:
    with catwalk.run("model", problem) as run:
        run.model(b"m")
        measured = run.test(labels, answers, test_set="holdout")
    stored = only(ledger)
    assert headline in measured and stored.summary().test_metrics == measured
    assert run.decision.decision == "would_ship"
    assert len(run_points(stored)) > 0


def test_without_a_test_a_run_is_untested(ledger: Ledger) -> None:
    with catwalk.run("churn", catwalk.Binary()) as run:
        run.epoch(1, train={"loss": 1.0})
    assert run.decision is None and only(ledger).summary().state == "untested"


def test_without_a_model_nothing_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_SHIP", "1")
    with catwalk.run("churn", catwalk.Binary()) as run:
        run.test(LABELS, scores())
    assert (run.decision.decision, run.decision.reason) == ("hold", "precondition")
    assert "run.model" in run.decision.sentence


def test_a_test_before_its_model_gets_the_model_in_the_end(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_SHIP", "1")
    with catwalk.run("churn", catwalk.Binary()) as run:
        run.test(LABELS, scores(), keys=KEYS)
        assert only(ledger).evaluation().model_sha256 == ""
        stored = run.model(b"weights")
    assert stored and only(ledger).evaluation().model_sha256 == stored.sha256
    assert run.decision.decision == "ship"


def test_a_model_logged_after_anothers_test_is_not_the_tested_one(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_SHIP", "1")
    run = catwalk.run("churn", catwalk.Binary())
    tested = run.model(b"tested")
    run.test(LABELS, scores(), keys=KEYS)
    run.model(b"another")
    assert tested and only(ledger).evaluation().model_sha256 == tested.sha256
    run.close()
    assert (run.decision.decision, run.decision.reason) == ("hold", "precondition")
    assert "is not the one that was tested: call run.test(…) after run.model(…)" in run.decision.sentence
    assert Champions(ledger.store).get("churn") is None


def test_the_model_of_an_earlier_attempt_is_not_the_one_that_the_next_has_tested(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_SHIP", "1")
    run = catwalk.run("churn", catwalk.Binary(), run_key="night")
    run.model(b"of the first attempt")
    run.__exit__(RuntimeError, RuntimeError(), None)
    with catwalk.run("churn", catwalk.Binary(), run_key="night") as run:
        run.test(LABELS, scores(), keys=KEYS)
        stored = run.model(b"of the second attempt")
    assert stored and only(ledger).evaluation().model_sha256 == stored.sha256
    assert run.decision.decision == "ship"


def test_without_keys_two_models_can_not_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_SHIP", "1")
    one()
    with catwalk.run("churn", catwalk.Binary()) as run:
        run.model(b"m")
        run.test(LABELS, scores())
    assert run.decision.reason == "inconclusive" and "give keys=" in run.decision.sentence


def decided(problem: Any, labels: Any, answers: Any) -> Any:
    """Returns the decision about a run of a model."""
    with catwalk.run("m", problem) as run:
        run.model(b"weights")
        run.test(labels, answers, keys=KEYS)
    return run.decision


def test_examples_whose_label_has_changed_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise, a target in another unit, or its logarithm, would make any model better."""
    monkeypatch.setenv("CATWALK_SHIP", "1")
    euros = np.linspace(1, 100, EXAMPLES)
    assert decided(catwalk.Regression("EUR"), euros, euros + 5).decision == "ship"
    thousands = decided(catwalk.Regression("kEUR"), euros / 1_000, euros / 1_000 + 0.1)
    assert (thousands.decision, thousands.reason) == ("hold", "inconclusive")
    assert "Not comparable: 0 of 2,000 test examples are in both test sets" in thousands.sentence
    assert "Another 2,000 have a different label there." in thousands.sentence
    corrected = np.where(KEYS < 100, euros + 1, euros).astype(np.float32)
    better = decided(catwalk.Regression("EUR"), corrected, corrected + 1)
    assert better.reason == "better" and "mean mae of 1,900 examples" in better.sentence


def test_classes_whose_numbers_have_changed_are_matched_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_SHIP", "1")
    names = np.asarray(["b", "d"])[LABELS]
    half = np.where(KEYS % 2, names, "b")
    assert decided(catwalk.Multiclass(("b", "d")), names, half).decision == "ship"
    assert decided(catwalk.Multiclass(("a", "b", "c", "d")), names, names).reason == "better"
    renamed = decided(catwalk.Multiclass(("u", "v", "w", "x")), LABELS * 2 + 1, LABELS * 2 + 1)
    assert renamed.reason == "no_better"


def test_another_clip_is_another_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_SHIP", "1")
    sure = np.where(KEYS % 50, LABELS, 1 - LABELS).astype(float)
    assert decided(catwalk.Binary(), LABELS, sure).decision == "ship"
    assert "has a different kind of problem" in decided(catwalk.Binary(clip=0.1), LABELS, sure).sentence


@pytest.mark.parametrize(("labels", "same"), [(LABELS, True), (1 - LABELS, False)])
def test_a_test_set_of_the_same_name_is_the_same_only_with_the_same_labels(
    labels: Any, same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_SHIP", "1")
    for noise, truth in ((0.3, LABELS), (0.1, labels)):
        with catwalk.run("churn", catwalk.Binary()) as run:
            run.model(b"m")
            run.test(truth, scores(noise), test_set="holdout")
    assert (run.decision.reason == "better") is same


def test_equal_inputs_are_distinguished_and_pair_two_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_SHIP", "1")
    for noise in (0.3, 0.1):
        with catwalk.run("churn", catwalk.Binary()) as run:
            run.model(b"m")
            run.test(LABELS, scores(noise), inputs=np.stack([KEYS // 2, KEYS % 2 * 0], axis=1))
    assert run.decision.reason == "better"


def test_the_test_is_the_same_for_columns_of_any_library(ledger: Ledger) -> None:
    frame = pandas.DataFrame({"label": LABELS, "score": scores(), "key": KEYS, "part": KEYS % 3}).set_index(KEYS[::-1])
    learned = torch.tensor(scores(), requires_grad=True)
    given: list[tuple[Any, Any, Any, Any]] = [
        (LABELS, scores(), KEYS, KEYS % 3),
        (LABELS.tolist(), scores().tolist(), KEYS.tolist(), (KEYS % 3).tolist()),
        (frame.label, frame.score, frame.key, frame.part),
        (frame[["label"]], frame[["score"]], frame[["key"]], frame.part.astype("category")),
        (
            frame.label.astype("boolean"),
            frame.score.astype("Float64"),
            frame.key.astype("str"),
            frame.part.astype(float),
        ),
        (torch.tensor(LABELS), learned, torch.tensor(KEYS), torch.tensor(KEYS % 3)),
        (torch.tensor(LABELS) == 1, learned.clone()[:, None], frame.key, frame.part),
    ]
    found = []
    for labels, answers, keys, part in given:
        with catwalk.run("churn", catwalk.Binary()) as run:
            run.test(labels, answers, keys=keys, slices={"part": part})
        stored = ledger.run(run.run_id).evaluation()
        assert stored
        found.append((stored.outcome_sha256, stored.metrics, stored.slices))
    assert found == found[:1] * len(given)


def test_nothing_stored_reveals_a_key(ledger: Ledger) -> None:
    names = np.asarray([f"customer-{key}" for key in KEYS])
    with catwalk.run("churn", catwalk.Binary()) as run:
        run.test(LABELS, scores(), keys=names)
    assert run.run_id
    assert not [entry.key for entry in ledger.store.list("") if b"customer-17" in ledger.store.get(entry.key).body]


def test_nan_is_a_value_like_any_other(ledger: Ledger) -> None:
    with catwalk.run("churn", catwalk.Binary()) as run:
        run.epoch(1, train={"loss": math.nan}, validation={"auc": math.inf})
    (epoch,) = only(ledger).training().epochs
    assert math.isnan(epoch.train_loss) and epoch.metrics == {"validation": {"auc": math.inf}}


def test_logged_values_belong_to_the_next_epoch_to_end_or_to_the_last(ledger: Ledger) -> None:
    with catwalk.run("churn", catwalk.Binary()) as run:
        run.log(learning_rate=0.1)
        run.log({"tokens": 5})
        run.epoch(1, train={"loss": 1.0})
        run.epoch(1, validation={"loss": 2.0})
        run.log({"late": 3}, split="validation")
    (epoch,) = only(ledger).training().epochs
    assert isinstance(epoch, EpochRecord)
    assert (epoch.learning_rate, epoch.train_loss, epoch.validation_loss) == (0.1, 1.0, 2.0)
    assert epoch.metrics == {"train": {"tokens": 5.0}, "validation": {"late": 3.0}}


def test_more_values_than_an_epoch_may_have_are_refused_when_they_are_logged(ledger: Ledger) -> None:
    """An epoch can't take the waiting values, nor can the end, which must not fail because of them."""
    with catwalk.run("churn", catwalk.Binary()) as run:
        run.log({f"m{number}": 1.0 for number in range(60)})
        with pytest.raises(InputError, match="log: expected at most 100 metrics; got 120"):
            run.log({f"m{number}": 1.0 for number in range(60)}, split="validation")
        run.test(LABELS, scores(), keys=KEYS)
    assert run.decision and len(only(ledger).training().epochs[0].metrics["train"]) == 60


def test_threads_may_log_while_an_epoch_ends(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one thread logs is neither lost between two epochs, nor ends the other thread's training."""
    run, number = catwalk.run("churn", catwalk.Binary()), count(1)
    threads = [threading.Thread(target=lambda: [run.log({str(next(number)): 1.0}) for _ in range(40)]) for _ in "ab"]
    record = handle.epoch_record

    def meanwhile(*arguments: Any) -> Any:
        made = record(*arguments)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(0.2)
        return made

    with monkeypatch.context() as patch:
        patch.setattr(handle, "epoch_record", meanwhile)
        run.epoch(1, train={"loss": 1.0})
    for thread in threads:
        thread.join()
    run.epoch(2)
    run.close()
    logged = [name for epoch in only(ledger).training().epochs for name in epoch.metrics.get("train", {})]
    assert sorted(map(int, logged)) == list(range(1, 81))


def test_a_lower_number_replaces_all_epochs_from_there_on(ledger: Ledger) -> None:
    with catwalk.run("churn", catwalk.Binary()) as run:
        for number in (*range(1, 301), 150, 151):
            run.epoch(number, train={"loss": float(number)})
    assert [epoch.epoch for epoch in only(ledger).training().epochs] == [*range(1, 152)]


def test_a_model_may_be_a_folder_a_file_bytes_or_lie_elsewhere(ledger: Ledger, tmp_path: Any) -> None:
    folder = tmp_path / "model"
    (folder / "parts").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "parts" / "1.bin").write_bytes(b"1")
    with catwalk.run("churn", catwalk.Binary()) as run:
        whole = run.model(folder)
        assert whole and sorted(whole.files) == ["config.json", "parts/1.bin"]
        alone = run.model(str(folder / "config.json"))
        assert alone and alone.sha256 == whole.files["config.json"].sha256
        elsewhere = run.model(uri="s3://user:pass@models/churn", sha256="a" * 64)
        assert elsewhere and elsewhere.uri == "s3://(redacted)@models/churn"
    assert only(ledger).training().model_sha256 == "a" * 64


def test_secrets_are_not_stored(ledger: Ledger) -> None:
    params = {
        "db_password": "p1", "apiKey": "p2", "nested": {"token": "p3"}, "url": "postgres://me:p4@host/db?sig=p5",
        "max_tokens": 512, "databases": [{"host": "db", "password": "p6"}], "clone": "https://p7@github.com/a/b",
        "replica": "postgres://me:p8@p9@host/db",
    }  # fmt: skip
    with catwalk.run("churn", catwalk.Binary(), params=params) as run:
        pass
    body = ledger.store.get(ledger.run(run.run_id).key("run.json")).body
    assert not [secret for secret in range(1, 10) if b"p%d" % secret in body]
    assert ledger.run(run.run_id).record.parameters["databases.0.host"] == "db"
    assert ledger.run(run.run_id).record.parameters["max_tokens"] == 512


def test_params_are_the_same_in_every_process(ledger: Ledger, program: Program) -> None:
    """A retry that seems to have other parameters is refused."""
    code = (
        "import catwalk; noise = bytearray({noise}); params = {{'func': lambda: 0, 'columns': set('abcdefgh')}}\n"
        "catwalk.run('churn', catwalk.Binary(), params=params, run_key='night')"
    )
    for number in range(2):
        started = program(code.format(noise=number * 2**16), PYTHONHASHSEED=str(number))
        assert started.wait(timeout=500) == 0, started.stderr and started.stderr.read()
    parameters = only(ledger).record.parameters
    assert (parameters["func"], parameters["columns"]) == ("<function <lambda>>", list("abcdefgh"))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: catwalk.run("a/b", catwalk.Binary()), "model: expected a name"),
        (lambda: catwalk.run("m", catwalk.Binary), "problem: expected catwalk.Binary()"),
        (lambda: catwalk.run("m", catwalk.Binary(), params=[1]), "params: expected a dict of name → value; got list"),
        (lambda: catwalk.run("m", catwalk.Binary(), every="soon"), "every: expected a duration such as '24h'"),
        (
            lambda: catwalk.run("m", catwalk.Binary(), every="1h", cron="* * * * *"),
            "every and cron: give only one of them",
        ),
        (lambda: catwalk.run("m", catwalk.Binary(), cron="99 3 * * *"), "cron: expected five cron fields"),
        (
            lambda: catwalk.run("m", catwalk.Binary(), cron="0 3 * * * Berlin"),
            "cron: there is no time zone 'Berlin'; use an IANA name such as Europe/Berlin",
        ),
        (
            lambda: catwalk.run("m", catwalk.Binary(), cron="99 3 * * * Europe/Berlin"),
            "cron: expected five cron fields",
        ),
        (lambda: catwalk.run("m", catwalk.Binary(), thresholds={"f1": 0.5}), "thresholds: expected a metric"),
        *(
            (
                lambda limit=limit: catwalk.run("m", catwalk.Binary(), thresholds={"log_loss": limit}),
                "thresholds['log_loss']: expected a number, or (number, 'reason'); got ",
            )
            for limit in ("low", True, float("nan"), 10**400, (0.5, 3), (0.5, "a", "b"), ("a", 0.5))
        ),
        *(
            (
                lambda name=name, limit=limit: catwalk.run("m", catwalk.Binary(), thresholds={name: limit}),
                f"thresholds['{name}']: expected a {what}; got {limit}",
            )
            for name, limit, what in (
                ("significance", 5, "level above 0 and up to 0.5"),
                ("slice_significance", 0, "level above 0 and up to 0.5"),
                ("margin", -0.1, "number of at least 0"),
                ("champion_age_seconds", -1, "number of at least 0"),
            )
        ),
        (
            lambda: catwalk.run("m", catwalk.Binary(), links={"a": f"https://{'x' * 600}"}),
            "links['a']: expected at most 500 characters; got 608",
        ),
        (lambda: catwalk.run("m", catwalk.Binary(), links={"a": "javascript:alert(1)"}), "expected a URL, http://"),
        (lambda: catwalk.run("m", catwalk.Binary(), ship="yes"), "ship: expected 'auto' or 'never'"),
        (lambda: catwalk.run("m", catwalk.Binary(), links={"a": "x"}), "links['a']: expected a URL"),
        (lambda: catwalk.run("m", catwalk.Binary(), links="x"), "links: expected a dict of name → URL; got str 'x'"),
        (
            lambda: catwalk.run("m", catwalk.Binary(), thresholds=["auc"]),
            "thresholds: expected a dict of metric → number; got list ['auc']",
        ),
        (lambda: catwalk.run("m", catwalk.Binary(), owner=None), "owner: expected text; got NoneType None"),
        (
            lambda: catwalk.run("m", catwalk.Binary(), synthetic="yes"),
            "synthetic: expected True or False; got str 'yes'",
        ),
        (
            lambda: catwalk.run("m", catwalk.Binary(), close_timeout="1h"),
            "close_timeout: expected seconds, above 0; got str '1h'",
        ),
        (lambda: catwalk.run("m", catwalk.Binary(), close_timeout=math.nan), "close_timeout: expected seconds"),
    ],
)
def test_nonsense_is_refused_before_anything_is_stored(ledger: Ledger, call: Any, told: str) -> None:
    with pytest.raises((ConfigError, InputError)) as error:
        call()
    assert told in str(error.value) and "\n" not in str(error.value)
    assert not list(ledger.store.list("")) if (ledger.store.root).exists() else True  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (
            lambda run: run.epoch(0, train={"loss": 1.0}),
            "epoch: expected the number of the epoch or step, an integer from 1",
        ),
        (
            lambda run: run.step(10**15 + 1),
            "epoch: expected the number of the epoch or step, an integer from 1 to 10^15",
        ),
        (
            lambda run: run.step(10**5_000),
            "epoch: expected the number of the epoch or step, an integer from 1 to 10^15",
        ),
        (lambda run: run.epoch(1, train=[1.0]), "train: expected a dict of metric → number; got list"),
        (
            lambda run: run.epoch(1, train={"loss": np.ones(3)}),
            "train['loss']: expected a single number; got ndarray, shape (3,)",
        ),
        (lambda run: run.epoch(np.ones(2)), "epoch: expected the number of the epoch or step, an integer from 1"),
        (lambda run: run.epoch(1, train={"loss": 10**400}), "train['loss']: expected a single number; got int"),
        (lambda run: run.log([1.0]), "log: expected a dict of metric → number; got list [1.0]"),
        (lambda run: run.log(split=5, loss=1.0), "split: expected text; got int 5"),
        (lambda run: run.log(loss="low"), "log['loss']: expected a single number; got str, 'low'"),
        (lambda run: run.test([0, 1], [0.1, 0.2, 0.3]), "scores: expected"),
        (
            lambda run: run.test(LABELS, scores(), keys=KEYS[:5]),
            "keys: expected a unique key for each label, shape",
        ),
        (lambda run: run.test(LABELS, scores(), keys=KEYS // 2), "got '0' more than once"),
        (
            lambda run: run.test([1, 0], [0.9, 0.2], keys=pandas.Series(["a", None], dtype="string")),
            "keys: expected a unique key for each label, shape (2,); got none in row 1",
        ),
        (
            lambda run: run.test(LABELS, scores(), slices=KEYS),
            "slices: expected a dict of name → value of each example",
        ),
        (lambda run: run.test(LABELS, scores(), test_set=5), "test_set: expected text; got int 5"),
        (lambda run: run.model(""), "model: expected a file or a folder; got ''"),
        (lambda run: run.model(uri=5, sha256="a" * 64), "uri: expected text; got int 5"),
        (lambda run: run.model(uri="s3://m/x", sha256=5), "sha256: expected text; got int 5"),
        (lambda run: run.data(sha256=5), "sha256: expected text; got int 5"),
        (lambda run: run.data(source=5), "source: expected text; got int 5"),
        (lambda run: run.model("nowhere.bin"), "there is nothing at nowhere.bin"),
        (lambda run: run.model(uri="s3://m/x"), "sha256: expected the hash of the model at uri="),
        (lambda run: run.data(as_of="yesterday"), "as_of: expected a date or time"),
    ],
)
def test_errors_name_the_argument_what_was_expected_and_the_value(call: Any, told: str) -> None:
    run = catwalk.run("churn", catwalk.Binary())
    with pytest.raises(InputError) as error:
        call(run)
    assert told in str(error.value) and "\n" not in str(error.value)
    run.close()


def test_a_series_whose_name_is_too_long_to_be_sent_is_counted(ledger: Ledger) -> None:
    with catwalk.run("churn", catwalk.Binary()) as tracked:
        tracked.epoch(1, train={"loss": 0.5, "🎉" * 75: 1.0, "🎉" * 76: 2.0, "%" * 100: 3.0, "🎉" * 100: 4.0})
    run = ledger.run(tracked.run_id)
    sent = {point.labels["metric"] for point in run_points(run) if "metric" in point.labels}
    assert (sent, left_out(run)) == ({"🎉" * 75, "%" * 100}, 2)


def test_a_run_that_failed_keeps_its_room_for_the_next_attempt(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_STATSD", "127.0.0.1:9")

    def held() -> int:
        return int(json.loads(ledger.store.get(KEY).body)["held"][run.record.run_id]["total"])

    with suppress(ZeroDivisionError), catwalk.run("churn", catwalk.Binary(), run_key="night") as tracked:
        tracked.epoch(1, train={"loss": 0.5})
        raise ZeroDivisionError
    run = ledger.run(tracked.run_id)
    assert held() == run.record.series_budget and held() > 1_000
    with catwalk.run("churn", catwalk.Binary(), run_key="night") as tracked:
        tracked.epoch(1, train={"loss": 0.5})
    assert run.run_id == tracked.run_id
    assert held() == len(run_points(run)) < 20

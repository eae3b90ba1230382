"""Two models in one store: another model can have everything that Fashion-MNIST has, and neither affects the other."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from catwalk.errors import ConfigError, NonFiniteLossError, RunConflictError
from catwalk.gate.baselines import predicted_by
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.runs import Ledger, Run, new_run_id
from catwalk.ledger.sweep import passed_over
from catwalk.stages.lifecycle import provenance
from catwalk.stages.lifecycle.opening import open_run
from catwalk.stages.pipeline import STAGE_FUNCTIONS, run_stages
from catwalk.stages.sweeps.choice import choose
from catwalk.stages.sweeps.search import SearchConfig
from catwalk.stages.train import train
from catwalk.storage.store import Store
from catwalk.telemetry.observer import Silent
from catwalk.trainable import find
from catwalk_exporter.exposition import Exposition, Facts
from catwalk_exporter.exposition import Settings as ExporterSettings
from catwalk_exporter.snapshot import LedgerReader, Snapshot
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import RunConfig
from stack.settings import PROJECT
from tests.conftest import wait_until
from tests.models.shapes import SHAPES
from tests.models.shapes.model import NAMES, Settings
from tests.support.commands import catwalk
from tests.support.runs import SMALL, model, stage_process

__all__ = ["catwalk"]
EASY = {"accuracy_floor": 0.4, "recall_floor": 0.0, "calibration_cap": 1.0, "serve_check": "off"}


def shapes_run(ledger: Ledger, run_id: str = "", **knobs: Any) -> Run:
    config = Settings.from_flat({**EASY, **knobs})
    return open_run(ledger, run_id or new_run_id(), SHAPES, config, "cli")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("shapes", "is not a reference to a Trainable; use package.module:NAME"),
        ("no.such.module:IT", "can't import no.such.module:IT: there is no module no; is it on PYTHONPATH"),
        ("tests.models.shapes:CIRCLES", ": module tests.models.shapes has no CIRCLES"),
        ("tests.models.shapes.model:NAMES", "is not a Trainable: it lacks config, load, plan"),
        ("tests.models.shapes.model:Shapes", "is not a Trainable: it lacks an instance"),
    ],
)
def test_an_invalid_trainable_is_one_line(reference: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find(reference)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_that_needs_no_torch_is_found_and_hashed_without_it() -> None:
    code = "import sys; sys.path[:0] = ['.']; from catwalk.trainable import find; "
    code += "from catwalk.stages.lifecycle import provenance; "
    code += "assert provenance.code_sha256(find('tests.models.shapes:SHAPES')); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=500, cwd=PROJECT)


@pytest.mark.integration
def test_two_models_live_in_one_store(ledger: Ledger, catwalk: Any) -> None:
    first = shapes_run(ledger, "20261123T030000Z-00000001", step=1e-9, rounds=1, accuracy_floor=0.1)
    better = shapes_run(ledger, "20261123T040000Z-00000002", rounds=12, learned=900)
    garments = open_run(ledger, new_run_id(), CLASSIFIER, RunConfig.from_flat(SMALL), "cli")
    for run in (first, garments, better):
        run_stages(run, Silent())
        assert run.store.exists(run.key("report.html"))
    assert [run.record.trainable for run in (first, garments)] == [SHAPES.reference, CLASSIFIER.reference]
    assert (better.record.classes, better.record.epochs) == (list(NAMES), 12)
    champions = Champions(ledger.store)
    assert champions.models() == ["mlp-synthetic", "shapes"]
    found = champions.get("shapes")
    assert found and (found[0].run_id, found[0].previous) == (better.run_id, first.run_id)
    decision = better.decision()
    assert decision and decision.champion == first.run_id
    shown = [run["run_id"] for run in catwalk("runs", "--model", "shapes", "--json").json()]
    assert sorted(shown) == sorted([first.run_id, better.run_id])
    compared = catwalk("compare", first.run_id, better.run_id, "--json")
    assert compared.code == 0, compared.err
    assert "rounds" in compared.out and "hidden" not in compared.out
    report = better.store.get(better.key("report.html")).body.decode()
    assert all(name in report for name in NAMES) and "trouser" not in report


@pytest.mark.integration
def test_the_exporter_names_each_model_s_own_classes(ledger: Ledger) -> None:
    run_stages(shapes_run(ledger), Silent())
    run_stages(open_run(ledger, new_run_id(), CLASSIFIER, RunConfig.from_flat(SMALL), "cli"), Silent())
    snapshots: list[Snapshot] = []
    LedgerReader(ledger.store).read(time.time(), snapshots.append)
    text = Exposition(ExporterSettings()).render(Facts(snapshots[-1], True, {}, None, time.time())).decode()
    named = re.findall(r'\bclass="([^"]+)".*\bmodel="shapes"|\bmodel="shapes".*\bclass="([^"]+)"', text)
    assert {first or second for first, second in named} == set(NAMES)


@pytest.mark.integration
@pytest.mark.parametrize(("suffix", "nth"), [("epochs.json", 3), ("checkpoint.safetensors", 2)])
def test_killed_it_ends_with_the_bits_of_an_undisturbed_run(ledger: Ledger, suffix: str, nth: int) -> None:
    run = shapes_run(ledger)
    STAGE_FUNCTIONS["ingest"](run, Silent())
    process = stage_process(run, "train", suffix, str(nth), "after")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL, errors
    train(run, Silent())
    fresh = SHAPES.start(SHAPES.config.from_flat(EASY), run.record.seed, SHAPES.load(SHAPES.config.from_flat(EASY)))
    for _ in fresh.epochs(0, lambda: None):
        pass
    assert model(run) == fresh.model()
    training = run.training()
    assert training and training.reproducible and [epoch.epoch for epoch in training.epochs] == [1, 2, 3, 4]


@pytest.mark.integration
def test_sigterm_stops_it_within_a_round_and_a_retry_continues(ledger: Ledger) -> None:
    run = shapes_run(ledger, pause=30.0)
    STAGE_FUNCTIONS["ingest"](run, Silent())
    process = stage_process(run, "train")
    wait_until(lambda: run.attempts() and run.training(), "training")
    process.send_signal(signal.SIGTERM)
    sent = time.monotonic()
    _, errors = process.communicate(timeout=500)
    assert time.monotonic() - sent < 20, "a round takes 30 s"
    assert b"CancelledError: train was stopped by a signal" in errors
    assert run.attempts()[-1].outcome == "cancelled"


@pytest.mark.integration
def test_a_loss_that_is_not_finite_names_its_own_setting(ledger: Ledger) -> None:
    run = shapes_run(ledger, step=1e308)
    STAGE_FUNCTIONS["ingest"](run, Silent())
    with np.errstate(all="ignore"), pytest.raises(NonFiniteLossError, match=r"lower step \(now 1e\+308\)"):
        train(run, Silent())


@pytest.mark.integration
def test_a_sweeps_trials_use_the_same_functions(ledger: Ledger) -> None:
    search = SearchConfig({"rounds": [1, 8], "step": [0.5]})
    trials = search.plan(Settings, EASY, "20261123T030000Z-7f3a90c1")
    runs = []
    for number, trial in enumerate(trials):
        config = Settings.from_flat({**EASY, **trial})
        run_id = f"20261123T030000Z-0000000{number}"
        runs.append(open_run(ledger, run_id, SHAPES, config, "sweep", sweep="20261123T030000Z-7f3a90c1"))
        for stage in ("ingest", "train"):
            STAGE_FUNCTIONS[stage](runs[-1], Silent())
    of_runs = {run.run_id: trial for run, trial in zip(runs, trials, strict=True)}
    chosen = choose(ledger, "20261123T030000Z-7f3a90c1", of_runs)
    assert chosen.winner in of_runs
    assert [bool(passed_over(run)) for run in runs] == [run.run_id != chosen.winner for run in runs]
    with pytest.raises(ConfigError, match="draw_seed can't vary within a sweep"):
        SearchConfig({"draw_seed": [1, 2]}).plan(Settings, EASY, "a sweep")


@pytest.mark.integration
def test_a_baseline_that_is_not_here_falls_back_to_its_stored_answers(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, other = shapes_run(ledger), shapes_run(ledger), shapes_run(ledger, draw_seed=4)
    for run in (first, second, other):
        run_stages(run, Silent())
    gone: Callable[[Any, Any], Any] = lambda record, other: find("no.such.package:MODEL")  # noqa: E731
    monkeypatch.setattr("catwalk.gate.baselines.of_model", gone)
    for run in (second, other):
        for entry in list(run.store.list(run.key("opponents/"))):
            run.store.delete(entry.key)
    own = load(first.store.get(first.key("predictions.safetensors")).body)["logits"].argmax(axis=1)
    found = predicted_by(second, first)
    assert np.array_equal(found.classes, own)
    assert "can't import no.such.package:MODEL" in found.why_not_asked
    decision = _decide_again(other)
    assert (decision.decision, decision.reason) == ("hold", "inconclusive"), "never by figures of other examples"
    assert (
        f"the model of run {first.run_id} can't be asked, and was tested on different examples: can't import"
        in decision.sentence
    )
    assert "\n" not in decision.sentence


def _decide_again(run: Run) -> Any:
    run.store.delete(run.key("decision.json"))
    STAGE_FUNCTIONS["decide"](run, Silent())
    return run.decision()


@pytest.mark.integration
def test_the_command_trains_any_trainable(catwalk: Any, s3_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = ("--accuracy-floor", "0.4", "--recall-floor", "0", "--calibration-cap", "1")
    done = catwalk("run", SHAPES.reference, "--rounds", "2", *gate, "--json")
    assert done.code == 0, done.err
    summary = done.json()["summary"]
    assert (summary["model"], summary["epochs"], summary["parameters"]["rounds"]) == ("shapes", 2, 2)
    assert "--rounds" in catwalk("run", SHAPES.reference, "--help").out
    assert catwalk("run", SHAPES.reference, "--epochs", "2").code == 2, "that is another model's flag"
    again = catwalk("run", "--run-id", summary["run_id"])
    assert again.code == 1 and f"belongs to {SHAPES.reference}" in again.err
    monkeypatch.delenv("CATWALK_TRAINABLE")
    unnamed = catwalk("run", "--epochs", "2")
    assert (unnamed.code, unnamed.out) == (1, "")
    assert unnamed.err == (
        "catwalk: name what to train: `catwalk run package.module:NAME`, such as models.churn:CHURN, or set "
        "CATWALK_TRAINABLE to it; the stack of a checkout sets it by itself\n"
    )
    assert catwalk("run", "--help").code == 0
    asked = catwalk("predict", "any.png")
    assert asked.code == 1 and f"{SHAPES.reference} can't read files" in asked.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "'nope' is not a reference to a Trainable; use package.module:NAME"),
        (["nope", "--epochs", "3"], "'nope' is not a reference to a Trainable"),
        (["nope.model:IT"], "can't import nope.model:IT"),
        ([SHAPES.reference, "--rounds", "-1"], "rounds must be at least 1 and at most 50, not -1"),
        ([SHAPES.reference, "--step", "0"], "step must be"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_s3_is_used(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from catwalk.cli.main import main

    monkeypatch.delenv("CATWALK_TRAINABLE", raising=False)
    monkeypatch.setenv("CATWALK_HOME", "/nonexistent")
    monkeypatch.setattr("catwalk.cli.commands.training.observed_ledger", lambda: pytest.fail("S3 is used"))
    with pytest.raises(SystemExit) as stopped:
        main(["run", *arguments])
    told = capsys.readouterr().err
    assert stopped.value.code == 1
    assert told.startswith(f"catwalk: {message}") and told.count("\n") == 1


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the library's source for the hash."""
    import shutil

    import catwalk as package

    copy = tmp_path / "catwalk"
    shutil.copytree(Path(package.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "_LIBRARY", copy)
    return copy


def _sha256() -> str:
    provenance._code_sha256.cache_clear()
    return provenance.code_sha256(SHAPES)


def test_the_code_of_a_run_is_the_code_that_computes_it(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    before = _sha256()
    for page in ("report/run_sections.py", "report/figures/style.py", "web/serving.py", "cli/main.py"):
        assert (library / page).is_file()
        (library / page).write_text("# another page\n")
    assert _sha256() == before
    computing = ("stages/train.py", "stages/lifecycle/attempts.py", "stages/sweeps/choice.py", "gate/decision.py")
    computing += ("problems/scores.py", "knobs.py", "trainable.py")
    assert all((library / part).is_file() for part in computing)
    for part in (*computing, "stages/deep/er.py"):
        (library / part).parent.mkdir(exist_ok=True)
        (library / part).write_text(f"# {part}\n")
        now = _sha256()
        assert now != before
        before = now
    folder = provenance.source(SHAPES)
    assert folder.name == "shapes"
    copy = tmp_path / "models" / "shapes"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "source", lambda trainable: copy)
    assert _sha256() == before
    (copy / "layers").mkdir()
    (copy / "layers" / "deep.py").write_text("# a subfolder\n")
    assert _sha256() != before
    provenance._code_sha256.cache_clear()


@pytest.mark.integration
def test_a_run_of_other_code_is_refused(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    run = shapes_run(ledger)
    monkeypatch.setattr("catwalk.stages.lifecycle.attempts.code_sha256", lambda trainable: "0" * 64)
    with pytest.raises(RunConflictError, match="was started by other code"):
        STAGE_FUNCTIONS["ingest"](run, Silent())

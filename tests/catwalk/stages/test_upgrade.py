"""A model whose settings change between two runs: the new version compares itself with the old one's model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytest
from safetensors.numpy import load

from catwalk.errors import ConfigError
from catwalk.gate.baselines import predicted_by
from catwalk.gate.config import GateConfig
from catwalk.knobs import Config, Section, number, setting
from catwalk.ledger.records.decision import CheckRecord
from catwalk.ledger.runs import Ledger, Run, new_run_id
from catwalk.stages.lifecycle.opening import open_run
from catwalk.stages.pipeline import run_stages
from catwalk.telemetry.observer import Silent
from catwalk.trainable import Data, Plan, Trainable, config_of, of_run
from tests.models.shapes import SHAPES
from tests.models.shapes import model as shapes
from tests.models.shapes.model import Pictures, Regression, Shapes
from tests.support.commands import catwalk

__all__ = ["catwalk"]
pytestmark = pytest.mark.integration
EASY = {"accuracy_floor": 0.1, "recall_floor": 0.0, "calibration_cap": 1.0, "serve_check": "off"}


@dataclass(frozen=True)
class Learning(Section):
    """Formerly called descent; it has only what it needs here."""

    passes: int = number(4, 1, 50)
    """Formerly called rounds."""
    ink: Literal["as drawn", "inverted"] = setting("inverted")
    """Whether pictures are inverted first; until now, none were."""


@dataclass(frozen=True)
class LaterSettings(Config):
    """The settings of the next version."""

    data: Pictures = field(default_factory=Pictures)
    learning: Learning = field(default_factory=Learning)
    gate: GateConfig = field(default_factory=GateConfig)


class LaterShapes(Shapes):
    """The same model one version later, which trains on negatives by default."""

    config = LaterSettings  # type: ignore[assignment]

    def plan(self, config: Any) -> Plan:
        return Plan("shapes", config.learning.passes, synthetic=True, checkpoint_seconds=0.0)

    def start(self, config: Any, seed: int, data: Data) -> Regression:
        descent = shapes.Descent(rounds=config.learning.passes)
        splits = {name: _turned(config, split) for name, split in data.splits.items()}
        return super().start(shapes.Settings(config.data, descent), seed, dataclasses.replace(data, splits=splits))

    def predictor(self, config: Any, model: bytes) -> Callable[[Any], Any]:
        ask = super().predictor(config, model)
        return lambda inputs: ask(_turned(config, inputs))


class UpgradedShapes(LaterShapes):
    """Knows the former names of its settings."""

    def upgrade(self, old_config: dict[str, Any]) -> dict[str, Any]:
        if "descent" not in old_config:
            return old_config
        descent = old_config.pop("descent")
        if descent["order"] == "drawn":
            raise ConfigError("pictures in the order in which they were drawn are no longer learnt from")
        return {**old_config, "learning": {"passes": descent["rounds"], "ink": "as drawn"}}


def _turned(config: Any, arrays: Any) -> Any:
    return arrays if config.learning.ink == "as drawn" else {**arrays, "pixels": 255 - arrays["pixels"]}


def a_run(ledger: Ledger, trainable: Trainable, **knobs: Any) -> Run:
    config = trainable.config.from_flat({**EASY, **knobs})
    run = open_run(ledger, new_run_id(), trainable, config, "cli")
    run_stages(run, Silent())
    return run


@pytest.fixture
def before(ledger: Ledger) -> Run:
    """A run of the first version, in service."""
    return a_run(ledger, SHAPES, rounds=5)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[LaterShapes], Any]:
    """Replaces the first version with another one."""

    def install(version: LaterShapes) -> Any:
        monkeypatch.setattr("tests.models.shapes.SHAPES", version)
        return version

    return install


def precondition(run: Run) -> CheckRecord:
    decision = run.decision()
    assert decision
    return next(check for check in decision.checks if check.check == "precondition")


def own_answers(run: Run) -> Any:
    return load(run.store.get(run.key("predictions.safetensors")).body)["logits"].argmax(axis=1)


def test_an_older_baseline_scores_other_examples_with_its_own_settings(ledger: Ledger, before: Run, later: Any) -> None:
    run = a_run(ledger, later(UpgradedShapes()), draw_seed=9)
    config = config_of(of_run(before.record), before.record)
    assert isinstance(config, LaterSettings)
    assert (config.learning.passes, config.learning.ink) == (5, "as drawn")
    dataset, training = run.dataset(), before.training()
    assert dataset and training
    pixels = load(run.store.get(f"datasets/{dataset.sha256}/test.safetensors").body)["pixels"]
    model = before.store.get(before.key("model.safetensors")).body
    found = predicted_by(run, before)
    assert np.array_equal(found.classes, SHAPES.predictor(shapes.Settings(), model)({"pixels": pixels}).argmax(axis=1))
    assert found.why_not_asked == ""
    assert precondition(run).verdict == "passed" and "could not be asked" not in precondition(run).sentence
    assert before.record.config["descent"]["rounds"] == 5, "the stored configuration stays"


@pytest.mark.parametrize(
    ("version", "knobs", "why"),
    [
        (LaterShapes(), {}, "settings that tests.models.shapes:SHAPES doesn't know (rounds, step, order, pause)"),
        (UpgradedShapes(), {"order": "drawn"}, "in the order in which they were drawn are no longer learnt from"),
    ],
    ids=["no upgrade", "a refused one"],
)
def test_if_settings_cannot_be_upgraded_the_answers_of_its_own_test_count(
    ledger: Ledger, later: Any, version: LaterShapes, knobs: dict[str, Any], why: str
) -> None:
    before = a_run(ledger, SHAPES, **knobs)
    later(version)
    run = a_run(ledger, version)
    decision = run.decision()
    assert decision and decision.champion == before.run_id
    assert np.array_equal(predicted_by(run, before).classes, own_answers(before))
    said = precondition(run)
    assert said.verdict == "passed"
    assert "The champion could not be asked again, so the answers of its own test count: " in said.sentence
    assert why in said.sentence
    other = a_run(ledger, version, draw_seed=9)
    held = other.decision()
    assert held and (held.decision, held.reason) == ("hold", "inconclusive")
    assert f"the model of run {before.run_id} can't be asked, and was tested on different examples: " in held.sentence


def test_an_upgrade_that_breaks_is_a_refusal(before: Run, later: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    version = later(UpgradedShapes())
    monkeypatch.setattr(UpgradedShapes, "upgrade", lambda self, old: old["no such section"])
    with pytest.raises(ConfigError, match=r"can't upgrade the settings of run .*: KeyError: 'no such section'"):
        config_of(version, before.record)


def test_commands_read_an_older_run(before: Run, later: Any, catwalk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    version = later(UpgradedShapes())
    picture = np.full((1, 8, 8), 0, np.uint8)
    picture[0, 3] = 255
    monkeypatch.setattr(UpgradedShapes, "read", lambda self, path, invert: {"pixels": picture}, raising=False)
    found = catwalk("predict", "a-bar.png", "--model", "shapes", "--json")
    assert found.code == 0, found.err
    [guess] = found.json()["predictions"]
    model = before.store.get(before.key("model.safetensors")).body
    said = SHAPES.predictor(shapes.Settings(), model)({"pixels": picture}).argmax(axis=1)
    assert guess["classes"][0]["class"] == shapes.NAMES[int(said[0])]
    shown = catwalk("show", before.run_id)
    assert shown.code == 0 and "rounds" in shown.out, "the run's parameters, as given"
    resumed = catwalk("run", version.reference, "--run-id", before.run_id, "--passes", "5")
    assert resumed.code == 1 and "was started with other parameters" in resumed.err

"""Knobs have help texts, accept values from forms and command lines, and refuse absurd values by name."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from catwalk.errors import ConfigError
from catwalk.knobs import knobs
from catwalk.ledger.records.training import MOST_PLANNED_EPOCHS
from ml.fashion_mnist.config import DataConfig, RunConfig, TrainingConfig


def test_every_knob_has_a_sentence_of_help() -> None:
    assert len(knobs(RunConfig)) == len({knob.name for knob in knobs(RunConfig)})
    for knob in knobs(RunConfig):
        assert knob.help.endswith("."), knob.name
        assert len(knob.help) > 20, knob.name


def test_values_from_forms_become_the_fields_own_types() -> None:
    values = {"hidden": "64, 32", "seed": "", "epochs": "3", "dropout": 0, "peak_learning_rate": "0.5"}
    config = RunConfig.from_flat(values)
    assert config.network.hidden == (64, 32)
    assert config.training.seed is None
    assert config.training.epochs == 3
    assert isinstance(config.network.dropout, float)
    assert config.training.peak_learning_rate == 0.5


def test_json_round_trip_keeps_configuration_and_digest() -> None:
    config = RunConfig.from_flat({"hidden": "8", "seed": 7, "source": "synthetic"})
    again = RunConfig.from_dict(config.to_dict())
    assert again == config
    assert again.digest == config.digest


def test_the_digest_distinguishes_any_two_knobs() -> None:
    digests = {RunConfig().digest} | {
        RunConfig.from_flat({name: value}).digest
        for name, value in {
            "epochs": 3,
            "dropout": 0.1,
            "hidden": "512",
            "split_seed": 1,
            "accuracy_floor": 0.5,
        }.items()
    }
    assert len(digests) == 6


def test_synthetic_data_never_competes_with_real_data() -> None:
    assert RunConfig().model == "mlp"
    assert RunConfig(data=DataConfig(source="synthetic")).model == "mlp-synthetic"


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("epochs", 0),
        ("epochs", MOST_PLANNED_EPOCHS + 1),
        ("epochs", 1.5),
        ("epochs", True),
        ("epochs", "many"),
        ("batch_size", 0),
        ("peak_learning_rate", 0),
        ("peak_learning_rate", float("nan")),
        ("peak_learning_rate", float("inf")),
        ("momentum", 1),
        ("weight_decay", -1),
        ("dropout", 1),
        ("hidden", "512,0"),
        ("hidden", "wide"),
        ("hidden", 5),
        ("device", "tpu"),
        ("threads", 0),
        ("seed", -1),
        ("source", "imagenet"),
        ("train_examples", 55_001),
        ("train_examples", 55_010),
        ("validation_examples", 5),
        ("accuracy_floor", 1.01),
        ("checkpoint_seconds", -1),
        ("seed", 2**63),
        ("device", 0),
        ("significance", 0),
        ("inference_seconds_cap", 0),
    ],
)
def test_an_absurd_value_is_refused_by_name_in_one_line(knob: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=knob) as caught:
        RunConfig.from_flat({knob: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("knob", ["split_seed", "momentum"])
def test_a_number_that_no_float_can_hold_is_refused_too(knob: str) -> None:
    with pytest.raises(ConfigError, match=knob):
        RunConfig.from_flat({knob: 10**400})


def test_an_unknown_knob_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting 'epoch'; the settings are .*epochs"):
        RunConfig.from_flat({"epoch": 3})


def test_the_configuration_of_another_version_is_read_unchanged() -> None:
    """Bounds and settings change; the parameters that a run was given stay the same."""
    stored = RunConfig().to_dict()
    stored["training"] |= {"mixup": 0.1, "epochs": 1_000, "device": ["cuda:0", "cuda:1"]}
    stored["network"] |= {"activation": "gelu", "dropout": 0.95}
    stored |= {"augmentation": {"flip": True}, "comment": "hello"}
    config = RunConfig.from_dict(stored)
    assert config.training.epochs == 1_000
    assert config.network.dropout == 0.95
    assert config.training.device == "auto", "the default, if the value has another type"
    assert config.unknown["network"] == {"activation": "gelu"}
    assert config.to_dict() == stored
    assert config.flat().items() >= {"mixup": 0.1, "flip": True, "comment": "hello"}.items()
    assert RunConfig.from_dict(config.to_dict()).digest == config.digest != RunConfig().digest


@pytest.mark.parametrize("stored", [{"training": 5}, {"gate": "strict"}, {"network": None}, {"data": []}])
def test_a_section_that_is_not_an_object_is_refused_in_one_line(stored: dict[str, Any]) -> None:
    [name] = stored
    with pytest.raises(ConfigError, match=f"^{name} must be an object with settings"):
        RunConfig.from_dict(stored)


def test_a_setting_that_an_older_version_did_not_store_has_its_default() -> None:
    stored = RunConfig().to_dict()
    del stored["training"]["threads"], stored["gate"]
    assert RunConfig.from_dict(stored) == RunConfig()


def test_every_number_has_bounds_and_its_default_is_within() -> None:
    for knob in knobs(RunConfig):
        if knob.type in (int, float):
            assert knob.bounds, knob.name
            assert knob.bounds.low <= knob.bounds.high
            if knob.default is not None:
                knob.bounds.check(knob.name, knob.default)


def test_a_frozen_configuration_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        TrainingConfig().epochs = 3  # type: ignore[misc]


def test_dag_files_can_import_it_without_anything_heavy() -> None:
    script = "import sys, ml.fashion_mnist.config; print({'torch', 'numpy', 'boto3', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"

"""Fashion-MNIST by day: what has arrived, what changes about it, and what stays test data forever."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catwalk.errors import ConfigError, DatasetError
from catwalk.ledger.examples import digests
from catwalk.stages.artifacts.datasets import store_data
from catwalk.storage.file_store import FileStore
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import CLASSES, DataConfig, RunConfig
from ml.fashion_mnist.feed import TEST_EXAMPLES, arrived

FEED = DataConfig(source="feed", feed_days=100, as_of="2026-02-20")
"""Read on its 50th day: three quarters have arrived."""
Splits = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def whole() -> tuple[Any, Any]:
    """Everything that ever arrives: 60,000 different pictures."""
    generator = np.random.default_rng(7)
    images = generator.integers(0, 256, (60_000, 28, 28), dtype=np.uint8)
    return images, (np.arange(60_000) % 10).astype(np.uint8)


@pytest.fixture(scope="module")
def as_of(whole: tuple[Any, Any]) -> Callable[..., Splits]:
    return lambda day="2026-02-20", **knobs: arrived(*whole, dataclasses.replace(FEED, as_of=day, **knobs))


def named(split: dict[str, Any]) -> set[bytes]:
    """The pictures, whatever their label."""
    return {picture.tobytes() for picture in split["images"]}


def test_half_is_there_on_the_first_day_and_the_rest_arrives_evenly(as_of: Callable[..., Splits]) -> None:
    counts = {day: len(as_of(day)["train"]["labels"]) for day in ("2026-01-02", "2026-02-20", "2026-04-12")}
    assert list(counts.values()) == pytest.approx([21_500, 32_000, 43_000], rel=0.02)
    assert as_of("2026-04-12").keys() == as_of("2028-01-01").keys()
    assert named(as_of("2026-04-12")["train"]) == named(as_of("2028-01-01")["train"]), "all has arrived"


def test_a_later_day_has_all_that_an_earlier_one_has_trained_on(as_of: Callable[..., Splits]) -> None:
    schedule = "2026-02-10 rotation 20, 2026-02-25 label-noise 0.5, 2026-03-10 class-mix"
    days = [as_of(day, drifts=schedule)["train"] for day in ("2026-02-05", "2026-02-20", "2026-03-01", "2026-03-20")]
    known = [{body[at : at + 16] for at in range(0, len(body), 16)} for body in map(digests, days)]
    for earlier, later in pairwise(known):
        assert earlier < later


def test_test_examples_stay_test_examples_with_any_settings(as_of: Callable[..., Splits]) -> None:
    tested: set[bytes] = set()
    for day in ("2026-01-02", "2026-02-01", "2026-03-01", "2026-04-12"):
        tested |= named(as_of(day)["test"])
    assert len(tested) == pytest.approx(12_000, rel=0.05), "all of them have been in the split"
    for knobs in ({}, {"split_seed": 1}, {"gap_days": 0}, {"validation_examples": 30_000, "train_examples": 20_000}):
        found = as_of("2026-05-01", **knobs)
        assert not (named(found["train"]) | named(found["validation"])) & tested
        assert not named(found["train"]) & named(found["validation"])


def test_the_test_split_is_the_newest_and_training_ends_a_gap_before(as_of: Callable[..., Splits]) -> None:
    today, tomorrow = as_of("2026-02-20", gap_days=5), as_of("2026-02-21", gap_days=5)
    assert len(today["test"]["labels"]) == len(tomorrow["test"]["labels"]) == TEST_EXAMPLES
    rolled = len(named(tomorrow["test"]) - named(today["test"]))
    assert 30 < rolled < 100, "a day's new test examples replace the same number"
    assert named(today["train"]) == named(as_of("2026-02-16", gap_days=1)["train"]), "both end on the 15th"


def test_the_same_day_gives_the_same_bytes_in_every_process(whole: tuple[Any, Any], as_of: Any) -> None:
    kept = whole[0].copy(), whole[1].copy()
    schedule = "2026-01-20 brightness 1.5, 2026-02-01 rotation, 2026-02-10 label-noise"
    first = as_of(drifts=schedule)
    assert np.array_equal(whole[0], kept[0]) and np.array_equal(whole[1], kept[1]), "what arrives is a copy"
    again = as_of(drifts=schedule)
    for name, split in first.items():
        assert all(np.array_equal(split[column], again[name][column]) for column in ("images", "labels"))
    body = b"".join(split[column].tobytes() for split in as_of().values() for column in ("images", "labels"))
    assert hashlib.sha256(body).hexdigest() == GOLDEN


GOLDEN = "1370ed719d8742926e0c8d3056382c4937fa9beb429774e18c112b7d3674861f"
"""Digests of the three splits: if the feed changed, every champion's data would count as different."""


def test_what_arrived_before_a_drift_stays_as_it_was(as_of: Callable[..., Splits]) -> None:
    before = named(as_of("2026-02-01")["train"])
    for schedule in ("2026-02-10 brightness 0.5", "2026-02-10 rotation 30"):
        found = as_of("2026-02-25", drifts=schedule)["train"]
        clean = as_of("2026-02-25")["train"]
        assert before < named(found)
        new = len(named(clean) - named(as_of("2026-02-10")["train"]))
        assert len(named(found) - named(clean)) == pytest.approx(new, rel=0.1), "the pictures of 15 days"


def test_a_drift_ends_where_the_next_one_begins(as_of: Callable[..., Splits]) -> None:
    clean = named(as_of("2026-03-20")["train"])
    found = named(as_of("2026-03-20", drifts="2026-02-10 brightness 0.5, 2026-02-20 none")["train"])
    of_ten_days = named(as_of("2026-02-20")["train"]) - named(as_of("2026-02-10")["train"])
    assert clean - found == of_ten_days


def test_brightness_is_a_factor_and_rotation_turns_counter_clockwise() -> None:
    from ml.fashion_mnist import drifts, feed

    picture = np.zeros((1, 28, 28), dtype=np.uint8)
    picture[0, 14, 20:26] = 100  # to the right of the centre
    [dimmer, brighter, turned] = drifts.schedule(
        "2026-01-01 brightness 0.5,2026-01-02 brightness 3,2026-01-03 rotation 90"
    )
    assert feed.changed(picture, dimmer)[0, 14, 22] == 50
    assert feed.changed(picture, brighter)[0, 14, 22] == 255
    above = feed.changed(picture, turned)[0]
    assert above[:8].sum() > 0 and above[:, 20:].sum() == 0


def test_a_class_mix_brings_more_of_one_class_and_label_noise_wrong_labels(as_of: Callable[..., Splits]) -> None:
    clean = as_of("2026-02-20")["train"]
    before = named(as_of("2026-01-20")["train"])

    def new(schedule: str) -> dict[str, Any]:
        split = as_of("2026-02-20", drifts=schedule)["train"]
        rows = np.asarray([picture.tobytes() not in before for picture in split["images"]])
        return {name: values[rows] for name, values in split.items()}

    counts = np.bincount(new("2026-01-20 class-mix 4")["labels"], minlength=10)
    assert counts[6] / np.delete(counts, 6).mean() == pytest.approx(4, rel=0.2)
    truth = {picture.tobytes(): label for picture, label in zip(clean["images"], clean["labels"], strict=True)}
    noisy = new("2026-01-20 label-noise 0.3")
    wrong = [truth[picture.tobytes()] != label for picture, label in zip(noisy["images"], noisy["labels"], strict=True)]
    assert np.mean(wrong) == pytest.approx(0.3, abs=0.02)
    assert np.bincount(noisy["labels"][wrong], minlength=10).min() > 0, "any other class"


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"as_of": "yesterday"}, "as_of must be a day such as 2026-11-25, not 'yesterday'"),
        ({"as_of": "2025-12-31"}, r"as_of must be 2026-01-02 or later \(feed_start and gap_days\), not '2025-12-31'"),
        ({"feed_start": "9999-12-31", "as_of": "2026-02-01"}, "as_of must be 9999-12-31 or later"),
        ({"feed_start": "2026-13-01"}, "feed_start must be a day"),
        ({"gap_days": -1}, "gap_days must be at least 0"),
        ({"feed_days": 0}, "feed_days must be at least 1"),
        ({"drifts": "2026-02-01 fog"}, r"drifts must be DAY KIND \[STRENGTH\], …, such as .* not '2026-02-01 fog'"),
        ({"drifts": "soon rotation"}, "drifts must be a day such as 2026-11-25, not 'soon'"),
        ({"drifts": "2026-02-01 rotation far"}, r"drifts must be DAY KIND"),
        ({"drifts": "2026-02-01 label-noise 2"}, "the strength of label-noise must be at least 0 and at most 1, not 2"),
        ({"drifts": "2026-02-01 rotation,"}, "drifts must be DAY KIND"),
        ({"drifts": "2026-02-02 rotation, 2026-02-01 none"}, "drifts must be a schedule whose days ascend"),
        (
            {"source": "fashion-mnist", "as_of": "2026-02-01"},
            "as_of must be empty, because source fashion-mnist is not a feed",
        ),
        (
            {"source": "synthetic", "drifts": "2026-02-01 none"},
            "drifts must be empty, because source synthetic is not a feed",
        ),
        ({"source": "imagenet"}, "source must be fashion-mnist or synthetic or feed or synthetic-feed"),
    ],
)
def test_nonsense_is_refused_in_one_line(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        RunConfig.from_flat({"source": "feed", **knobs})
    assert "\n" not in str(caught.value)


def test_a_split_without_an_example_is_one_line(whole: tuple[Any, Any]) -> None:
    with pytest.raises(DatasetError, match="as of 2026-02-20 the feed has no train example yet; use a later"):
        arrived(whole[0][:1], whole[1][:1], dataclasses.replace(FEED, train_examples=10))
    with pytest.raises(DatasetError, match="the feed has no as_of; set it to the day"):
        arrived(*whole, dataclasses.replace(FEED, as_of=None))


def test_an_empty_day_is_the_utc_day_on_which_the_run_begins() -> None:
    config = RunConfig(data=DataConfig(source="feed"))
    late = datetime(2026, 11, 26, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert CLASSIFIER.dated(config, late).data.as_of == "2026-11-27"
    assert CLASSIFIER.dated(RunConfig(data=FEED), late).data.as_of == "2026-02-20", "a named day stays"
    assert CLASSIFIER.dated(RunConfig(), late) == RunConfig(), "only a feed has a day"
    with pytest.raises(ConfigError, match="as_of must be 2026-01-02 or later"):
        CLASSIFIER.dated(config, datetime(2025, 11, 26, tzinfo=UTC))


def test_a_feed_never_competes_with_data_that_is_there_from_the_beginning() -> None:
    models = {source: RunConfig(data=DataConfig(source=source)).model for source in ("feed", "synthetic-feed")}  # type: ignore[arg-type]
    assert models == {"feed": "mlp-feed", "synthetic-feed": "mlp-synthetic-feed"}
    assert CLASSIFIER.plan(RunConfig(data=DataConfig(source="synthetic-feed"))).synthetic


def test_the_day_is_in_the_record_and_equal_days_have_equal_fingerprints(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_HOME", str(stand_in))
    store = FileStore((tmp_path / "ledger").as_uri())

    def stored(day: str) -> Any:
        data = CLASSIFIER.load(RunConfig(data=DataConfig(source="synthetic-feed", as_of=day)))
        return store_data(store, data, CLASSES, synthetic=True)

    first, again, later = stored("2026-03-01"), stored("2026-03-01"), stored("2026-03-02")
    assert (first.as_of, first.source, later.as_of) == ("2026-03-01", "synthetic-feed", "2026-03-02")
    assert first == again
    assert len({first.sha256, later.sha256}) == len({first.files["test"], later.files["test"]}) == 2

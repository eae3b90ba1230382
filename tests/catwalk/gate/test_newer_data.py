"""What counts as newer data: a later day of the same feed that includes everything that the champion was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from catwalk.gate.baselines import compare_examples
from catwalk.gate.decision import Examples
from catwalk.ledger.records.dataset import DatasetRecord
from catwalk.ledger.runs import Ledger, Run, new_run_id
from catwalk.report.comparison.differences import differing_parameters
from catwalk.report.comparison.entries import read_entries
from catwalk.stages.ingest import ingest
from catwalk.stages.lifecycle.opening import open_run
from catwalk.storage.file_store import FileStore
from catwalk.telemetry.observer import Silent
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import RunConfig
from tests.support.small import SMALL


def dataset(as_of: str, source: str = "feed") -> DatasetRecord:
    return DatasetRecord("d", source, False, {}, {}, as_of=as_of)


@pytest.mark.parametrize(
    ("ours", "theirs", "newer", "sentence"),
    [
        (dataset("2026-11-26"), dataset("2026-11-25"), True, "Newer data: as of 2026-11-26, and the champion's is"),
        (dataset("2026-11-25"), dataset("2026-11-25"), False, "No newer data: as of 2026-11-25, and the champion's is"),
        (dataset("2026-11-24"), dataset("2026-11-25"), False, "No newer data: as of 2026-11-24"),
        (dataset("2026-11-25T12:00+02:00"), dataset("2026-11-25T11:00Z"), False, "No newer data"),
        (
            dataset("2026-11-26", "shop"),
            dataset("2026-11-25"),
            False,
            "No newer data: it is from shop, and the champion",
        ),
        (dataset("2026-11-26", ""), dataset("2026-11-25"), True, "Newer data"),
    ],
)
def test_a_later_time_of_the_same_source_is_newer(
    ours: DatasetRecord, theirs: DatasetRecord, newer: bool, sentence: str
) -> None:
    found = Examples.dated(ours, theirs)
    assert found and found.newer == newer
    assert found.sentence.startswith(sentence)


@pytest.mark.parametrize("times", [("", "2026-11-25"), ("2026-11-25", ""), ("", "")])
def test_data_without_a_time_is_not_known_to_be_newer(times: tuple[str, str]) -> None:
    """Data as an older version stored it."""
    assert Examples.dated(dataset(times[0]), dataset(times[1])) is None


@pytest.fixture
def ledger(stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("CATWALK_HOME", str(stand_in))
    return Ledger(FileStore((tmp_path / "ledger").as_uri()))


def ingested(ledger: Ledger, as_of: str, **knobs: Any) -> Run:
    config = RunConfig.from_flat({**SMALL, "source": "synthetic-feed", "as_of": as_of, **knobs})
    run = open_run(ledger, new_run_id(), CLASSIFIER, config, "cli")
    ingest(run, Silent())
    return run


def test_a_later_day_of_the_feed_is_newer_only_than_an_earlier_one(ledger: Ledger) -> None:
    early, late = ingested(ledger, "2026-02-01"), ingested(ledger, "2026-11-01")
    newer = compare_examples(late, early)
    assert newer.newer
    assert newer.sentence.startswith("Newer data: it learnt from all examples of the champion, and from ")
    assert newer.sentence.endswith(" It is as of 2026-11-01, and the champion's is as of 2026-02-01.")
    back = compare_examples(early, late)
    assert (back.newer, back.sentence) == (
        False, "No newer data: as of 2026-02-01, and the champion's is as of 2026-11-01.",
    )  # fmt: skip


def test_a_later_day_that_lacks_examples_of_the_champion_is_not_newer(ledger: Ledger) -> None:
    """For example, a feed that has changed since before the champion's day."""
    champion = ingested(ledger, "2026-06-01")
    other = ingested(ledger, "2026-11-01", drifts="2026-03-01 brightness 0.5")
    found = compare_examples(other, champion)
    assert not found.newer
    assert "No newer data: it lacks " in found.sentence


def test_a_run_s_day_is_in_its_configuration_its_dataset_its_summary_and_comparisons(ledger: Ledger) -> None:
    runs = [ingested(ledger, day) for day in ("2026-02-01", "2026-11-01")]
    for run, day in zip(runs, ("2026-02-01", "2026-11-01"), strict=True):
        record, summary = run.dataset(), run.summary()
        assert record and summary
        assert {record.as_of, summary.as_of, run.record.parameters["as_of"]} == {day}
    entries = read_entries(ledger.store, [run.run_id for run in runs])
    assert differing_parameters(entries)["as_of"] == ["2026-02-01", "2026-11-01"]

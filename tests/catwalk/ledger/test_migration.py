"""What `catwalk migrate` writes, and what it leaves unchanged."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from catwalk.ledger import summary_index
from catwalk.ledger.migration import (
    Migration,
    migrated_dataset,
    migrated_evaluation,
    migrated_run,
    migrated_summary,
)
from catwalk.ledger.records.run import Origin, RunRecord
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.runs import Run
from catwalk.storage.store import Store
from catwalk.trainable import origin
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import CLASSES, RunConfig
from tests.support.commands import catwalk
from tests.support.ledgers import load_first_edition, put_summary, summary

__all__ = ["catwalk"]

CHAMPION, UNFINISHED = "20261117T030000Z-9b3651a6", "20261120T030000Z-e9e346be"
ORIGIN: Callable[[RunRecord], Origin | None] = lambda record: origin(CLASSIFIER, record)  # noqa: E731
ONE, TWO = (Origin("models.it:IT", names, {"epochs": 3}) for names in (("a",), ("a", "b")))
ENDED: Callable[[SummaryRecord], bool] = lambda summary: False  # noqa: E731


def test_a_record_gets_what_it_lacks_and_loses_nothing() -> None:
    dataset = {"splits": {"test": {"class_counts": [1, 2]}}, "pixel_mean": 0.25, "pixel_stddev": "NaN", "of": "later"}
    statistics = {"pixel_mean": 0.25, "pixel_stddev": "NaN"}
    assert migrated_dataset(dataset, TWO) == {**dataset, "classes": ["a", "b"], "statistics": statistics}
    named = {"classes": ["a"], "trainable": "models.it:IT", "defaults": {"epochs": 3}}
    assert migrated_run({"seed": 1, "classes": []}, ONE) == {"seed": 1, **named}
    assert migrated_evaluation({"class_accuracy": [1.0]}, ONE) == {"class_accuracy": [1.0], "classes": ["a"]}
    early = {"pixel_mean": None, "pixel_stddev": None}  # its dataset is not known yet
    assert migrated_summary(early, ONE) == {**early, "classes": ["a"], "statistics": {}, "stages": {}}
    ended = {"attempts": {"train": 2}, "stage_seconds": {"train": 9}, "stages": {}}
    assert migrated_summary(ended, ONE)["stages"] == {}
    del ended["stages"]
    assert migrated_summary(ended, ONE)["stages"] == {"train": {"attempts": 2, "seconds": 9}}


@pytest.mark.parametrize("migrated", [migrated_run, migrated_summary])
def test_names_that_are_there_stay(migrated: Any) -> None:
    names = {"classes": ["x", "y", "z"], "trainable": "models.mine:MINE", "defaults": {"depth": 1}}
    record = {**names, "statistics": {"words": 9.0}, "stages": {}}
    assert migrated(record, ONE) == record


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"names 1 classes.* figures for 2"):
        migrated_dataset({"splits": {"test": {"class_counts": [1, 2]}}}, ONE)
    with pytest.raises(ValueError, match=r"names 1 classes.* figures for 2"):
        migrated_evaluation({"class_accuracy": [1.0, 0.5]}, ONE)


@pytest.fixture
def ledger(s3_store: Store) -> Store:
    load_first_edition(s3_store)
    return s3_store


def contents(store: Store) -> dict[str, bytes]:
    return {entry.key: store.get(entry.key).body for entry in store.list("")}


def etags(store: Store) -> dict[str, str]:
    return {entry.key: entry.etag for entry in store.list("")}


@pytest.mark.integration
def test_all_records_that_lack_something_are_written_once(ledger: Store, catwalk: Any) -> None:
    before = contents(ledger)
    told = catwalk("migrate", "--dry-run").out
    assert contents(ledger) == before
    assert "mlp: 7 runs, 7 would be migrated\n" in told
    done = catwalk("migrate")
    assert (done.code, done.err) == (0, "")
    assert done.out == told.replace("would be ", "")
    after = contents(ledger)
    changed = [key for key in after if after[key] != before.get(key)]
    assert done.out.endswith(f"\n{len(changed)} records migrated\n")
    assert {key.rpartition("/")[2] for key in changed if not key.startswith("summaries/")} == {
        "run.json", "dataset.json", "manifest.json", "evaluation.json"
    }  # fmt: skip
    for key in changed:
        old, new = json.loads(before[key]), json.loads(after[key])
        assert {**new, **old} == new, key
        assert new["classes"] == list(CLASSES)
    again = etags(ledger)
    assert "0 records" in catwalk("migrate").out
    assert etags(ledger) == again


class Killed(Exception):
    pass


@pytest.mark.integration
@pytest.mark.parametrize("writes", range(5))
def test_a_migration_killed_half_way_is_resumed(ledger: Store, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    left, real = iter(range(writes)), ledger.put

    def put(*arguments: Any, **conditions: Any) -> str:
        if next(left, None) is None:
            raise Killed
        return real(*arguments, **conditions)

    migration = Migration(ledger, ORIGIN, ENDED)
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "put", put)
        with pytest.raises(Killed):
            migration.migrate(CHAMPION)
    assert len(migration.migrate(CHAMPION).outdated) == 5 - writes
    assert migration.migrate(CHAMPION).is_current
    run = Run(ledger, CHAMPION)
    records = (run.record, run.dataset(), run.evaluation(), run.summary())
    assert [record and record.classes for record in records] == [list(CLASSES)] * 4
    assert (run.record.trainable, run.record.defaults) == (CLASSIFIER.reference, RunConfig().flat())


@pytest.mark.integration
def test_nothing_that_is_written_meanwhile_is_lost(ledger: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run, others, real = Run(ledger, CHAMPION), iter(["written by another process"]), ledger.put

    def put(key: str, body: bytes, **conditions: Any) -> str:
        said = next(others, "") if key.startswith("summaries/") else ""
        if said:
            run.update_summary(lambda found: dataclasses.replace(found, sentence=said))
        return real(key, body, **conditions)

    monkeypatch.setattr(ledger, "put", put)
    Migration(ledger, ORIGIN, ENDED).migrate(CHAMPION)
    found = run.summary()
    assert found and (found.sentence, found.classes) == ("written by another process", list(CLASSES))


@pytest.mark.integration
def test_a_running_run_is_left_for_later(ledger: Store, catwalk: Any) -> None:
    run = Run(ledger, UNFINISHED)
    run.update_summary(lambda found: dataclasses.replace(found, updated=time.time()))
    before = contents(ledger)
    done = catwalk("migrate")
    assert done.code == 0
    assert "mlp: 7 runs, 6 migrated, 1 skipped while running\n" in done.out
    assert done.err == f"catwalk: {UNFINISHED} is still running: migrate again when it has ended\n"
    after = contents(ledger)
    assert [key for key in after if UNFINISHED in key and after[key] != before[key]] == []
    run.update_summary(lambda found: dataclasses.replace(found, state="failed"))
    assert "mlp: 7 runs, 1 migrated, 6 up to date already\n" in catwalk("migrate").out


@pytest.mark.integration
@pytest.mark.parametrize("other", [b'{"cut', b'{"model_sha256": 1}', None])
def test_a_damaged_record_costs_its_own_run(ledger: Store, catwalk: Any, other: bytes | None) -> None:
    key = f"runs/{CHAMPION}/evaluation.json"
    three = json.loads(ledger.get(key).body) | {"class_accuracy": [0.9] * 3}  # a user's own dataset
    ledger.put(key, other or json.dumps(three).encode())
    before = contents(ledger)
    done = catwalk("migrate")
    assert done.code == 1
    assert "mlp: 7 runs, 6 migrated, 1 damaged\n" in done.out
    [line] = done.err.splitlines()
    assert f"{CHAMPION} is unchanged: {key} is damaged: " in line
    after = contents(ledger)
    assert [key for key in after if CHAMPION in key and after[key] != before[key]] == []


@pytest.mark.integration
def test_other_models_need_nothing(ledger: Store, catwalk: Any) -> None:
    put_summary(
        ledger,
        summary("20261123T030000Z-00000001", model="churn", classes=[], class_shares=[], test_class_accuracy=[0.9]),
    )
    before = ledger.etag("summaries/20261123T030000Z-00000001.json")
    assert "churn: 1 run, 1 up to date already\n" in catwalk("migrate").out
    assert ledger.etag("summaries/20261123T030000Z-00000001.json") == before


@pytest.mark.integration
def test_the_index_of_summaries_is_rewritten(s3_store: Store, catwalk: Any) -> None:
    for number in range(summary_index.WORTHWHILE):
        put_summary(s3_store, summary(f"20261123T030000Z-{number:08x}"))
    assert catwalk("runs").code == 0
    assert catwalk("migrate").code == 0
    listed = {entry.key: entry.etag for entry in s3_store.list("summaries/")}
    indexed = summary_index.read(s3_store)
    assert {key: stored.etag for key, stored in indexed.items()} == listed
    assert all(json.loads(stored.body)["classes"] == list(CLASSES) for stored in indexed.values())

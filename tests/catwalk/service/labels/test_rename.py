"""A model that is renamed keeps what its services have written, and what was found of it."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

import catwalk
from catwalk.errors import ConfigError
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.models.realised import PREFIX, realised
from catwalk.ledger.models.watched import lineage, watched
from catwalk.ledger.records.retraining import RequestRecord, RetrainingSettings, SlotRecord
from catwalk.retraining import slots
from catwalk.service.labels import expiry
from catwalk.storage.file_store import FileStore
from catwalk.tracking.renaming import rename
from tests.support.logs import put_predictions, stored

NOW = time.time()
TODAY, LONG_AGO = (f"{datetime.fromtimestamp(NOW, UTC) - timedelta(days=ago):%Y-%m-%d}" for ago in (0, 40))
SLOT = SlotRecord(
    "churn", RetrainingSettings(on=True, dag_id="train_churn", budget=5), "cooling", NOW, 7,
    RequestRecord(7, "catwalk__churn__e7", "ServiceInputDrifted", NOW, NOW), strikes=1, changed_by="ada", changed=NOW,
)  # fmt: skip
LABELS = np.arange(200) % 2


class Killed(BaseException):
    """What no code takes for an error of its own."""


class Dying(FileStore):
    """A ledger whose user is killed after one of its requests."""

    left = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.on_operation = self._count

    def _count(self, operation: str, seconds: float, failed: bool) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileStore:
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    monkeypatch.setenv("CATWALK_SHIP", "1")
    return filled(tmp_path / "ledger", monkeypatch)


SERVED = {"model": "attrition", "origin": "test"}


def filled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FileStore:
    """A model in service: two days of predictions and labels, the first of which are pruned; retraining is on."""
    folder.mkdir()
    store = FileStore(folder.as_uri())
    monkeypatch.setenv("CATWALK_STORE", store.url)
    with catwalk.run("churn", catwalk.Binary()) as run:
        run.reference({"age": LABELS * 1.5}, LABELS * 0.8 + 0.1)
        run.model(b"weights")
        run.test(LABELS, LABELS * 0.8 + 0.1, keys=range(200))
    champion = Champions(store).get("churn")
    assert champion and champion[0].run_id == run.run_id
    made = catwalk.PredictionMonitor("churn", registry=CollectorRegistry())._current.reference
    put_predictions(store, LONG_AGO, {"old": 0.9}, made)
    put_predictions(store, TODAY, {"a": 0.9, "b": 0.2}, made)
    catwalk.labels("churn", {"old": 1, "a": 1}, store)
    expiry.remove(store, expiry.expired(store, 30, NOW), NOW)
    slots.keep(store, SLOT, None)
    return store


def check(store: FileStore) -> None:
    """All is under the new name, and a label that comes now joins what was predicted under the old one."""
    assert lineage(store, "churn") == lineage(store, "attrition") == ["attrition", "churn"]
    assert slots.slot(store, "churn") is None
    moved = slots.slot(store, "attrition")
    assert moved and replace(moved, write="", model="churn") == SLOT
    kept = realised(store, "attrition")
    assert kept and [(day.day, day.score.labelled) for day in kept.days] == [(LONG_AGO, 1), (TODAY, 1)]
    taken = catwalk.labels("attrition", {"b": 0, "a": 1}, store)
    assert taken.realised and (taken.new, taken.known) == (1, 1)
    assert [(day.day, day.score.labelled) for day in taken.realised.days] == [(LONG_AGO, 1), (TODAY, 2)]
    assert [record.model for record in shown(store)] == ["attrition"]


def shown(store: FileStore) -> list[Any]:
    """The records that say anything."""
    found = [realised(store, entry.key[len(PREFIX) : -len(".json")]) for entry in store.list(PREFIX)]
    return [record for record in found if record and record.days]


def test_figures_labels_and_retraining_go_with_the_name(store: FileStore) -> None:
    rename(store, "churn", "attrition", "ada")
    check(store)
    assert catwalk.labels("churn", {"b": 1}, store).new == 1, "by the old name, too"
    assert [entry.key.split("/")[1] for entry in store.list("labels/")] == ["attrition", "attrition", "churn"]


def test_whoever_is_killed_renames_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_SHIP", "1")
    filled(tmp_path / "before", monkeypatch)
    for steps in count(1):
        shutil.copytree(tmp_path / "before", tmp_path / str(steps))
        store = FileStore((tmp_path / str(steps)).as_uri())
        dying = Dying(store.url)
        dying.left = steps
        try:
            rename(dying, "churn", "attrition", "ada")
        except Killed:
            known = watched(store, "churn")
            if known and known.renamed_to:
                catwalk.labels("churn", (), store)  # meanwhile the DAG joins
            rename(store, "churn", "attrition", "ada")
            check(store)
        else:
            break
    assert steps > 20


@pytest.mark.parametrize("state", ["wanted", "running"])
def test_a_model_is_not_renamed_while_its_retraining_is_under_way(store: FileStore, state: Any) -> None:
    found = slots.find(store, "churn")
    assert found
    slots.keep(store, replace(SLOT, state=state), found[1])
    with pytest.raises(ConfigError, match=f"retraining 7 of churn, which an alert has requested, is {state}; rename"):
        rename(store, "churn", "attrition", "ada")
    assert lineage(store, "churn") == ["churn"]


def test_monitors_of_either_name_go_on(store: FileStore, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = catwalk.PredictionMonitor("churn", registry=CollectorRegistry(), log=tmp_path / "log")
    rename(store, "churn", "attrition", "ada")
    before.swap()
    assert "model churn is called attrition now" in caplog.text
    after = catwalk.PredictionMonitor("attrition", registry=CollectorRegistry(), log=tmp_path / "log")
    late = catwalk.PredictionMonitor("churn", registry=CollectorRegistry())
    for number, monitor in enumerate((before, after, late)):
        with monitor.prediction({"age": 1.0}, id=f"new-{number}") as seen:
            seen.output = 0.9
    assert [each.version for each in (before, late)] == [after.version] * 2
    before.label(["new-1"], ["1"])
    before.close()
    after.close()
    assert sorted(line["id"] for name in ("churn", "attrition") for line in stored(store, "predictions", name)) == [
        "a", "b", "new-0", "new-1",
    ]  # fmt: skip
    taken = catwalk.labels("attrition", {"new-0": 1}, store)
    assert taken.realised and taken.realised.labels["unknown"] == 1, "that of the pruned day"
    assert taken.realised.days[-1].score.labelled == 3


def test_a_reference_under_another_name_of_the_model_is_taken(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "reference.json"
    champion = Champions(store).get("churn")
    assert champion
    path.write_bytes(store.get(f"runs/{champion[0].run_id}/reference.json").body)
    rename(store, "churn", "attrition", "ada")
    registry = CollectorRegistry()
    monitor = catwalk.PredictionMonitor("attrition", reference=path, registry=registry)
    assert monitor.version == champion[0].run_id and "is called" not in caplog.text
    assert registry.get_sample_value("catwalk_service_info", {**SERVED, "version": monitor.version}) == 1
    later = tmp_path / "later.json"
    later.write_bytes(path.read_bytes().replace(b'"churn"', b'"attrition"'))
    monitor.swap(reference=later)
    catwalk.PredictionMonitor("churn", reference=later, registry=CollectorRegistry())
    assert "model churn is called attrition now" in caplog.text
    with pytest.raises(ConfigError, match=r"the reference is of model churn, not of another$"):
        catwalk.PredictionMonitor("another", reference=path, registry=CollectorRegistry())
    store.put("models/churn.json", b"{")
    for url, why in ((store.url, "models/churn.json is damaged"), ("", "CATWALK_STORE is not set; set it to")):
        monkeypatch.setenv("CATWALK_STORE", url)
        with pytest.raises(ConfigError, match=r"not of attrition, and it is unknown whether that is.*: ") as refused:
            catwalk.PredictionMonitor("attrition", reference=path, registry=CollectorRegistry())
        assert why in str(refused.value) and "\n" not in str(refused.value)

"""`catwalk labels` and `catwalk prune --log-days`, over predictions that a monitor has logged, in a real S3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from catwalk.service.log import prediction_log
from catwalk.service.monitor import PredictionMonitor
from catwalk.storage.store import Store
from tests.support.commands import catwalk
from tests.support.logs import REFERENCE, VERSION, put_predictions, stored

__all__ = ["catwalk"]

pytestmark = pytest.mark.integration


@pytest.fixture
def served(s3_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PredictionMonitor:
    """What a service has logged, and the label that it received."""
    monkeypatch.setattr(prediction_log, "PATIENCE_SECONDS", 60.0)
    monitor = PredictionMonitor("churn", reference=REFERENCE, registry=CollectorRegistry(), log=tmp_path / "log")
    with monitor.predictions(ids=["a", "b", "c"]) as seen:
        seen.output = [0.9, 0.2, 0.6]
    assert seen.logged
    monitor.label(["a"], ["yes"])
    monitor.close()
    assert list((tmp_path / "log").glob("*.jsonl")) == []
    return monitor


def file(folder: Path, text: str) -> str:
    path = folder / "labels.csv"
    path.write_text(text)
    return str(path)


def test_labels_from_a_file_and_a_service_show_how_good_each_day_was(
    served: PredictionMonitor, s3_store: Store, catwalk: Any, tmp_path: Path
) -> None:
    done = catwalk("labels", file(tmp_path, "id,label\nb,no\nz,yes\n"), "churn")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(
        "2 new labels, 0 known labels\n2 labels were joined to their prediction\n1 labels have an id that"
    )
    assert "sampled out" in done.out and VERSION in done.out and "0.1643 (" in done.out
    again = catwalk("labels", file(tmp_path, "id,label\nb,no\nz,yes\n"), "churn", "--json").json()
    assert (again["new"], again["known"]) == (0, 2)
    assert again["realised"]["days"][0]["logged"] == 3 and again["realised"]["days"][0]["score"]["labelled"] == 2
    assert len(stored(s3_store, "labels")) == 3


def test_invalid_rows_are_named_and_the_exit_code_is_1(
    served: PredictionMonitor, s3_store: Store, catwalk: Any, tmp_path: Path
) -> None:
    done = catwalk("labels", file(tmp_path, "id,label\nb,perhaps\nc,no\n"), "churn")
    assert done.code == 1 and "1 new labels" in done.out
    assert (
        done.err
        == "catwalk: refused: line 2: label of id b: expected one of no, yes, or its number below 2; got 'perhaps'\n"
    )
    done = catwalk("labels", file(tmp_path, "nothing\n"), "churn")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1) and "columns id and label" in done.err
    assert catwalk("labels", str(tmp_path / "none.csv"), "churn").code == 1
    typo = catwalk("labels", file(tmp_path, "id,label\nb,no\n"), "chrun")
    assert typo.code == 1 and "chrun has neither a champion with a reference nor a log" in typo.err


def test_prune_removes_old_logs_and_keeps_their_results(
    served: PredictionMonitor, s3_store: Store, catwalk: Any, tmp_path: Path
) -> None:
    put_predictions(s3_store, "2026-01-05", {"old": 0.5})
    labels = file(tmp_path, "id,label\nold,yes\n")
    before = catwalk("labels", labels, "churn", "--json").json()["realised"]["days"]
    assert "would remove 1 segments" in catwalk("prune", "--log-days", "90", "--dry-run").out
    assert (
        catwalk("prune", "--log-days", "90", "--json")
        .json()["removed_segments"][0]
        .startswith("predictions/churn/2026")
    )
    assert "old" not in {line.get("id") for line in stored(s3_store, "predictions")}
    after = catwalk("labels", labels, "churn", "--json").json()["realised"]["days"]
    assert after == before and after[0]["day"] == "2026-01-05"
    assert "or --log-days" in catwalk("prune").err

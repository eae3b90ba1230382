"""The DAG that joins labels every hour: what Airflow reads in it, and what its task does to a ledger."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import CronTriggerTimetable

from catwalk.errors import InputError
from catwalk.ledger.models.realised import realised
from catwalk.storage.file_store import FileStore
from tests.support.logs import put_predictions, stored

DAG_FILE = """
from pathlib import Path
from catwalk.airflow.labels import labels_dag

def rows():
    return [("a", "yes"), ("b", 0), ("c", "perhaps")]

by_function = labels_dag("churn", dag_id="by_function", labels=rows, doc="Labels of churn.")
by_file = labels_dag("churn", dag_id="by_file", labels=Path(__file__).with_name("labels.csv"), schedule="15 * * * *")
of_services = labels_dag("churn", dag_id="of_services")
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from airflow.dag_processing.dagbag import BundleDagBag

    folder = tmp_path_factory.mktemp("dags")
    (folder / "churn_labels.py").write_text(DAG_FILE)
    (folder / "labels.csv").write_text("id,label\na,no\n")
    bag = BundleDagBag(str(folder), bundle_path=folder, bundle_name="dags")
    assert bag.import_errors == {}
    return dict(bag.dags)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileStore:
    monkeypatch.setenv("CATWALK_STORE", tmp_path.as_uri())
    store = FileStore(tmp_path.as_uri())
    put_predictions(store, f"{datetime.now(UTC):%Y-%m-%d}", {"a": 0.9, "b": 0.2})
    return store


def run(dag: Any) -> Any:
    return dag.get_task("join").python_callable()


def test_it_runs_every_hour_and_its_file_is_the_callers(found: Any) -> None:
    assert found["by_function"].schedule == CronTriggerTimetable(
        "0 * * * *", timezone="UTC", run_immediately=timedelta(0)
    )
    assert found["by_file"].schedule == CronTriggerTimetable("15 * * * *", timezone="UTC", run_immediately=timedelta(0))
    assert found["by_function"].doc_md == "Labels of churn." and found["by_function"].max_active_runs == 1
    assert Path(found["by_file"].fileloc).name == "churn_labels.py"


def test_its_task_takes_new_labels_and_names_invalid_ones(
    found: Any, store: FileStore, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        first = run(found["by_function"])
    assert (first["new"], first["refused"], first["joined"]) == (2, 1, 2)
    assert "refused: row 2: label of id c: expected one of no, yes" in caplog.text
    assert run(found["by_function"])["new"] == 0
    assert run(found["of_services"])["joined"] == 2
    assert len(stored(store, "labels")) == 2
    record = realised(store, "churn")
    assert record and record.days[0].score.labelled == 2


def test_a_missing_file_fails_at_once(found: Any, store: FileStore) -> None:
    assert run(found["by_file"])["new"] == 1
    Path(found["by_file"].fileloc).with_name("labels.csv").unlink()
    with pytest.raises(InputError, match=r"labels\.csv: expected CSV"):
        run(found["by_file"])

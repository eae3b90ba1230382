"""Two models, each retrained on its own schedule, in a DAG file that a user wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset, CronTriggerTimetable

from catwalk.clients.airflow_api import champion_assets
from catwalk.errors import ConfigError, InputError
from catwalk.knobs import knobs
from ml.fashion_mnist.config import RunConfig
from stack.settings import PROJECT
from tests.models.shapes.model import Settings

DAG_FILE = """
from catwalk.airflow.retraining import retraining_dag
from catwalk.airflow.sweep import sweep_dag

shapes = retraining_dag("tests.models.shapes:SHAPES", dag_id="shapes", schedule="15 */6 * * *", doc="Retrains shapes.")
sweep = sweep_dag("tests.models.shapes:SHAPES", dag_id="shapes_sweep", space={"rounds": [2, 4]})
never = retraining_dag("tests.models.shapes:SHAPES", dag_id="shapes_by_hand", schedule="None")
settings = {"source": "feed", "hidden": "64,32", "drifts": "2026-12-01 rotation 15"}
feed = retraining_dag("ml.fashion_mnist:CLASSIFIER", dag_id="fashion_feed", settings=settings)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Airflow's view of a folder with the project's DAG file and another one."""
    from airflow.dag_processing.dagbag import BundleDagBag

    folder = tmp_path_factory.mktemp("dags")
    (folder / "shapes_dags.py").write_text(DAG_FILE)
    (folder / "fashion_training.py").write_text((PROJECT / "dags" / "fashion_training.py").read_text())
    bag = BundleDagBag(str(folder), bundle_path=folder, bundle_name="dags")
    assert bag.import_errors == {}
    return dict(bag.dags)


def test_each_dag_has_its_own_schedule_and_its_own_settings(found: Any) -> None:
    assert set(found) == {"shapes", "shapes_sweep", "shapes_by_hand", "fashion_training", "fashion_feed"}
    for name, cron in (("shapes", "15 */6 * * *"), ("fashion_training", "0 3 * * *")):
        assert found[name].schedule == CronTriggerTimetable(cron, timezone="UTC", run_immediately=timedelta(0))
    assert found["shapes_by_hand"].schedule is None
    assert set(found["shapes"].params) == {knob.name for knob in knobs(Settings)}
    assert Settings.from_flat(found["shapes"].params.dump()) == Settings()
    assert "hidden" in found["fashion_training"].params
    assert found["shapes_sweep"].params.dump()["space"] == {"rounds": [2, 4]}
    for name in ("shapes", "fashion_training"):
        assert [task.task_id for task in found[name].topological_sort()] == [
            "ingest", "train", "test", "decide", "publish",
        ]  # fmt: skip
        assert found[name].tags == {"catwalk"}
    assert found["shapes"].doc_md == "Retrains shapes."


def test_a_dag_has_its_own_defaults_for_runs_without_a_form(found: Any) -> None:
    config = RunConfig.from_flat(found["fashion_feed"].params.dump())
    assert (config.data.source, config.network.hidden) == ("feed", (64, 32))
    assert config.data.drifts == "2026-12-01 rotation 15"
    assert RunConfig.from_flat(found["fashion_training"].params.dump()) == RunConfig()


def test_a_run_is_for_its_logical_date_or_for_its_due_time() -> None:
    from catwalk.airflow.tasks import begins

    logical, due = datetime(2026, 11, 25, 3, tzinfo=UTC), datetime(2026, 11, 27, 9, tzinfo=UTC)
    assert begins(SimpleNamespace(logical_date=logical, run_after=due)) == logical
    assert begins(SimpleNamespace(logical_date=None, run_after=due)) == due


def test_airflow_shows_the_code_of_the_file_that_asked_for_a_dag(found: Any) -> None:
    assert Path(found["shapes"].fileloc).name == Path(found["shapes_sweep"].fileloc).name == "shapes_dags.py"
    assert Path(found["fashion_training"].fileloc).name == "fashion_training.py"


def test_each_model_has_its_own_asset_that_any_airflow_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name has at most a hundred characters, in any script, in Airflow's database of any kind."""
    models = ["mlp", "mlp-2", "mlp_2", "猫", "%E7%8C%AB", "𝔐" * 100, "a b", "a/b", "airflow://b", "é", "e\u0301"]
    monkeypatch.setattr("airflow.sdk.definitions.asset.SQL_ALCHEMY_CONN", "mysql://")
    with pytest.raises(ValueError, match="ASCII"):
        Asset("catwalk_champion_猫")
    assets = [Asset(champion_assets(model)[0]) for model in models]
    assert len({asset.name for asset in assets}) == len({asset.uri for asset in assets}) == len(models)
    assert assets[0].name == "catwalk_champion_mlp"


def test_dag_files_are_short() -> None:
    for path in (PROJECT / "dags").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 15, path


def test_nonsense_is_refused_when_the_file_is_parsed() -> None:
    from catwalk.airflow.retraining import retraining_dag

    with pytest.raises(ConfigError, match="no_such"):
        retraining_dag("no_such.module:IT", dag_id="it")
    with pytest.raises(ConfigError, match="five cron fields"):
        retraining_dag("tests.models.shapes:SHAPES", dag_id="it", schedule="at night")
    with pytest.raises(InputError, match=r"thresholds: expected limits of alerts: .*; got 'accuracy'"):
        retraining_dag("tests.models.shapes:SHAPES", dag_id="it", thresholds={"accuracy": 0.9})
    with pytest.raises(ConfigError, match="unknown setting 'epochs'"):
        retraining_dag("tests.models.shapes:SHAPES", dag_id="it", settings={"epochs": 3})
    with pytest.raises(ConfigError, match="as_of must be empty, because source fashion-mnist is not a feed"):
        retraining_dag("ml.fashion_mnist:CLASSIFIER", dag_id="it", settings={"as_of": "2026-11-25"})

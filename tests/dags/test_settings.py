"""The DAG files under unusual environments: none of them breaks a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from catwalk.airflow.dag_settings import DagSettings
from tests.catwalk.airflow.test_dag_settings import ALL as NAMES
from tests.dags.conftest import printed

COMPLAINTS = {("",) * len(NAMES): 0, ("nightly", "many", "soon", "15min", "30h", "all", "a day"): len(NAMES)}
"""Values of :data:`NAMES` → how many of them are invalid."""
READ = """
import json
from airflow.dag_processing.dagbag import BundleDagBag
bag = BundleDagBag("dags", bundle_path="dags", bundle_name="dags")
training, sweep = bag.dags.get("fashion_training"), bag.dags.get("fashion_sweep")
print(json.dumps({
    "errors": bag.import_errors,
    "schedule": training and training.schedule.expression,
    "retries": training and training.get_task("train").retries,
    "delay": training and training.get_task("train").retry_delay.total_seconds(),
    "timeouts": training and [training.get_task(name).execution_timeout.total_seconds() for name in ("test", "train")],
    "parallel": sweep and sweep.get_task("train").max_active_tis_per_dag,
    "docs": [dag.doc_md for dag in bag.dags.values()],
}))
"""


@pytest.fixture(scope="module")
def found() -> Mapping[tuple[str, ...], Any]:
    """Returns what Airflow finds in the DAG folder under each of :data:`COMPLAINTS`."""
    lines = printed([(READ, dict(zip(NAMES, texts, strict=True))) for texts in COMPLAINTS])
    return dict(zip(COMPLAINTS, map(json.loads, lines), strict=True))


@pytest.mark.parametrize(("texts", "complaints"), COMPLAINTS.items())
def test_an_empty_value_means_the_default_and_an_absurd_one_is_shown(
    texts: tuple[str, ...], complaints: int, found: Mapping[tuple[str, ...], Any]
) -> None:
    read = found[texts]
    assert read["errors"] == {}
    default = DagSettings()
    assert (read["schedule"], read["retries"]) == (default.schedule, default.retries)
    assert (read["delay"], read["parallel"]) == (default.retry_delay_seconds, default.sweep_parallel)
    assert read["timeouts"] == [default.task_timeout_seconds, default.training_timeout_seconds]
    assert len(read["docs"]) == 2
    for documentation in read["docs"]:
        assert documentation.count("; using the default.**") == complaints
        assert all((f"{name} must be" in documentation) == bool(complaints) for name in NAMES)

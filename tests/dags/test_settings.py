"""The DAG files under environments that people leave behind: none of them breaks a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

import pytest

from catwalk.airflow.dag_settings import DagSettings
from stack.settings import PROJECT

READ = """
import json
from airflow.dag_processing.dagbag import BundleDagBag
bag = BundleDagBag("dags", bundle_path="dags", bundle_name="dags")
training, sweep = bag.dags.get("fashion_training"), bag.dags.get("fashion_sweep")
print("found " + json.dumps({
    "errors": bag.import_errors,
    "schedule": training and training.schedule.expression,
    "retries": training and training.get_task("train").retries,
    "delay": training and training.get_task("train").retry_delay.total_seconds(),
    "parallel": sweep and sweep.get_task("train").max_active_tis_per_dag,
    "docs": [dag.doc_md for dag in bag.dags.values()],
}))
"""


def read(**environment: str) -> dict[str, Any]:
    """What Airflow finds in the DAG folder."""
    with tempfile.TemporaryDirectory(prefix="catwalk-test-airflow-") as home:
        done = subprocess.run(
            [sys.executable, "-c", READ],
            cwd=PROJECT,
            env={**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False", **environment},
            capture_output=True,
            text=True,
            check=False,
        )
    [line] = [line for line in done.stdout.splitlines() if line.startswith("found ")] or [done.stderr]
    found: dict[str, Any] = json.loads(line.removeprefix("found "))
    return found


@pytest.mark.parametrize(
    ("texts", "complaints"),
    [
        (("", "", "", ""), 0),
        (("nightly", "many", "soon", "all"), 4),
    ],
)
def test_an_empty_value_means_the_default_and_an_absurd_one_is_shown(
    texts: tuple[str, str, str, str], complaints: int
) -> None:
    names = ("CATWALK_SCHEDULE", "CATWALK_TASK_RETRIES", "CATWALK_RETRY_DELAY_SECONDS", "CATWALK_SWEEP_PARALLEL")
    found = read(**dict(zip(names, texts, strict=True)))
    assert found["errors"] == {}
    default = DagSettings()
    assert (found["schedule"], found["retries"]) == (default.schedule, default.retries)
    assert (found["delay"], found["parallel"]) == (default.retry_delay_seconds, default.sweep_parallel)
    assert len(found["docs"]) == 2
    for documentation in found["docs"]:
        assert documentation.count("; its default holds.**") == complaints
        assert all((f"{name} must be" in documentation) == bool(complaints) for name in names)

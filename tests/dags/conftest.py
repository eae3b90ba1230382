"""Airflow with a home of its own: importing it writes a configuration file there."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any

import pytest

from stack.settings import PROJECT

os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="catwalk-test-airflow-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)


@pytest.fixture(scope="session")
def dags() -> Mapping[str, Any]:
    """The project's DAGs, read as Airflow reads them: with its DAG folder on the path."""
    from airflow.dag_processing.dagbag import BundleDagBag

    folder = PROJECT / "dags"
    bag = BundleDagBag(str(folder), bundle_path=folder, bundle_name="dags")
    assert bag.import_errors == {}
    return dict(bag.dags)

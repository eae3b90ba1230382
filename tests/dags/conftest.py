"""Airflow with a home of its own: importing it writes a configuration file there."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
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


FORKS = """
import json, os, sys
import airflow.sdk
sys.path.append("dags")
for code, environment in json.loads(sys.argv[1]):
    child = os.fork()
    if child == 0:
        os.environ.update(environment)
        exec(code)
        sys.stdout.flush()
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(1)
    print("end of a reading", flush=True)
"""


def printed(readings: Sequence[tuple[str, Mapping[str, str]]], **common: str) -> list[str]:
    """The last line that each code prints under its environment, where none of our modules was imported before.

    As in Airflow's DAG processor, one process has imported Airflow, which takes seconds, and forks for each reading.

    Args:
        readings: code, which runs in the project's folder with the DAG folder on the path, and what it has beside this
            process's environment.
        common: what Airflow itself is imported with.
    """
    done = subprocess.run(
        [sys.executable, "-c", FORKS, json.dumps(readings)],
        cwd=PROJECT,
        env={**os.environ, **common},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    texts = done.stdout.split("end of a reading\n")[:-1]
    return [text.splitlines()[-1] for text in texts]

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
code, environments = sys.argv[1], json.loads(sys.argv[2])
sys.path.append("dags")
for environment in environments:
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


def printed(code: str, environments: Sequence[Mapping[str, str]], **common: str) -> list[str]:
    """The last line that code prints under each environment, where none of our modules was imported before.

    As in Airflow's DAG processor, one process has imported Airflow, which takes seconds, and forks for each reading.

    Args:
        code: runs in the project's folder with the DAG folder on the path.
        environments: what each reading has beside this process's environment.
        common: what Airflow itself is imported with.
    """
    done = subprocess.run(
        [sys.executable, "-c", FORKS, code, json.dumps(environments)],
        cwd=PROJECT,
        env={**os.environ, **common},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    readings = done.stdout.split("end of a reading\n")[:-1]
    return [reading.splitlines()[-1] for reading in readings]

"""A scheduler of Airflow 2 over SQLite, which runs one task after another."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SETTINGS = {
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
    "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "1",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}


@dataclass(frozen=True)
class Airflow:
    """One Airflow; its DAGs are in ``dags`` of its home."""

    environment: Path
    home: Path
    own: dict[str, str]
    """Variables that its tasks get."""

    def run(self, *arguments: str) -> str:
        """Returns the output of one of its commands."""
        command = [str(self.environment / "bin" / "airflow"), *arguments]
        done = subprocess.run(command, env=self.variables(), cwd=self.home, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def states(self, dag_id: str) -> dict[str, list[str]]:
        """DAG run → states of its task instances, as the database has them."""
        with closing(sqlite3.connect(f"file:{self.home}/airflow.db?mode=ro", timeout=60, uri=True)) as database:
            found = database.execute("SELECT run_id, state FROM task_instance WHERE dag_id = ?", [dag_id]).fetchall()
        return {run_id: [state for of, state in found if of == run_id] for run_id, _ in found}

    @contextmanager
    def scheduler(self) -> Iterator[None]:
        """The scheduler runs in the meantime; everything that it has started ends with it."""
        command = [str(self.environment / "bin" / "airflow"), "scheduler", "--skip-serve-logs"]
        with (self.home / "scheduler.log").open("w") as log:
            process = subprocess.Popen(command, env=self.variables(), cwd=self.home, stdout=log, stderr=log)
        try:
            yield
        finally:
            for child in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            process.wait()

    def variables(self) -> dict[str, str]:
        """Nothing from the caller: no Airflow, no Catwalk, no checkout."""
        path = f"{self.environment / 'bin'}{os.pathsep}{os.defpath}"
        return {"PATH": path, "HOME": str(self.home), "AIRFLOW_HOME": str(self.home), **SETTINGS, **self.own}

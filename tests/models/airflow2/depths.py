"""Trains one version for each depth, each in a mapped task of Airflow's own process."""

import runpy
import sys
from contextlib import chdir
from datetime import datetime

from airflow.decorators import dag, task

PROGRAM = "FOLDER/churn.py"


@dag(schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False)
def depths():
    @task
    def train(depth: int) -> None:
        sys.argv = [PROGRAM, "--depth", str(depth)]
        with chdir("FOLDER"):
            runpy.run_path(PROGRAM, run_name="__main__")

    train.expand(depth=[1, 3])


depths()

"""``airflow``, with the large libraries loaded that tasks use: ``python -m stack.preloaded_airflow scheduler``.

The scheduler's executor and Celery's workers run each task in a fork of themselves, which has what they have loaded: a
task starts two seconds of CPU time sooner.
"""

from __future__ import annotations

import runpy
from importlib import import_module

import catwalk  # noqa: F401 - it sets how torch's threads wait, which torch reads when it is loaded

LIBRARIES = ("torch", "safetensors.torch", "boto3", "matplotlib.figure")
"""None of our own or Airflow's: a changed stage applies to the next task, and Airflow loads for a task what fits it."""


def main() -> None:
    """Entry point."""
    for name in LIBRARIES:
        import_module(name)
    runpy.run_module("airflow", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

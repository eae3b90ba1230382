"""Settings of the DAGs from the environment: when they run, and how often a task is tried.

DAG files read them, and must not break: a nightly run with a default is better than none. So an invalid value leaves
the default in place, and a message to show. The start of the stack fails with the same message.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from catwalk.environment import variables
from catwalk.environment.heartbeats import Heartbeats
from catwalk.environment.schedule import DEFAULT, airflow_schedule
from catwalk.errors import ConfigError

_DAY_SECONDS = 86_400.0
_LONGEST_SECONDS = 30 * _DAY_SECONDS


@dataclass(frozen=True)
class DagSettings:
    """The settings that DAG files take from the environment."""

    schedule: str | None = DEFAULT
    """The schedule, as Airflow accepts it; see :func:`catwalk.environment.schedule.airflow_schedule`."""
    retries: int = 4
    """Retries of a task."""
    retry_delay_seconds: float = 15.0
    """Delay before the first retry."""
    task_timeout_seconds: float = 900.0
    """Timeout of an attempt of any task except training."""
    training_timeout_seconds: float = 7_200.0
    """Timeout of an attempt of a training; the next attempt continues from the last checkpoint."""
    sweep_parallel: int = 2
    """Trials that train at the same time, over all sweeps."""
    sweep_wait_seconds: float = 86_400.0
    """How long a trained trial may wait for the others before it counts as stalled."""
    complaints: tuple[str, ...] = ()
    """A line for each variable with an invalid value, for which the default is used."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> DagSettings:
        """Reads `CATWALK_SCHEDULE`, `CATWALK_TASK_RETRIES`, `CATWALK_RETRY_DELAY_SECONDS`, `CATWALK_SWEEP_PARALLEL`,
        `CATWALK_SWEEP_WAIT_SECONDS`, `CATWALK_TASK_TIMEOUT_SECONDS` and `CATWALK_TRAINING_TIMEOUT_SECONDS`."""

        def timeout(variable: str, default: float) -> float:
            return variables.seconds(variable, default, most=_LONGEST_SECONDS, environment=environment)

        readers: dict[str, Callable[[], Any]] = {
            "schedule": lambda: airflow_schedule(environment),
            "retries": lambda: variables.whole("CATWALK_TASK_RETRIES", cls.retries, 0, 100, environment=environment),
            "retry_delay_seconds": lambda: variables.seconds(
                "CATWALK_RETRY_DELAY_SECONDS",
                cls.retry_delay_seconds,
                zero=True,
                most=_DAY_SECONDS,
                environment=environment,
            ),
            "task_timeout_seconds": lambda: timeout("CATWALK_TASK_TIMEOUT_SECONDS", cls.task_timeout_seconds),
            "training_timeout_seconds": lambda: timeout(
                "CATWALK_TRAINING_TIMEOUT_SECONDS", cls.training_timeout_seconds
            ),
            "sweep_parallel": lambda: variables.whole(
                "CATWALK_SWEEP_PARALLEL", cls.sweep_parallel, 1, 1_000, environment=environment
            ),
            "sweep_wait_seconds": lambda: timeout("CATWALK_SWEEP_WAIT_SECONDS", cls.sweep_wait_seconds),
        }
        values, complaints = {}, []
        for name, reader in readers.items():
            try:
                values[name] = reader()
            except ConfigError as error:
                complaints.append(str(error))
        return cls(**values, complaints=tuple(complaints))


def check(environment: Mapping[str, str] = os.environ) -> None:
    """Refuses values that :meth:`DagSettings.from_environment` tolerates, and heartbeats with which tasks couldn't open
    a run.

    Raises:
        ConfigError: A value is invalid.
    """
    complaints = DagSettings.from_environment(environment).complaints
    if complaints:
        raise ConfigError(complaints[0])
    Heartbeats.from_environment(environment)

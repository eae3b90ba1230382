"""When the DAGs run and how often a task is tried, as the environment says.

Read by the DAG files, which must not break: a nightly run with a default is better than none. So a value that makes no
sense leaves its default in force and a complaint to show; who starts the stack is refused with the same words.
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
    """What the DAG files take from the environment."""

    schedule: str | None = DEFAULT
    """As Airflow takes it; see :func:`catwalk.environment.schedule.airflow_schedule`."""
    retries: int = 4
    """Tries of a task after the first."""
    retry_delay_seconds: float = 15.0
    """Pause before the first of them."""
    task_timeout_seconds: float = 900.0
    """For which a try of any task may run, training apart."""
    training_timeout_seconds: float = 7_200.0
    """For which a try of a training may run; the next one goes on from its last checkpoint."""
    sweep_parallel: int = 2
    """Trials that train at once, over all sweeps."""
    sweep_wait_seconds: float = 86_400.0
    """For which a trained trial may wait for the others before it counts as stalled."""
    complaints: tuple[str, ...] = ()
    """A line for each variable whose value makes no sense, and whose default therefore holds."""

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
    """Refuses what :meth:`DagSettings.from_environment` would put up with, and heartbeats by which tasks could open no
    run.

    Raises:
        ConfigError: a value makes no sense.
    """
    complaints = DagSettings.from_environment(environment).complaints
    if complaints:
        raise ConfigError(complaints[0])
    Heartbeats.from_environment(environment)

"""Values from the environment: an empty value means unset, and nonsense is one line that names the variable."""

from __future__ import annotations

import pytest

from catwalk.airflow import dag_settings
from catwalk.airflow.dag_settings import DagSettings
from catwalk.environment import variables
from catwalk.errors import ConfigError

ALL = (
    "CATWALK_SCHEDULE",
    "CATWALK_TASK_RETRIES",
    "CATWALK_RETRY_DELAY_SECONDS",
    "CATWALK_TASK_TIMEOUT_SECONDS",
    "CATWALK_TRAINING_TIMEOUT_SECONDS",
    "CATWALK_SWEEP_PARALLEL",
    "CATWALK_SWEEP_WAIT_SECONDS",
)


@pytest.mark.parametrize("text", ["", "  "])
def test_empty_means_unset(text: str) -> None:
    assert DagSettings.from_environment(dict.fromkeys(ALL, text)) == DagSettings.from_environment({}) == DagSettings()


@pytest.mark.parametrize(
    "cron", ["*/5 * * * *", "0 3 * * MON-FRI", "0 3 1,15 * *", "@daily", "@quarterly", "@once", "None"]
)
def test_a_set_value_is_used(cron: str) -> None:
    values = dict(zip(ALL, (cron, "0", "0.5", "60", "108000", "7", "90000"), strict=True))
    schedule = None if cron == "None" else cron
    assert DagSettings.from_environment(values) == DagSettings(schedule, 0, 0.5, 60, 108_000, 7, 90_000)
    dag_settings.check(values)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        *(("CATWALK_SCHEDULE", text) for text in ("nightly", "0 3 * *", "0 3 * * * *", "61 3 * * *", "@never")),
        *(("CATWALK_TASK_RETRIES", text) for text in ("many", "-1", "1.5", "٣", "101")),
        *(("CATWALK_RETRY_DELAY_SECONDS", text) for text in ("soon", "-1", "nan", "inf", "1e300")),
        *(("CATWALK_TASK_TIMEOUT_SECONDS", text) for text in ("0", "15min")),
        *(("CATWALK_TRAINING_TIMEOUT_SECONDS", text) for text in ("30h", "0", "inf", "2592001")),
        *(("CATWALK_SWEEP_PARALLEL", text) for text in ("all", "0", "-2")),
        *(("CATWALK_SWEEP_WAIT_SECONDS", text) for text in ("1d", "0", "2592001")),
    ],
)
def test_nonsense_is_refused_by_name_and_leaves_the_other_values_alone(variable: str, text: str) -> None:
    values = {"CATWALK_SCHEDULE": "@weekly", "CATWALK_TASK_RETRIES": "9", variable: text}
    with pytest.raises(ConfigError, match=f"{variable} must be ") as refused:
        dag_settings.check(values)
    assert "\n" not in str(refused.value)
    found = DagSettings.from_environment(values)
    assert found.complaints == (str(refused.value),)
    assert found.schedule == ("@weekly" if variable != "CATWALK_SCHEDULE" else DagSettings.schedule)
    assert found.retries == (9 if variable != "CATWALK_TASK_RETRIES" else DagSettings.retries)


def test_heartbeats_by_which_no_run_could_be_opened_are_refused_when_the_stack_starts() -> None:
    with pytest.raises(ConfigError, match="CATWALK_LOST_SECONDS must be at least twice"):
        dag_settings.check({"CATWALK_LOST_SECONDS": "30"})


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "ten", "1e999"])
def test_a_duration_is_a_number_above_zero(text: str) -> None:
    with pytest.raises(ConfigError, match="CATWALK_STALLED_SECONDS must be a number of seconds above 0"):
        variables.seconds("CATWALK_STALLED_SECONDS", 600.0, environment={"CATWALK_STALLED_SECONDS": text})

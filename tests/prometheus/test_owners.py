"""Whom an alert is about: its labels name the model and who answers for it, or there is a reason why they can't."""

from __future__ import annotations

import re
from urllib.parse import quote_plus

import pytest

from tests.prometheus.book import SCENARIOS, complaint, scenarios_of
from tests.prometheus.owned import owner_of
from tests.prometheus.rulebook import Rule, alerts, names
from tests.prometheus.scenario import RUN, Alert, a_run, constant, fires, scenario, series
from tests.prometheus.twins import concerns_a_model, doubled

ABOUT_NO_MODEL = {
    "AirflowApiServerDown": "a component of Airflow, which all models share",
    "AirflowDagProcessorDown": "a component of Airflow, which all models share",
    "AirflowImportErrors": "Airflow counts files that it can't import, and does not say whose",
    "AirflowMetricsMissing": "a component of Airflow, which all models share",
    "AirflowSchedulerDown": "a component of Airflow, which all models share",
    "AirflowTasksStarving": "Airflow counts tasks that find no slot, and does not say whose",
    "AirflowTriggererDown": "a component of Airflow, which all models share",
    "CardinalityNearLimit": "a target that all models share; the text names who uses the most",
    "CatwalkServiceDown": "a part of the stack",
    "ConfigReloadFailed": "a part of the stack",
    "DiskNearlyFull": "a disk that all models share",
    "NotificationsFailing": "the way of all alerts",
    "RuleEvaluationFailing": "rules that hold for all models",
    "SampleLimitExceeded": "a target that all models share; the text names who uses the most",
    "StatsdConflicts": "a name that is sent with another type; it does not say by whom",
    "StatsdExporterDown": "a part of the stack",
    "StatsdLinesLost": "lines that can't be read can't say whose they are",
    "StatsdPacketsDropped": "the way of the points of all models",
    "StatsdReloadFailed": "a part of the stack",
    "StatsdSilent": "a part of the stack",
    "StatsdUnmappedEvents": "lines that no rule knows can't say whose they are",
    "StoreSlow": "the store that all models share",
    "StoreUnavailable": "the store that all models share",
    "TargetDown": "a part of the stack",
    "Watchdog": "the way of all alerts",
}
"""Alert → what it is about."""
OF_A_DAG = {"PipelinePaused", "PipelineRunFailed", "RetrainingOverdue"}
"""Alerts that can be about a DAG, or a schedule, before its model is known. They name the DAG or schedule instead."""


def joined_labels(rule: Rule) -> list[str]:
    """Names of labels that the expression takes from other series, or groups by."""
    return re.findall(r"\w+", " ".join(re.findall(r"(?:group_left|\bby) \(([^)]*)\)", rule.expression)))


def told(rule: Rule) -> list[Alert]:
    """Every alert that a scenario wants of this rule."""
    wanted = [
        alert for case in scenarios_of(rule.name) for check in case.expect if check.name == rule.name
        for alert in check.alerts or ()
    ]  # fmt: skip
    return [alert for alert in wanted if rule.fixed_labels.items() <= alert.labels.items()]


def test_what_is_about_no_model_is_listed_with_what_it_is_about() -> None:
    unowned = {rule.name for rule in alerts() if "owner" not in {*rule.body["labels"], *joined_labels(rule)}}
    assert unowned == ABOUT_NO_MODEL.keys()
    assert ABOUT_NO_MODEL.keys() <= set(names(alerts()))


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule.title)
def test_an_alert_says_whom_it_is_about(rule: Rule) -> None:
    for alert in told(rule):
        model = alert.labels.get("model", "")
        if rule.name in ABOUT_NO_MODEL:
            assert not model
        elif model:
            assert alert.summary.startswith(f"{model}: ")
        else:
            assert rule.name in OF_A_DAG
            assert alert.labels.keys() & {"dag_id", "schedule"}
            assert alert.labels.get("dag_id", "") in alert.summary
    if rule.name not in ABOUT_NO_MODEL:
        assert any("model" in alert.labels for alert in told(rule)), "no scenario has it of a model"


def test_every_alert_of_a_model_names_its_owner() -> None:
    """promtool tries the stories of two models in `test_twins.py`, and with lost scrapes in `test_lossy.py`."""
    stories = map(doubled, filter(concerns_a_model, SCENARIOS))
    named = {check.name for story in stories for check in story.expect if owner_of("") in str(check.alerts)}
    assert named == set(names(alerts())) - ABOUT_NO_MODEL.keys()


MODEL = 'a "b" \\ 猫'
"""In series and expressions, where a quote and a backslash are escaped."""
AS_SERIES = MODEL.replace("\\", "\\\\").replace('"', '\\"')


def info(values: str, owner: str, model: str = AS_SERIES) -> dict[str, str]:
    """What the exporter reports about a model."""
    return {series("catwalk_model_info", model=model, dag_id="nightly", owner=owner, retired="false"): values}


def of_instance(number: int, told: dict[str, str]) -> dict[str, str]:
    """The same from another exporter."""
    return {name.replace("exporter:1", f"exporter:{number}"): values for name, values in told.items()}


FAILED = {
    series("catwalk_run_state", model=AS_SERIES, run_id=RUN, state="failed"): constant(1, 2_000),
    **a_run(model=AS_SERIES, samples=2_000),
}


def failed(owner: str = "") -> Alert:
    """The model's run, which has failed."""
    labels = {"severity": "warning", "area": "pipeline", "model": MODEL, "run_id": RUN}
    return Alert(
        {**labels, **({"owner": owner} if owner else {})},
        f"{MODEL}: the retraining run failed",
        f"Run {RUN} of {MODEL} has failed, no attempt is left, and nothing shipped. http://exporter/runs/{RUN}",
        f"catwalk-run?var-model={quote_plus(MODEL)}&var-run={RUN}",
    )


def missing(owner: str = "") -> Alert:
    """The model has no champion."""
    labels = {"severity": "critical", "area": "model", "model": MODEL, "run_id": RUN}
    return Alert(
        {**labels, **({"owner": owner} if owner else {})},
        f"{MODEL}: no version is in service",
        f"Runs of {MODEL} were tested, the last one is {RUN}, but none is the champion.",
        f"catwalk-model?var-model={quote_plus(MODEL)}",
    )


STORIES = [
    scenario(
        "the owner changes while an alert fires: the old one's ends, the new one's begins",
        {**FAILED, **info("1x720 stale", "growth"), **info("_x721 1x1000", "risk")},
        fires("PipelineRunFailed", "1h50m", failed("growth")),
        fires("PipelineRunFailed", "2h1m", failed("risk")),
    ),
    scenario(
        "the exporter is gone for good: the owner is known as long as the alert fires",
        {**FAILED, **info("1x60", "growth"), 'up{job="exporter", instance="exporter:1"}': "1x60 0x10 _x1000"},
        fires("PipelineRunFailed", "5m", failed("growth")),
        fires("PipelineRunFailed", "2h", failed("growth")),
    ),
    scenario(
        "two exporters that know different owners: always the same one is named",
        {
            **FAILED,
            **info("1x1000", "growth"),
            **of_instance(2, info("1x1000", "risk")),
        },
        *(fires("PipelineRunFailed", f"{minute}m", failed("growth")) for minute in range(5, 60)),
    ),
    scenario(
        "where exporters differ, most of them are believed, for what waits too",
        {
            series("catwalk_model_version_info", model=AS_SERIES, role="latest", run_id=RUN): constant(1, 2_000),
            **info("1x1000", "risk"),
            **of_instance(2, info("1x1000", "growth")),
            **of_instance(3, info("1x1000", "risk")),
        },
        fires("ChampionMissing", "12m", missing("risk")),
    ),
    scenario(
        "a model that only a version tells of, and one that has none",
        {
            series("catwalk_model_version_info", model=AS_SERIES, role="latest", run_id=RUN): constant(1, 2_000),
            **info("1x1000", "growth", "other"),
        },
        fires("ChampionMissing", "12m", missing()),
    ),
    scenario(
        "a model without an owner, and one that no exporter knows",
        {**FAILED, **info("1x60 stale", "")},
        fires("PipelineRunFailed", "5m", failed()),
        fires("PipelineRunFailed", "20m", failed()),
    ),
]


@pytest.mark.integration
def test_an_alert_fires_whoever_is_the_owner_and_whether_there_is_one() -> None:
    assert not complaint(STORIES)

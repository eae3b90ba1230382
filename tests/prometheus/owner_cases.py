"""Scenarios for the owner of a model, where alerts join it."""

from __future__ import annotations

from dataclasses import replace

from tests.prometheus import estimate_cases, model_cases, pipeline_cases, service_cases
from tests.prometheus.owned import owned
from tests.prometheus.scenario import RUN, Scenario, constant, has, scenario, series


def info(model: str, owner: str, instance: int = 1) -> dict[str, str]:
    """What an exporter reports about a model."""
    name = series("catwalk_model_info", model=model, dag_id="nightly", owner=owner, retired="false")
    return {name.replace("exporter:1", f"exporter:{instance}"): constant(1)}


JOINED = {
    "ChampionMissing", "ChampionStale", "PipelinePaused", "RetrainingOverdue", "ServiceEstimateUntrusted",
    "ServiceInputDrifted", "ServiceLabelsMissing", "ServiceModelStale", "ServicePredictionsShifted", "ServiceSilent",
}  # fmt: skip
"""Alerts that take the owner from a series, since they wait for long."""
OF_UNKNOWN = {"ServiceEstimateUntrusted", "ServiceInputDrifted", "ServicePredictionsShifted", "ServiceSilent"}
"""Alerts on a service's own series, even if no exporter knows its model."""


IN_SERVICE = (*service_cases.SCENARIOS, *estimate_cases.SCENARIOS)


def _first_of_each() -> list[Scenario]:
    """For each alert and severity, the first story in which it fires about a model."""
    found: dict[tuple[str, str], Scenario] = {}
    in_service = map(_known, IN_SERVICE)
    for story in (*model_cases.SCENARIOS, *pipeline_cases.SCENARIOS, *in_service):
        for check in story.expect:
            for alert in check.alerts or ():
                if check.name in JOINED and alert.labels.get("model"):
                    found.setdefault((check.name, alert.labels["severity"]), story)
    return list({story.about: story for story in found.values()}.values())


def _unknown() -> list[Scenario]:
    """The first story of each alert of a service that fires, where no exporter knows the model."""
    found: dict[str, Scenario] = {}
    for story in IN_SERVICE:
        for check in story.expect:
            if check.alerts and check.name in OF_UNKNOWN:
                found.setdefault(check.name, story)
    return [
        replace(story, about=f"{story.about}; no exporter knows its model", series=_without_info(story.series))
        for story in {story.about: story for story in found.values()}.values()
    ]


def _without_info(told: dict[str, str]) -> dict[str, str]:
    return {name: values for name, values in told.items() if not name.startswith("catwalk_model_info")}


def _known(story: Scenario) -> Scenario:
    """The story where an exporter knows the model; a service may be of one that it doesn't know."""
    name = series("catwalk_model_info", model="mlp", retired="false")
    return replace(story, series={name: constant(1, 3_000), **story.series})


SCENARIOS = [
    *(replace(owned(story.of_alerts), about=f"{story.about}; its model has an owner") for story in _first_of_each()),
    *_unknown(),
    scenario(
        "where exporters differ in who owns a model, most of them are believed",
        {**info("mlp", "risk"), **info("mlp", "growth", 2), **info("mlp", "risk", 3)},
        has("model:owner:info", "5m", {'{model="mlp", owner="risk"}': 1}),
    ),
    scenario(
        "a model of which only a version is known has no owner, and one that has no version has one",
        {
            series("catwalk_model_version_info", model="mlp", role="latest", run_id=RUN): constant(1),
            **info("churn", "growth"),
        },
        has("model:owner:info", "5m", {'{model="mlp"}': 1, '{model="churn", owner="growth"}': 1}),
    ),
]

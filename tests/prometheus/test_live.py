"""The rules in a real Prometheus that has just begun, as `make up` starts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunningStack
from tests.prometheus.rulebook import names, records, rules
from tests.prometheus.test_runbooks import PAGES, blocks
from tests.support.servers import wait_until

pytestmark = pytest.mark.integration


def loaded(services: RunningStack) -> list[dict[str, Any]]:
    """What Prometheus reports about every rule."""
    return [rule for group in services.prometheus("rules")["groups"] for rule in group["rules"]]


def test_every_rule_is_evaluated_without_an_error(services: RunningStack) -> None:
    found = wait_until(lambda: loaded(services))
    assert sorted(rule["name"] for rule in found) == sorted(rule.name for rule in rules())
    rare = {rule.name for rule in rules() if rule.group in ("pipeline_baselines", "dashboards_runs")}

    def evaluated() -> bool:
        return all(rule["health"] != "unknown" for rule in loaded(services) if rule["name"] not in rare)

    wait_until(evaluated)
    assert {rule["name"]: rule["lastError"] for rule in loaded(services) if rule["health"] == "err"} == {}
    for rule in rules():
        if rule.name in rare:
            services.query(rule.expression)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_prometheus_answers_every_query_of_a_runbook(services: RunningStack, path: Path) -> None:
    for query in blocks(path, "promql"):
        services.query(query)


def test_thresholds_and_records_of_the_stack_itself_are_there(services: RunningStack) -> None:
    thresholds = {name for name in names(records()) if name.startswith("threshold:")}
    for name in sorted(thresholds | {"exporter:store_up:held", "statsd_exporter:events:count", "job:up:min"}):
        wait_until(lambda name=name: services.query(name), name)


def test_a_fresh_stack_raises_no_alarm_on_models_and_pipeline(services: RunningStack) -> None:
    wait_until(lambda: services.query('ALERTS{alertname="Watchdog",alertstate="firing"}'))
    # Other tests' runs may be in this stack; what is critical has nothing to do with them.
    quiet = (
        'ALERTS{area=~"model|pipeline",severity="critical",alertname!~"ChampionMissing|Airflow.+"}'  # no Airflow here
    )
    assert services.query(quiet) == []

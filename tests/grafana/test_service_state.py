"""The state of a model's service on Home and Fleet, as promtool evaluates their query."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grafana import words
from grafana.dashboards.home import SERVICE
from grafana.queries import service_state
from tests.prometheus.scenario import constant, promtool

pytestmark = pytest.mark.integration

WATCHDOG = 'ALERTS{alertname="Watchdog", alertstate="firing", severity="none"}'
REPLICA = 'catwalk_service_info{model="churn", version="1", origin="test", instance="churn:1"}'
OTHERS = {
    WATCHDOG: constant(1),
    'catwalk_service_info{model="other", version="1", origin="test"}': constant(1),
    'ALERTS{alertname="ServiceSilent", alertstate="firing", severity="critical", model="other"}': constant(1),
}


def alert(name: str, severity: str = "warning", state: str = "firing") -> dict[str, str]:
    return {f'ALERTS{{alertname="{name}", alertstate="{state}", severity="{severity}", model="churn"}}': constant(1)}


STATES: dict[str, dict[str, str]] = {
    "no service": {},
    "healthy": {REPLICA: constant(1), **alert("ModelStale"), **alert("ServiceEstimateUntrusted", "info")},
    "drifted": {REPLICA: constant(1), **alert("ServiceInputDrifted"), **alert("ServiceSlow")},
    "warning": {REPLICA: constant(1), **alert("ServiceSlow"), **alert("ServiceInputDrifted", state="pending")},
    "silent": {REPLICA: constant(1), **alert("ServiceSilent", "critical"), **alert("ServicePredictionsShifted")},
    "failing": {REPLICA: constant(1), **alert("ServiceErrors", "critical"), **alert("ServiceInputDrifted")},
    "not scraped": {REPLICA: "1x60 stale _x500", **alert("ServiceInputDrifted")},
}
"""State → series of the selected model."""


@pytest.mark.parametrize("said", STATES)
def test_home_and_fleet_say_how_a_service_stands(tmp_path: Path, said: str) -> None:
    [state] = [value for value, (text, _) in words.SERVICE.items() if text == said]
    of_model = '{model="churn"}' if said != "no service" else "{}"
    expected = {SERVICE.replace("$model", "churn"): [(of_model, state)]}
    expected[service_state()] = [
        ('{model="other"}', "3"),
        *([('{model="churn"}', state)] if said != "no service" else []),
    ]
    assert set(STATES) == {text for text, _ in words.SERVICE.values()}
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in {**OTHERS, **STATES[said]}.items()],
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": "2h",
                "exp_samples": [{"labels": labels, "value": float(value)} for labels, value in samples],
            }
            for expr, samples in expected.items()
        ],
    }
    (tmp_path / "test.yml").write_text(json.dumps({"rule_files": [], "tests": [test]}))
    assert promtool([tmp_path / "test.yml"]) == ""

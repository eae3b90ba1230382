"""Home's list of firing alerts, as promtool evaluates its query."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grafana.dashboards.home import FIRING
from tests.prometheus.scenario import promtool

pytestmark = pytest.mark.integration

LABELS = 'alertname="ModelStale", severity="warning", area="model", model="churn"'
LISTED = '{rank="2", alertname="ModelStale", model="churn", alertstate="firing"}'
"""A warning has the second rank."""
WATCHDOG = 'alertname="Watchdog", alertstate="firing", severity="none"'


def test_an_alert_is_listed_once_with_its_state_and_since_when(tmp_path: Path) -> None:
    since = 1_800_000_000
    test = {
        "interval": "1m",
        "input_series": [
            {"series": f'ALERTS{{{LABELS}, alertstate="firing"}}', "values": "1x60"},
            {"series": f"ALERTS_FOR_STATE{{{LABELS}}}", "values": f"{since}x60"},
            {"series": f"ALERTS{{{WATCHDOG}}}", "values": "1x60"},
        ],
        "promql_expr_test": [
            {
                "expr": FIRING,
                "eval_time": "30m",
                "exp_samples": [{"labels": LISTED, "value": 1000 * since}],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(json.dumps({"rule_files": [], "tests": [test]}))
    assert promtool([tmp_path / "test.yml"]) == ""

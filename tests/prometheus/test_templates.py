"""What people read: each template, rendered by amtool, against files that a person has looked at.

``CATWALK_WRITE_GOLDEN=1 pytest tests/prometheus/test_templates.py`` writes them again.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stack import notifications
from stack.settings import tool
from tests.support.notifying import LINKS, RUN

GOLDEN = Path(__file__).with_name("golden")
NO_END = "0001-01-01T00:00:00Z"


def told(
    name: str, severity: str, area: str, summary: str, text: str, end: str = NO_END, **labels: str
) -> dict[str, Any]:
    """One alert of a notification."""
    return {
        "status": "firing" if end == NO_END else "resolved",
        "labels": {"alertname": name, "severity": severity, "area": area, **LINKS, **labels},
        "annotations": {
            "summary": summary,
            "description": text,
            "runbook_url": f"{LINKS['runbooks']}/{name}",
            "dashboard": f"{LINKS['grafana']}/d/catwalk-{area}",
        },
        "startsAt": "2026-11-23T03:11:04.123Z",
        "endsAt": end,
        "generatorURL": "http://127.0.0.1:9090/graph",
        "fingerprint": name,
    }


def message(*alerts: dict[str, Any]) -> dict[str, Any]:
    """The data that Alertmanager would give the templates."""
    labels = dict.fromkeys(name for alert in alerts for name in alert["labels"])
    common = {
        name: alerts[0]["labels"].get(name)
        for name in labels
        if len({alert["labels"].get(name) for alert in alerts}) == 1
    }
    return {
        "receiver": "model",
        "status": "firing" if any(alert["status"] == "firing" for alert in alerts) else "resolved",
        "alerts": list(alerts),
        "groupLabels": {},
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "http://127.0.0.1:9093",
    }


NAN = told(
    "ModelLossNotFinite",
    "warning",
    "model",
    "Loss of mlp became NaN in epoch 7",
    "Train loss is NaN since epoch 7 <of 18> & the run has stopped.",
    model="mlp",
    run_id=RUN,
)
OVERDUE = told(
    "RetrainingOverdue",
    "critical",
    "pipeline",
    "No retraining has succeeded for 49 hours",
    "The last scheduled run that succeeded ended 49 hours ago; one is due every 24 hours.",
    model="mlp",
)
SLOW = told(
    "StoreSlow", "warning", "pipeline", "S3 takes 2.1 s an answer", "Median of the last 10 minutes; 0.02 s is usual."
)
OVER = told(
    "StoreUnavailable",
    "critical",
    "pipeline",
    "S3 does not answer",
    "The exporter has read nothing for 2 minutes.",
    end="2026-11-23T03:41:09Z",
)
MESSAGES = {"run": message(NAN), "group": message(SLOW, OVERDUE, OVER), "resolved": message(OVER)}
TEMPLATES = {"subject": "text", "text": "text", "slack": "text", "html": "html"}


def rendered(message: dict[str, Any], template: str, data: Path) -> str:
    """What amtool makes of a message; `data` is a file to write."""
    data.write_text(json.dumps(message))
    command = [str(tool("amtool")), "template", "render", f"--template.glob={notifications.SOURCE}/*.tmpl"]
    kind = [f"--template.type={TEMPLATES[template]}", f"--template.data={data}"]
    done = subprocess.run(
        [*command, *kind, f'--template.text={{{{ template "catwalk.{template}" . }}}}'],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("name", MESSAGES)
def test_template(name: str, template: str, tmp_path: Path) -> None:
    text = rendered(MESSAGES[name], template, tmp_path / "data.json")
    golden = GOLDEN / f"{name}.{template}{'' if template == 'html' else '.txt'}"
    if os.environ.get("CATWALK_WRITE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("template", TEMPLATES)
def test_an_alert_that_fires_since_before_an_upgrade_has_its_links(template: str, tmp_path: Path) -> None:
    """Its label `exporter` was called `registry`."""
    labels = {{"exporter": "registry"}.get(name, name): value for name, value in NAN["labels"].items()}
    before, after = message({**NAN, "labels": labels}), message(NAN)
    assert rendered(before, template, tmp_path / "data.json") == rendered(after, template, tmp_path / "data.json")


def test_a_subject_is_one_line_that_a_lock_screen_shows() -> None:
    for name in MESSAGES:
        subject = (GOLDEN / f"{name}.subject.txt").read_text()
        assert "\n" not in subject.strip()
        assert len(subject) <= 110
        assert subject.split(":")[0] in ("CRITICAL", "WARNING", "Resolved")

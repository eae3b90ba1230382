"""What a guest's Alertmanager takes from the bundle, merged into its own configuration."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from catwalk.bundle.files import contents
from catwalk.bundle.options import Options
from stack.settings import tool

pytestmark = pytest.mark.integration

THEIRS = {
    "route": {"receiver": "theirs", "routes": [{"matchers": ['alertname="Watchdog"'], "receiver": "deadman"}]},
    "receivers": [{"name": "theirs"}, {"name": "deadman"}],
    "inhibit_rules": [{"source_matchers": ['severity="critical"'], "target_matchers": ['severity="warning"']}],
}
BLUE = Options(
    "http://exporter",
    "http://grafana",
    courier_url="http://courier",
    labels={"cluster": "blue"},
    jobs={"statsd_exporter": "s"},
)


def amtool(*arguments: str) -> str:
    done = subprocess.run([str(tool("amtool")), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def merged(options: Options, folder: Path) -> Path:
    """Returns their configuration with the additions that the bundle's README asks for."""
    made = contents(options)
    ours: dict[str, Any] = yaml.safe_load(made["alertmanager/catwalk.yml"])
    (folder / "catwalk.tmpl").write_text(made["alertmanager/catwalk.tmpl"])
    route = {**THEIRS["route"], "routes": ours["route"]["routes"] + THEIRS["route"]["routes"]}  # type: ignore[call-overload,index]
    whole = {
        "templates": ["*.tmpl"],
        "route": route,
        "receivers": [*THEIRS["receivers"], *ours["receivers"]],
        "inhibit_rules": [*THEIRS["inhibit_rules"], *ours["inhibit_rules"]],
    }
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(whole))
    amtool("check-config", str(path))
    return path


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=TargetDown severity=critical", "theirs"),
        ("alertname=Watchdog severity=none", "deadman"),
        ("alertname=ChampionMissing severity=critical stack=catwalk cluster=green", "theirs"),
        ("alertname=ChampionMissing severity=critical stack=catwalk cluster=blue", "catwalk_courier,catwalk"),
        ("alertname=ModelPlateaued severity=info stack=catwalk cluster=blue", "catwalk_courier,catwalk_nobody"),
        ("alertname=CatwalkWatchdog severity=none stack=catwalk cluster=blue", "catwalk_courier"),
    ],
)
def test_our_alerts_and_theirs_go_to_their_own_receivers(labels: str, receiver: str, tmp_path: Path) -> None:
    path = merged(BLUE, tmp_path)
    assert amtool("config", "routes", "test", f"--config.file={path}", *labels.split()) == receiver


OWNERS = replace(BLUE, owners=("growth", 'the "cafe\u0301" \\ 猫', "courier"))


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ({"owner": "growth", "severity": "critical"}, "catwalk_courier,catwalk/growth"),
        ({"owner": 'the "caf\u00e9" \\ 猫', "severity": "warning"}, 'catwalk_courier,catwalk/the "caf\u00e9" \\ 猫'),
        ({"owner": "courier", "severity": "warning"}, "catwalk_courier,catwalk/courier"),
        ({"owner": "growth", "severity": "info"}, "catwalk_courier,catwalk_nobody"),
        ({"owner": "risk", "severity": "critical"}, "catwalk_courier,catwalk"),
        ({"severity": "critical"}, "catwalk_courier,catwalk"),
        ({"owner": "growth", "severity": "critical", "cluster": "green"}, "theirs"),
    ],
)
def test_only_an_owner_is_notified_about_their_models(labels: dict[str, str], receiver: str, tmp_path: Path) -> None:
    path = merged(OWNERS, tmp_path)
    firing = {"alertname": "ChampionMissing", "stack": "catwalk", "cluster": "blue", **labels}
    told = [f"{name}={json.dumps(text, ensure_ascii=False)}" for name, text in firing.items()]
    assert amtool("config", "routes", "test", f"--config.file={path}", *told) == receiver


def test_without_a_courier_nothing_is_sent_to_one(tmp_path: Path) -> None:
    path = merged(Options("http://exporter", "http://grafana", runbooks_url="http://r"), tmp_path)
    assert "courier" not in path.read_text()
    firing = ["severity=warning", "stack=catwalk", "alertname=ChampionStale"]
    assert amtool("config", "routes", "test", f"--config.file={path}", *firing) == "catwalk"


def test_only_our_alerts_inhibit_and_are_inhibited() -> None:
    made = yaml.safe_load(contents(BLUE)["alertmanager/catwalk.yml"])["inhibit_rules"]
    assert len(made) > 3
    for rule in made:
        for side in ("source_matchers", "target_matchers"):
            assert {'stack="catwalk"', 'cluster="blue"'} <= set(rule[side])
    assert any('job="s"' in rule["source_matchers"] for rule in made)

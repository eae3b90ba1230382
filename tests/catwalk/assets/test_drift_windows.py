"""The drift rules with windows of another length."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from catwalk.assets import drift_windows
from catwalk.assets.drift_windows import DriftWindows
from catwalk.bundle import rules
from catwalk.errors import ConfigError
from stack.native.rendering import render
from stack.settings import Settings, StackError, tool
from tests.catwalk.bundle.test_command import PLACES, bundle, texts
from tests.prometheus.rulebook import needed_for
from tests.prometheus.scenario import Scenario, fires, promtool, scenario, silent, write
from tests.prometheus.service_cases import GROSS_96, GROSS_108, REFERENCE, asked, drifted, known

DEMO = DriftWindows(20, 120)
DRIFT_ALERTS = ("ServiceInputDrifted", "ServicePredictionsShifted")


def loaded(windows: DriftWindows) -> dict[str, list[dict[str, Any]]]:
    """Name of an alert or record → the groups and rules that have it, as one."""
    found: dict[str, list[dict[str, Any]]] = {}
    for file in rules.committed(windows):
        for group in file.groups:
            for rule in group["rules"]:
                name = rule.get("alert") or rule["record"]
                found.setdefault(name, []).append({"interval": group.get("interval"), **rule})
    return found


def test_an_hour_and_a_day_are_the_committed_rules_to_the_letter(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "home")
    settings.run.mkdir(parents=True)
    render(settings)
    rendered = {path.name: path.read_text() for path in (settings.home / "prometheus" / "rules").iterdir()}
    assert rendered == {path.name: path.read_text() for path in drift_windows.files()}


def test_every_place_that_the_windows_change_is_in_the_rules() -> None:
    committed = "".join(path.read_text() for path in drift_windows.files() if path.name.startswith("service."))
    assert [text for text in DEMO._changes() if text not in committed] == []


def test_every_duration_of_a_drift_rule_follows_and_nothing_else_does() -> None:
    ours, theirs = loaded(DEMO), loaded(DriftWindows())
    for name in DRIFT_ALERTS:
        assert [(rule["for"], rule["keep_firing_for"]) for rule in ours[name]] == [("20s", "2m")]
    [window] = ours["model:service_bin:window"]
    assert "model:service_bin:increase20s[2m:20s]" in window["expr"] and "1h" not in window["expr"]
    assert [rule["expr"] for rule in ours["model:service_bin:increase20s"]] == [
        "sum by (model, version, side, feature, bin) (increase(catwalk_service_bin_total[20s]))"
    ]
    estimated = [rule for name in ours if name.startswith("model:service_estimate:") for rule in ours[name]]
    assert sum("_total[2m]" in rule["expr"] for rule in estimated) == 3
    assert not any("1d" in rule["expr"] for rule in estimated)
    moved = {name for name in theirs if theirs[name] != ours.get(name)}
    service = {name for name, [rule, *_] in theirs.items() if rule["interval"] == "1m" and name.startswith("model:")}
    assert moved - set(DRIFT_ALERTS) <= service
    assert {
        rule["interval"] for name in moved - {"model:service_bin:increase1h", *DRIFT_ALERTS} for rule in ours[name]
    } == {"5s"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("soon", "N must be two durations, for the hour and the day, such as 20s,2m, not 'soon'"),
        ("20s", "N must be two durations, for the hour and the day, such as 20s,2m, not '20s'"),
        ("0s,2m", "N must be two durations"),
        ("1h,1d\n", "N must be two durations"),
        ("٣h,1d", "N must be two durations"),
        ("20s,50s", "N: the second must be a multiple of the first, and at most 28d"),
        ("2m,20s", "N: the second must be a multiple of the first"),
        ("20s,20s", "N: the second must be a multiple of the first"),
        ("1h,99999999d", "N: the second must be a multiple of the first, and at most 28d"),
        ("39s,78s", "N: the first must be at least 40s, for 4 scrapes at an interval of 10s"),
    ],
)
def test_windows_that_the_rules_cannot_use_are_one_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        DriftWindows.read("N", text, 10)
    assert str(raised.value).startswith(complaint) and "\n" not in str(raised.value)


def test_a_stack_reads_them_from_the_environment_and_from_its_home(tmp_path: Path) -> None:
    home = {"CATWALK_HOME": str(tmp_path), "CATWALK_SCRAPE_INTERVAL": "5s"}
    assert Settings.from_environment(home).windows == DriftWindows(3_600, 86_400)
    assert Settings.from_environment({**home, "CATWALK_DRIFT_WINDOWS": "1m,1h"}).windows == DriftWindows(60, 3_600)
    with pytest.raises(StackError, match="CATWALK_DRIFT_WINDOWS: the first must be at least 20s"):
        Settings.from_environment({**home, "CATWALK_DRIFT_WINDOWS": "10s,1m"})
    (tmp_path / "local.env").write_text("CATWALK_DRIFT_WINDOWS=20s,2m\n")
    assert Settings.from_environment(home).windows == DEMO


def test_a_bundle_takes_them_and_its_own_interval_is_their_minimum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bundle(tmp_path / "out", *PLACES, "--drift-windows", "20s,2m") == 1
    assert "--drift-windows: the first must be at least 40s" in capsys.readouterr().err
    assert bundle(tmp_path / "out", *PLACES, "--selector", "team=blue", "--drift-windows", "40s,4m") == 0
    written = texts(tmp_path / "out")
    recorded, alerting = (
        yaml.safe_load(written[f"prometheus/rules/service.{kind}.yml"])["groups"] for kind in ("recording", "alerts")
    )
    [window] = [
        rule["expr"]
        for group in recorded
        for rule in group["rules"]
        if rule.get("record") == "model:service_bin:window"
    ]
    assert 'model:service_bin:increase40s{team="blue"}[4m:40s]' in window
    waits = {rule["alert"]: rule.get("for") for group in alerting for rule in group["rules"]}
    assert [waits[name] for name in DRIFT_ALERTS] == ["40s", "40s"] and waits["ServiceModelStale"] == "1h"


def test_promtool_accepts_them(tmp_path: Path) -> None:
    paths = []
    for path in drift_windows.files():
        paths.append(tmp_path / path.name)
        paths[-1].write_text(DEMO.rules(path))
    command = [str(tool("promtool")), "check", "rules", "--lint=all", "--lint-fatal", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


MINUTES = DriftWindows(5 * 60, 2 * 3_600)
"""A twelfth of an hour and of a day."""
TWELFTH = [
    scenario(
        "a gross shift with 96 examples an hour shows in the day's window alone",
        {**known(REFERENCE), **asked(GROSS_96)},
        silent("ServiceInputDrifted", "19m35s"),
        fires("ServiceInputDrifted", "20m", drifted("age", "day")),
        interval="25s",
    ),
    scenario(
        "a shift with 108 an hour shows after two hours, and stays for a day after the version is gone",
        {name: f"{text.rpartition('x')[0]}x36" for name, text in {**known(REFERENCE), **asked(GROSS_108)}.items()},
        silent("ServiceInputDrifted", "9m10s"),
        fires("ServiceInputDrifted", "10m", drifted("age", "day")),
        fires("ServiceInputDrifted", "2h25m", drifted("age", "day")),
        silent("ServiceInputDrifted", "2h35m"),
        interval="25s",
    ),
]
"""Scenarios of tests/prometheus/service_cases.py, twelve times as fast."""


@pytest.mark.integration
@pytest.mark.parametrize("story", TWELFTH, ids=lambda story: story.about)
def test_the_same_happens_in_a_twelfth_of_the_time(tmp_path: Path, story: Scenario) -> None:
    ours = dict(zip(map(str, bodies(DriftWindows())), bodies(MINUTES), strict=True))
    needed = [replace(rule, body=ours[str(rule.body)]) for rule in needed_for("ServiceInputDrifted")]
    assert promtool(write(tmp_path, needed, [story])) == ""


def bodies(windows: DriftWindows) -> list[dict[str, Any]]:
    return [rule for file in rules.committed(windows) for rule in file.rules]

"""Every rule does what its scenarios expect, as promtool evaluates it."""

from __future__ import annotations

import subprocess

import pytest

from stack.settings import tool
from tests.prometheus.book import SCENARIOS, checks_of, complaint, scenarios_of
from tests.prometheus.exporter_cases import AWAY
from tests.prometheus.rulebook import RULES, Rule, alerts, names, needed_for, records, rules
from tests.prometheus.scenario import Scenario, complaints

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_800)]


def test_promtool_accepts_every_file() -> None:
    command = [str(tool("promtool")), "check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES.glob("*.yml"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_scenarios() -> None:
    assert not complaint(SCENARIOS)


def test_what_is_held_is_held_whatever_the_rules_before_it_have_seen() -> None:
    """A scrape that times out is stored between two rules of one evaluation. Here all others are an evaluation late."""
    assert not complaints((_others_late(case), case) for case in AWAY)


def _others_late(case: Scenario) -> list[Rule]:
    (record,) = case.tested
    return sorted(needed_for(record), key=lambda rule: rule.name != record)


@pytest.mark.parametrize("alert", alerts(), ids=lambda rule: rule.title)
def test_an_alert_has_firing_and_silent_cases(alert: Rule) -> None:
    firing, silent = checks_of(alert)
    assert firing
    assert silent or alert.name == "Watchdog"


@pytest.mark.parametrize("record", names(records()))
def test_a_record_is_evaluated(record: str) -> None:
    if record.startswith("threshold:"):
        assert scenarios_of(record), "no alert compares with it"
    else:
        assert [each for case in SCENARIOS for each in case.expect if each.samples and record in each.name]


def test_scenarios_name_rules_that_exist() -> None:
    assert {name for each in SCENARIOS for name in each.tested} <= set(names(rules()))
    assert len({each.about for each in SCENARIOS}) == len(SCENARIOS)

"""Which scenarios test which rule."""

from __future__ import annotations

from collections.abc import Iterable

from tests.prometheus import (
    dashboard_cases,
    estimate_cases,
    exporter_cases,
    model_cases,
    owner_cases,
    pipeline_cases,
    service_cases,
    telemetry_cases,
)
from tests.prometheus.rulebook import Rule, needed_for, users_of
from tests.prometheus.scenario import Expectation, Scenario, complaints

BOOKS = (
    model_cases,
    pipeline_cases,
    exporter_cases,
    telemetry_cases,
    dashboard_cases,
    owner_cases,
    service_cases,
    estimate_cases,
)
SCENARIOS = [scenario for book in BOOKS for scenario in book.SCENARIOS]


def scenarios_of(name: str) -> list[Scenario]:
    """Those that check this alert or record; for a threshold, those that check the alerts that compare with it."""
    wanted = {name} | (set(users_of(name)) if name.startswith("threshold:") else set())
    return [each for each in SCENARIOS if wanted & each.tested]


def checks_of(rule: Rule) -> tuple[int, int]:
    """How many checks want this alert to fire, and how many want it silent."""
    checks = [each for case in scenarios_of(rule.name) for each in case.expect if each.name == rule.name]
    firing = sum(fires_in(rule, each) for each in checks)
    return firing, len(checks) - firing


def fires_in(rule: Rule, check: Expectation) -> bool:
    """Whether an alert with the rule's name and labels is expected."""
    labels = rule.fixed_labels.items()
    return check.name == rule.name and any(labels <= alert.labels.items() for alert in check.alerts or ())


def complaint(
    scenarios: Iterable[Scenario], before: Rule | None = None, after: Rule | None = None, beside: Iterable[str] = ()
) -> str:
    """What promtool reports for these scenarios; empty if all of them pass.

    Args:
        scenarios: The scenarios, each with the rules that it checks and all that those rules rely on.
        before: The rule that `after` replaces; without `after`, it is left out.
        after: See `before`.
        beside: Names of further rules to evaluate.
    """
    wanted = set(beside)
    chosen = ((rules_of(each.tested | wanted), each) for each in scenarios)
    return complaints(
        ([after if rule is before else rule for rule in rules if rule is not before or after], each)
        for rules, each in chosen
    )


def rules_of(names: Iterable[str]) -> list[Rule]:
    """The rules of these names, and all that they rely on."""
    return list({id(rule): rule for name in sorted(names) for rule in needed_for(name)}.values())

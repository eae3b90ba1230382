"""Tests of the rules' tests: every small fault in a rule must make one of them fail."""

from __future__ import annotations

import pytest

from tests.prometheus.book import complaint, fires_in, scenarios_of
from tests.prometheus.mutation import mutants
from tests.prometheus.rulebook import Rule, needed_for, rules
from tests.prometheus.scenario import Scenario
from tests.prometheus.variants import failing

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_800)]
UNCHANGED = 0


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.title)
def test_every_mutant_is_found(rule: Rule) -> None:
    every = dict(enumerate(mutants(rule), UNCHANGED + 1))
    left = {UNCHANGED: rule, **{number: mutant.mutated for number, mutant in every.items()}}
    for case in _likely_first(rule):
        found = failing(case, rule, left)
        assert UNCHANGED not in found, f"the rule itself fails beside its mutants: {case.about}"
        left = {number: variant for number, variant in left.items() if number not in found}
        if left.keys() == {UNCHANGED}:
            return
    pytest.fail("\n".join(every[number].change for number in left if number != UNCHANGED))


def _likely_first(rule: Rule) -> list[Scenario]:
    """The rule's scenarios: first those in which it fires, and of these the cheapest."""
    return sorted(scenarios_of(rule.name), key=lambda case: (not _is_about(rule, case), _cost(case)))


def _is_about(rule: Rule, case: Scenario) -> bool:
    return any(fires_in(rule, check) for check in case.expect)


def _cost(case: Scenario) -> int:
    """About how many rules promtool evaluates."""
    return case.evaluations * len({rule.title for name in case.tested for rule in needed_for(name)})


@pytest.mark.parametrize("name", ["StatsdExporterDown", "exporter:ledger_unread:info"])
def test_variants_fail_beside_each_other_as_they_do_alone(name: str) -> None:
    (rule,) = needed_for(name)[-1:]
    every = {number: mutant.mutated for number, mutant in enumerate(mutants(rule))}
    for case in scenarios_of(name):
        alone = {number for number, variant in every.items() if complaint([case], rule, variant)}
        assert failing(case, rule, every) == alone, case.about

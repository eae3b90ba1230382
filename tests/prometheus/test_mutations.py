"""The rules' tests are tested: every small wrong in a rule must make one of them fail."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.prometheus.book import complaint, fires_in, scenarios_of
from tests.prometheus.mutation import Mutant, mutants
from tests.prometheus.rulebook import Rule, rules
from tests.prometheus.scenario import Scenario

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_800)]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.title)
def test_every_mutant_is_found(rule: Rule) -> None:
    every = [*mutants(rule)]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(_is_found, every))
    survivors = [mutant.change for mutant, dead in zip(every, found, strict=True) if not dead]
    assert not survivors, "\n".join(survivors)


def _is_found(mutant: Mutant) -> bool:
    """One scenario after the other, until one complains; first those in which the rule itself fires."""
    cases = sorted(scenarios_of(mutant.rule.name), key=lambda case: not _is_about(mutant.rule, case))
    return any(complaint([case], mutant.rule, mutant.mutated) for case in cases)


def _is_about(rule: Rule, case: Scenario) -> bool:
    return any(fires_in(rule, check) for check in case.expect)

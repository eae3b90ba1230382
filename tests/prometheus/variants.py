"""Variants of one rule, evaluated beside each other in one run of promtool.

Each variant has a name of its own, and so has every rule that depends on it. What they all read is evaluated once.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from tests.prometheus.rulebook import Rule, needed_for
from tests.prometheus.scenario import Alert, Expectation, Scenario, promtool, write

_FAILED = re.compile(r"^ *(?:alertname|expr|rule): .*?_variant(\d+)\b", re.MULTILINE)

Variants = Mapping[int, Rule | None]
"""Number of a variant → the changed rule; None: the rule is gone."""
Rename = Callable[[str], str]


def failing(case: Scenario, rule: Rule, variants: Variants) -> set[int]:
    """The variants of a rule for which promtool complains about a scenario.

    It checks nothing after a rule that it can't evaluate: the variants behind such a one would count as undetected.
    """
    said = _Trial(case, rule, variants).complaint()
    failed = {int(number) for number in _FAILED.findall(said)}
    assert bool(failed) == bool(said), said
    return failed


@dataclass(frozen=True)
class _Trial:
    """A scenario for several variants of a rule."""

    case: Scenario
    rule: Rule
    variants: Variants

    def complaint(self) -> str:
        """What promtool says."""
        checks = [check for check in self.case.expect if self._concerns(check.tested)]
        rules = list({id(each): each for check in checks for each in needed_for(check.tested)}.values())
        changed = {each.name for each in rules if self._concerns(each.name)}
        renames = {number: _renaming(changed, number) for number in self.variants}
        story = replace(
            self.case,
            series=self.case.series | _renamed_series(self.case, renames.values()),
            expect=tuple(_renamed_check(check, rename) for rename in renames.values() for check in checks),
        )
        chosen = [made for each in rules for made in (self._each(each, renames) if each.name in changed else [each])]
        with tempfile.TemporaryDirectory() as folder:
            return promtool(write(Path(folder), chosen, [story]))

    def _concerns(self, name: str) -> bool:
        return self.rule in needed_for(name)

    def _each(self, rule: Rule, renames: Mapping[int, Rename]) -> Iterator[Rule]:
        """A rule as each variant has it."""
        for number, rename in renames.items():
            found = self.variants[number] if rule is self.rule else rule
            if found:
                yield replace(found, body=_in_all(found.body, rename))


def _renaming(names: Iterable[str], number: int) -> Rename:
    """Gives these names the variant's suffix. A selector such as ``(a|b):c:d`` selects the variant of ``a:c:d`` too."""
    suffix = f"_variant{number}"
    whole = re.compile(rf"(?<![\w:])({'|'.join(map(re.escape, names))})(?![\w:])")
    grouped = {name: _with_other_first_parts(name) for name in names if ":" in name}

    def rename(text: str) -> str:
        text = whole.sub(rf"\1{suffix}", text)
        for name, pattern in grouped.items():
            text = pattern.sub(rf"\g<0>|{name}{suffix}", text)
        return text

    return rename


@cache
def _with_other_first_parts(name: str) -> re.Pattern[str]:
    first, _, rest = name.partition(":")
    return re.compile(rf"\((?:\w+\|)*{first}(?:\|\w+)*\):{rest}(?![\w:])")


def _renamed_series(case: Scenario, renames: Iterable[Rename]) -> dict[str, str]:
    """What goes in under a recorded name goes in under each variant's too."""
    return {rename(name): values for rename in renames for name, values in case.series.items()}


def _in_all(body: Mapping[str, Any], rename: Rename) -> dict[str, Any]:
    """A rule's body with its texts renamed, whatever field they are in."""
    return {key: _in_all(value, rename) if isinstance(value, dict) else rename(value) for key, value in body.items()}


def _renamed_check(check: Expectation, rename: Rename) -> Expectation:
    alerts = check.alerts and tuple(_renamed_alert(alert, rename) for alert in check.alerts)
    return replace(check, name=rename(check.name), alerts=alerts)


def _renamed_alert(alert: Alert, rename: Rename) -> Alert:
    texts = [rename(text) for text in (alert.summary, alert.description, alert.dashboard)]
    return Alert({key: rename(value) for key, value in alert.labels.items()}, *texts)

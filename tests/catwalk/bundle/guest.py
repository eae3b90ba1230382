"""The rules' scenarios, run with a bundle's rules among the series of others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from catwalk.bundle import rules
from catwalk.bundle.options import STACK, Options
from catwalk.bundle.promql import Scope, rewritten
from tests.prometheus.book import rules_of
from tests.prometheus.rulebook import Rule
from tests.prometheus.rulebook import rules as committed
from tests.prometheus.scenario import Alert, Expectation, Scenario, complaints

_NOT_OURS = re.compile(
    r'registry|"(alertmanager|prometheus)"|^(prometheus|alertmanager)_|^exporter:(events|dag_import_errors|tasks_starving)'
)
"""Series of servers that a guest watches separately, and names of the previous release, which no guest has ever had."""
_OF_ANY_JOB = ("catwalk_service_", "catwalk_reference_", "catwalk_server_")
"""What a guest's own services report: it is ours, whatever scrapes them."""
_NAME_A_JOB = ("CardinalityNearLimit", "CatwalkServiceDown", "SampleLimitExceeded")
"""Alerts whose texts name their job."""


def is_ours(story: Scenario) -> bool:
    """Returns whether a scenario is about what a bundle watches."""
    return not any(_NOT_OURS.search(name) for name in story.series) and not story.tested & {"Watchdog", "TargetDown"}


@dataclass(frozen=True)
class Guest:
    """The rules of a bundle, in someone else's Prometheus."""

    options: Options

    @cached_property
    def bodies(self) -> dict[tuple[str, int], dict[str, Any]]:
        """Name and number among the rules of this name → the rule."""
        every = [rule for file in rules.rendered(self.options) for rule in file.rules]
        return dict(_numbered([(rule.get("alert") or rule["record"], rule) for rule in every]))

    @cached_property
    def _scope(self) -> Scope:
        """Which series are ours; this reads all rules."""
        return rules.scope(self.options, rules.committed())

    def complaint(self, stories: Iterable[Scenario]) -> str:
        """Returns what promtool says about scenarios with our series, and with series of the same names from others."""
        return complaints((self._rules(story), self.translated(story)) for story in stories)

    def translated(self, story: Scenario) -> Scenario:
        """Returns the same scenario for the guest: the input of the rules, and the expected result."""
        ours = {self._series(name): values for name, values in story.series.items()}
        theirs = {name: "987654321x1000" for told in story.series for name in self._others(told)}
        return replace(story, series={**theirs, **ours}, expect=tuple(map(self._expectation, story.expect)))

    def _others(self, name: str) -> Iterator[str]:
        """Yields series of another job, of another Catwalk, and of a source without such labels."""
        if ":" not in name.partition("{")[0] and not name.startswith(_OF_ANY_JOB):
            yield _with(re.sub(r'job="\w+"', 'job="theirs"', name), self.options.labels)
        if self.options.labels:
            yield _with(name, dict.fromkeys(self.options.labels, "green"))
            yield name

    def _rules(self, story: Scenario) -> list[Rule]:
        found = ((rule, self.bodies.get((rule.name, _number(rule)))) for rule in rules_of(story.tested))
        return [replace(rule, body=body) for rule, body in found if body]

    def _series(self, name: str) -> str:
        return _with(re.sub(r'job="\w+"', lambda job: self._named(job[0]), name), self.options.labels)

    def _expectation(self, check: Expectation) -> Expectation:
        if check.alerts is not None:
            return replace(check, alerts=tuple(self._alert(check.name, alert) for alert in check.alerts))
        assert check.samples is not None
        samples = {self._series(labels): value for labels, value in check.samples.items()}
        return replace(check, name=rewritten(check.name, self._scope) or "", samples=samples)

    def _alert(self, name: str, alert: Alert) -> Alert:
        labels = {**alert.labels, **self.options.labels, STACK[0]: STACK[1]}
        if "job" in labels:
            labels["job"] = self._named(labels["job"])
        texts = [self._named(text) if name in _NAME_A_JOB else text for text in (alert.summary, alert.description)]
        board = re.sub(r"^catwalk-\w+", rf"\g<0>{self.options.suffix}", alert.dashboard)
        return Alert(labels, *texts, board)

    def _named(self, text: str) -> str:
        """Uses the guest's job names."""
        jobs = self.options.scraped
        return re.sub(r"\b(exporter|statsd_exporter|courier)\b", lambda job: jobs[job[1]], text)


def _with(name: str, labels: Mapping[str, str]) -> str:
    added = ",".join(f'{label}="{value}"' for label, value in labels.items())
    metric, brace, inner = name.partition("{")
    inside = ",".join(filter(None, (inner.rstrip("}").strip().rstrip(","), added)))
    return f"{metric}{{{inside}}}" if inside or brace else metric


def _number(rule: Rule) -> int:
    return [each for each in committed() if each.name == rule.name].index(rule)


def _numbered(them: list[tuple[str, Any]]) -> list[tuple[tuple[str, int], Any]]:
    seen: dict[str, int] = {}
    found = []
    for name, value in them:
        seen[name] = seen.get(name, -1) + 1
        found.append(((name, seen[name]), value))
    return found

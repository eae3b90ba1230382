"""The names of the lists as they appear on the wire, and how statsd_exporter treats each."""

from __future__ import annotations

import itertools
import re
from functools import cache

from catwalk.telemetry.airflow_metrics import PREFIX
from catwalk.telemetry.rule import Rule

VALUES: dict[str, tuple[str, ...]] = {
    "dag_id": ("etl", "team.etl"),
    "task_id": ("load", "group.load"),
    "state": ("success", "failed", "up_for_retry"),
    "key": ("disk", "free_disk"),
    "hostname": ("worker-1", "worker-1.example.com"),
    "pool_name": ("default_pool", "team.pool"),
    "file_name": ("etl", "etl.v2"),
    "queue": ("default", "team.queue"),
}
"""Possible names of runs and machines; other placeholders contain a word that says what they are."""
ONLY: dict[str, tuple[str, ...]] = {
    "dagrun.duration.{state}": ("success", "failed"),
    "dagrun.duration.{state}.{dag_id}": ("success", "failed"),
    "ti.{state}": ("scheduled", "queued", "running", "deferred", "awaiting_input"),
    "callback_{status}": ("success", "failed"),
    "deadline_alerts.callback_{status}": ("success", "failed"),
}
"""Possible values of the first placeholder of a name, if the source allows nothing else."""


def on_the_wire(name: str) -> list[str]:
    """Returns all forms of a name, without the prefix."""
    placeholders = re.findall(r"\{(\w+)\}", name)
    choices = [VALUES.get(each, (f"some-{each}",)) for each in placeholders]
    if name in ONLY:
        choices[0] = ONLY[name]
    template = re.sub(r"\{\w+\}", "{}", name)
    return [template.format(*chosen) for chosen in itertools.product(*choices)]


def matches(rule: Rule, name: str) -> bool:
    """Matches as statsd_exporter does: `*` is one segment."""
    return _pattern(rule.match).fullmatch(PREFIX + name) is not None


@cache
def _pattern(match: str) -> re.Pattern[str]:
    return re.compile(match if match.startswith("^") else re.escape(match).replace(r"\*", r"[^.]+"))

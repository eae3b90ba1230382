"""What a bundle is made for: names and places in the stack of somebody else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from catwalk.assets.drift_windows import USUAL, DriftWindows
from catwalk.environment import urls
from catwalk.errors import ConfigError
from catwalk.ledger.model_names import spelling
from catwalk.telemetry import catalogue

SCRAPE_SECONDS = 10
"""How often our jobs are scraped and our rules evaluated, which windows of rules are made for."""
PARTS = ("exporter", "statsd_exporter", "courier")
"""Catwalk's own servers, by the names of their jobs in our own stack."""
STACK = ("stack", "catwalk")
"""The label that each of our alerts has, so that routes and dashboards tell them from others."""
_OURS = {label for metric in catalogue.METRICS for label in metric.labels} | {
    "alertname", "alertstate", "area", "component", "counter", "dag_id", "dag_run_id", "instance", "job", "le",
    "metric_name", "owner", "pool", "pool_name", "process", "severity", "source", "state", "task_id", STACK[0],
}  # fmt: skip
"""Labels that say something in our series already, or in Airflow's."""
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VALUE = re.compile(r"[A-Za-z0-9_.:/@+-][A-Za-z0-9_.:/@+ -]*")
_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True)
class Options:
    """What the flags of ``catwalk bundle`` say.

    Raises:
        ConfigError: one of them makes no sense; the line names its flag.
    """

    exporter_url: str
    """Where people reach the exporter."""
    grafana_url: str
    """Where people reach Grafana."""
    courier_url: str = ""
    """Where people reach the courier, which serves the runbooks; empty: there is none."""
    runbooks_url: str = ""
    """Where people find the bundle's folder of runbooks; empty: the courier serves them."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that every series of this Catwalk has in that Prometheus."""
    jobs: Mapping[str, str] = field(default_factory=dict)
    """Part → its job's name there, where it is not its own."""
    owners: tuple[str, ...] = ()
    """Owners of models who are told of these models' alerts by a receiver of their own."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Name of a threshold → the value that replaces its default."""
    windows: DriftWindows = USUAL
    """Of the rules of drift."""
    own_stack: bool = True
    """Whether alerts watch Catwalk's own servers."""
    shared_statsd: bool = False
    """Whether others send to the same statsd_exporter: what is wrong with a line is nobody's then."""
    datasource: str = ""
    """Uid of the Prometheus that dashboards open with; empty: Grafana's default one."""
    folder: str = "Catwalk"
    """Grafana's folder for the dashboards."""

    def __post_init__(self) -> None:
        for flag in ("exporter_url", "grafana_url", "courier_url", "runbooks_url"):
            object.__setattr__(self, flag, _base(flag, getattr(self, flag)))
        if bool(self.courier_url) == bool(self.runbooks_url):
            raise ConfigError(
                "runbooks are linked to one place: give --courier-url, if you run the courier, or else --runbooks-url, "
                "where you publish the bundle's folder runbooks/"
            )
        _check_labels(self.labels)
        _check_jobs(self.jobs, bool(self.courier_url))
        object.__setattr__(self, "owners", _owners(self.owners))
        _check_grafana(self.datasource, self.folder)

    @property
    def scraped(self) -> dict[str, str]:
        """Part → its job's name there, of those that run there."""
        parts = [part for part in PARTS if part != "courier" or self.courier_url]
        return {part: self.jobs.get(part, part) for part in parts}

    @property
    def suffix(self) -> str:
        """Tells the dashboards of several Catwalks in one Grafana apart; empty without labels."""
        return "".join(f"-{re.sub(r'[^A-Za-z0-9]+', '-', value)}" for value in self.labels.values())[:20].rstrip("-")

    def runbook(self, alert: str) -> str:
        """Where people find an alert's page."""
        return f"{self.courier_url}/runbooks/{alert}" if self.courier_url else f"{self.runbooks_url}/{alert}.md"


def _base(flag: str, text: str) -> str:
    if not text:
        return ""
    try:
        found = urls.checked(text).rstrip("/")
    except ValueError as error:
        raise ConfigError(f"--{flag.replace('_', '-')} {error}, not {text!r}") from None
    if "@" in urlsplit(found).netloc:
        raise ConfigError(
            f"--{flag.replace('_', '-')} has a user or a password in it, which every alert would show to its readers"
        )
    if "?" in found or "#" in found:
        raise ConfigError(
            f"--{flag.replace('_', '-')} is where links begin: it can't have a ? or # in it, as {text!r} has"
        )
    return found


def _owners(names: tuple[str, ...]) -> tuple[str, ...]:
    """In the one spelling that alerts have them in."""
    found = tuple(" ".join(spelling(name).split()) for name in names)
    for name in found:
        if not name:
            raise ConfigError("--owner takes the name of an owner of models, as `catwalk models` lists it, not nothing")
        if found.count(name) > 1:
            raise ConfigError(f"--owner is given twice for {name}")
    return found


def _check_labels(labels: Mapping[str, str]) -> None:
    for name, value in labels.items():
        if not _LABEL.fullmatch(name) or name.startswith("__"):
            raise ConfigError(f"--selector {name} is no name of a label: letters, digits and _, and no digit first")
        if name in _OURS:
            raise ConfigError(f"--selector {name} is a label that Catwalk's own series have; choose another name")
        if not _VALUE.fullmatch(value):
            raise ConfigError(f"--selector {name} has a value that is no plain text: {value!r}")


def _check_jobs(jobs: Mapping[str, str], courier: bool) -> None:
    for part, name in jobs.items():
        if part not in PARTS:
            raise ConfigError(f"--job {part} is none of Catwalk's servers; these are {', '.join(PARTS)}")
        if part == "courier" and not courier:
            raise ConfigError("--job courier names a job, but no --courier-url says that there is a courier")
        if not _VALUE.fullmatch(name):
            raise ConfigError(f"--job {part} has a name that is no plain text: {name!r}")
    names = [jobs.get(part, part) for part in PARTS if part != "courier" or courier]
    if len(set(names)) < len(names):
        raise ConfigError(f"--job gives two servers one name; they need a job each: {', '.join(names)}")


def _check_grafana(datasource: str, folder: str) -> None:
    if datasource and not _UID.fullmatch(datasource):
        raise ConfigError(
            f"--datasource takes the uid of a data source: up to 40 letters, digits, - and _, not {datasource!r}"
        )
    if not folder.strip() or "/" in folder or not folder.isprintable():
        raise ConfigError(f"--folder takes the name of a folder in Grafana, without a /, not {folder!r}")

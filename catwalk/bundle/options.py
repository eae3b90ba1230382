"""The options of a bundle: names and addresses in another team's stack."""

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
"""How often our jobs are scraped and our rules evaluated; the windows of rules depend on it."""
PARTS = ("exporter", "statsd_exporter", "courier")
"""Catwalk's own servers, by the names of their jobs in our own stack."""
STACK = ("stack", "catwalk")
"""The label that each of our alerts has, by which routes and dashboards distinguish them from others."""
_OURS = {label for metric in catalogue.METRICS for label in metric.labels} | {
    "alertname", "alertstate", "area", "component", "counter", "dag_id", "dag_run_id", "instance", "job", "le",
    "metric_name", "owner", "pool", "pool_name", "process", "severity", "source", "state", "task_id", STACK[0],
}  # fmt: skip
"""Labels that already have a meaning in our series, or in Airflow's."""
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VALUE = re.compile(r"[A-Za-z0-9_.:/@+-][A-Za-z0-9_.:/@+ -]*")
_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True)
class Options:
    """The flags of ``catwalk bundle``.

    Raises:
        ConfigError: one of them is invalid; the message names its flag.
    """

    exporter_url: str
    """The exporter's address for people."""
    grafana_url: str
    """Grafana's address for people."""
    courier_url: str = ""
    """The courier's address for people, which serves the runbooks; empty if there is none."""
    runbooks_url: str = ""
    """Where the bundle's folder of runbooks is published; empty if the courier serves them."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The labels that every series of this Catwalk has in that Prometheus."""
    jobs: Mapping[str, str] = field(default_factory=dict)
    """The name of each part's job there, if it differs from the part's."""
    owners: tuple[str, ...] = ()
    """The owners of models who get these models' alerts through their own receiver."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """The values that replace defaults of thresholds, by name."""
    windows: DriftWindows = USUAL
    """The windows of the rules of drift."""
    own_stack: bool = True
    """Whether alerts watch Catwalk's own servers."""
    shared_statsd: bool = False
    """Whether others send to the same statsd_exporter, so that it is unknown who sent a wrong line."""
    datasource: str = ""
    """The uid of the Prometheus that dashboards open with; empty for Grafana's default."""
    folder: str = "Catwalk"
    """Grafana's folder for the dashboards."""

    def __post_init__(self) -> None:
        for flag in ("exporter_url", "grafana_url", "courier_url", "runbooks_url"):
            object.__setattr__(self, flag, _base(flag, getattr(self, flag)))
        if bool(self.courier_url) == bool(self.runbooks_url):
            raise ConfigError(
                "alerts link to runbooks in one place: give --courier-url, if you run the courier, or otherwise "
                "--runbooks-url, "
                "where you publish the bundle's folder runbooks/"
            )
        _check_labels(self.labels)
        _check_jobs(self.jobs, bool(self.courier_url))
        object.__setattr__(self, "owners", _owners(self.owners))
        _check_grafana(self.datasource, self.folder)

    @property
    def scraped(self) -> dict[str, str]:
        """The name of each part's job there, for the parts that run there."""
        parts = [part for part in PARTS if part != "courier" or self.courier_url]
        return {part: self.jobs.get(part, part) for part in parts}

    @property
    def suffix(self) -> str:
        """A suffix that distinguishes the dashboards of several Catwalks in one Grafana; empty without labels."""
        return "".join(f"-{re.sub(r'[^A-Za-z0-9]+', '-', value)}" for value in self.labels.values())[:20].rstrip("-")

    def runbook(self, alert: str) -> str:
        """Returns the address of an alert's runbook."""
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
            f"--{flag.replace('_', '-')} contains a user or a password, which every alert would show to its readers"
        )
    if "?" in found or "#" in found:
        raise ConfigError(
            f"--{flag.replace('_', '-')} is the beginning of links, so it can't contain a ? or #, as {text!r} does"
        )
    return found


def _owners(names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns owners in the spelling that alerts use."""
    found = tuple(" ".join(spelling(name).split()) for name in names)
    for name in found:
        if not name:
            raise ConfigError(
                "--owner takes the name of an owner of models, as `catwalk models` lists it, and must not be empty"
            )
        if found.count(name) > 1:
            raise ConfigError(f"--owner is given twice for {name}")
    return found


def _check_labels(labels: Mapping[str, str]) -> None:
    for name, value in labels.items():
        if not _LABEL.fullmatch(name) or name.startswith("__"):
            raise ConfigError(
                f"--selector {name} is not a label name: use letters, digits and _, and don't begin with a digit"
            )
        if name in _OURS:
            raise ConfigError(f"--selector {name} is a label that Catwalk's own series have; choose another name")
        if not _VALUE.fullmatch(value):
            raise ConfigError(f"--selector {name} has a value that is not plain text: {value!r}")


def _check_jobs(jobs: Mapping[str, str], courier: bool) -> None:
    for part, name in jobs.items():
        if part not in PARTS:
            raise ConfigError(f"--job {part} is not one of Catwalk's servers, which are {', '.join(PARTS)}")
        if part == "courier" and not courier:
            raise ConfigError("--job courier names a job, but there is no courier: give --courier-url too")
        if not _VALUE.fullmatch(name):
            raise ConfigError(f"--job {part} has a name that is not plain text: {name!r}")
    names = [jobs.get(part, part) for part in PARTS if part != "courier" or courier]
    if len(set(names)) < len(names):
        raise ConfigError(f"--job gives two servers the same name; each needs its own: {', '.join(names)}")


def _check_grafana(datasource: str, folder: str) -> None:
    if datasource and not _UID.fullmatch(datasource):
        raise ConfigError(
            f"--datasource takes the uid of a data source: up to 40 letters, digits, - and _, not {datasource!r}"
        )
    if not folder.strip() or "/" in folder or not folder.isprintable():
        raise ConfigError(f"--folder takes the name of a folder in Grafana, without a /, not {folder!r}")

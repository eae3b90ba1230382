"""Prometheus, Alertmanager, the courier and Grafana."""

from __future__ import annotations

import re
from collections.abc import Iterable

import yaml

from catwalk.cli.doctor.asking import ask_json
from catwalk.cli.doctor.check import Unwell
from catwalk.cli.tables import model_table
from catwalk.clients.alertmanager import configuration
from catwalk.clients.courier import told
from catwalk.clients.grafana import Grafana
from catwalk.environment.parts import part_url, start_command
from catwalk.ledger.model_names import spelling
from catwalk.notifications.receivers import COMMON, COURIER, EVERYBODY, owner
from catwalk.storage.opening import open_store

_RETENTION_DAYS = 365


def prometheus() -> str:
    url = part_url("prometheus")
    flags = ask_json(f"{url}/api/v1/status/flags", None)["data"]
    kept = flags["storage.tsdb.retention.time"]
    days = _days(kept)
    if days is not None and days < _RETENTION_DAYS:
        raise Unwell(
            f"{url} keeps only {kept}",
            "older data is lost, and old champions with it: start it with --storage.tsdb.retention.time=400d",
            "WARN",
        )
    return f"{url} is ready and keeps {kept}"


def _days(text: str) -> float | None:
    """The days of a duration as Prometheus writes it (400d, 1y90d); None if it has another form."""
    units = {"y": 365.0, "w": 7.0, "d": 1.0, "h": 1 / 24, "m": 1 / 1440, "s": 1 / 86400, "ms": 1 / 86_400_000}
    parts = re.findall(r"(\d+)(ms|[ywdhms])", text)
    return sum(int(number) * units[unit] for number, unit in parts) if parts else None


def targets() -> str:
    targets = ask_json(f"{part_url('prometheus')}/api/v1/targets?state=active", None)["data"]["activeTargets"]
    down = [
        f"{target['labels']['job']} ({target['lastError'] or 'not scraped yet'})"
        for target in targets
        if target["health"] != "up"
    ]
    if down or not targets:
        finding = f"Prometheus has no metrics of {', '.join(down)}" if down else "Prometheus scrapes nothing"
        raise Unwell(finding, _remedy_of_scrapes({target["lastError"] for target in targets}))
    return "Prometheus reaches " + ", ".join(sorted({target["labels"]["job"] for target in targets}))


def _remedy_of_scrapes(errors: set[str]) -> str:
    """How to fix failed scrapes; a restart doesn't help a target that answers too much or too late."""
    if any("sample limit exceeded" in error for error in errors):
        return "see the runbook of SampleLimitExceeded"
    if any("context deadline exceeded" in error for error in errors):
        return "a target that answers too late is busy or has too many series: see the runbook of StatsdExporterDown"
    return f"start these parts ({start_command()}), or correct Prometheus' target files"


def alertmanager() -> str:
    url = part_url("alertmanager")
    version = ask_json(f"{url}/api/v2/status", None)["versionInfo"]["version"]
    return f"{url} is ready" + (f" (version {version})" if version else "")  # built from its module, it has no version


def owners() -> str:
    """Checks the owners with receivers: a folder with a name that is no model's owner gets no notifications."""
    url = part_url("alertmanager")
    names = {one["name"] for one in yaml.safe_load(configuration(url))["receivers"]}
    if EVERYBODY not in names:
        raise Unwell(f"{url} doesn't use Catwalk's configuration", "route its alerts by their label owner", "WARN")
    with_folder = {owner(name) for name in names - {*COMMON, COURIER}}
    known = {spelling(model.owner) for model in model_table.rows(open_store()) if model.owner}
    if with_folder - known:
        raise Unwell(
            f"these receivers get no notifications, because no model has the owner {_listed(with_folder - known)}",
            f"rename their folder, or name them in the models' runs; the owners are {_listed(known)}",
            "WARN",
        )
    return f"owners with receivers of their own: {_listed(with_folder)}; without: {_listed(known - with_folder)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def courier() -> str:
    url = part_url("courier")
    deadman = told(url, 1)["deadman"]
    if deadman["state"] == "silent":
        raise Unwell(
            f"the courier at {url} doesn't receive the Watchdog: alerts don't reach you",
            "see the lines of prometheus and alertmanager above, and the courier's runbook for the Watchdog",
        )
    if deadman["state"] == "planned":
        raise Unwell(
            "planned work is announced: alerts send no notifications",
            "once the work is done, end it with `catwalk silence --end`",
            "WARN",
        )
    if not deadman["calls_out_by"]:
        raise Unwell(
            f"{url} keeps notifications, but has no callout for a Prometheus that is down",
            "put a file of prometheus/alertmanager/README.md into the folder CATWALK_RECEIVERS, or set "
            "CATWALK_CALLOUT_COMMAND",
            "WARN",
        )
    heard = "receives the Watchdog" if deadman["state"] == "well" else "has not received the Watchdog yet"
    return f"{url} {heard}, and calls out by {', '.join(deadman['calls_out_by'])}"


def grafana() -> str:
    grafana = Grafana.from_environment()
    if grafana is None:
        raise Unwell("not checked: CATWALK_GRAFANA_TOKEN is not set", "set it to a service account's token", "WARN")
    version, dashboards = grafana.version(), grafana.dashboards()
    ours = sorted(uid for uid in dashboards if uid.startswith("catwalk-"))
    if not ours:
        raise Unwell(
            f"Grafana {version} at {grafana.url} has none of Catwalk's dashboards", "see grafana/README.md", "WARN"
        )
    return f"Grafana {version} at {grafana.url} has {', '.join(ours)}"

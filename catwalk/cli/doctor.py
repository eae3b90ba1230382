"""Checks every part of Catwalk by using it, and says what to do about what is wrong."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import time
import urllib.error
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Literal

from catwalk.cli import trainables
from catwalk.clients import access, airflow_health
from catwalk.clients.airflow_api import TAG, AirflowApi
from catwalk.clients.courier import told
from catwalk.clients.grafana import Grafana
from catwalk.environment.parts import home, part_url, start_command
from catwalk.errors import CatwalkError, DownloadError, PreconditionFailedError
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from catwalk.telemetry import catalogue
from catwalk.trainable import Checkable

Verdict = Literal["OK", "WARN", "FAIL"]
_TIMEOUT = 5.0
_CANARY_WAIT = 2.5
"""Seconds; the canary sends one line a second."""
_HEARTBEAT_WAIT = 15.0
"""Seconds; each component of Airflow sends a heartbeat every 5."""
_HEARTBEATS = ("scheduler", "dag_processor", "triggerer")
_LOSSES = re.compile(
    r"^statsd_exporter_(events_(?:unmapped|conflict|error)|(?:sample|tag|tcp_connection)_errors|udp_packet_drops|"
    r"tcp_too_long_lines)_total(\{[^}]*\})? (\S+)",
    re.MULTILINE,
)
"""What statsd_exporter counts of lines that did not become what they should: the counter, its labels, its value."""
_WRITERS = 8
_RETENTION_DAYS = 365
_GIBIBYTE = 2**30
_PROFILES = {
    "prometheus": ("monitoring", "prometheus"),
    "targets": ("monitoring", "prometheus"),
    "alertmanager": ("monitoring", "alertmanager"),
    "grafana": ("grafana", "grafana"),
}
"""Check → the profile of docker-compose.yaml that its part belongs to, and the part."""


@dataclass(frozen=True)
class Check:
    """What one look at one part has shown."""

    part: str
    verdict: Verdict
    finding: str
    remedy: str = ""
    """What to do; empty where nothing is wrong."""

    def to_dict(self) -> dict[str, str]:
        """Plain values, for JSON."""
        return asdict(self)


class _Unwell(Exception):
    """Something a check has found: finding, remedy, verdict."""

    def __init__(self, finding: str, remedy: str, verdict: Verdict = "FAIL") -> None:
        super().__init__(finding)
        self.finding, self.remedy, self.verdict = finding, remedy, verdict


def examine() -> Iterator[Check]:
    """Every check in the order in which data flows, each as soon as it is done."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("dataset", _dataset),
        ("disk", _disk),
        ("store", _store),
        ("conditional writes", _conditional_writes),
        ("statsd", _statsd),
        ("canary", _canary),
        ("statsd losses", _statsd_losses),
        ("exporter", _exporter),
        ("prometheus", _prometheus),
        ("targets", _targets),
        ("alertmanager", _alertmanager),
        ("courier", _courier),
        ("grafana", _grafana),
        ("airflow", _airflow),
        ("airflow metrics", _airflow_metrics),
        ("dag", _dag),
    ]
    for part, check in checks:
        try:
            _look_for_own(part)
            yield Check(part, "OK", check())
        except _Unwell as found:
            yield Check(part, found.verdict, found.finding, found.remedy)
        except CatwalkError as error:
            finding, _, remedy = str(error).partition("; ")
            yield Check(part, "FAIL", finding, remedy)
        except Exception as error:  # an answer nobody foresaw is a finding too; the other parts still get their turn
            finding = (
                f"gave an answer that can't be understood ({type(error).__name__}: {' '.join(str(error).split())})"
            )
            yield Check(part, "FAIL", finding, "is something else listening at that address?")


def _look_for_own(check: str) -> None:
    """In containers, `CATWALK_PROFILES` says which parts run beside this; one that is left out may be elsewhere."""
    profiles = os.environ.get("CATWALK_PROFILES")
    profile, part = _PROFILES.get(check, ("", ""))
    if profiles is None or not part or profile in profiles.split(","):
        return
    if urllib.parse.urlsplit(part_url(part)).hostname == part:
        raise _Unwell(
            "left out by COMPOSE_PROFILES",
            f"if you have your own, say where by CATWALK_{part.upper()}_INTERNAL_URL in .env",
            "WARN",
        )


def _dataset() -> str:
    found = trainables.default()
    if found is None:
        raise _Unwell("not looked at: no CATWALK_TRAINABLE", "set it to package.module:NAME", "WARN")
    if not isinstance(found, Checkable):
        return f"{found.reference} says nothing of its data"
    try:
        return found.check()
    except DownloadError as error:
        finding, _, remedy = str(error).partition("; ")
        raise _Unwell(finding, remedy, "WARN") from error


def _disk() -> str:
    folder = next(path for path in (home(), *home().parents) if path.exists())
    free = shutil.disk_usage(folder).free / _GIBIBYTE
    finding = f"{free:.1f} GiB free under {folder}"
    if free < 5:
        raise _Unwell(finding, "free some space: metrics, logs and checkpoints grow", "WARN" if free >= 1 else "FAIL")
    return finding


def _store() -> str:
    store = open_store()
    started = time.perf_counter()
    store.check()
    took = 1000 * (time.perf_counter() - started)
    _round_trip(store)
    return f"{store.place} answers in {took:.0f} ms, and finds again what is written"


def _round_trip(store: Store) -> None:
    """An answer alone proves little: what stands before S3 may tidy up names, so that nothing is found again."""
    key, body = f"doctor/{secrets.token_hex(8)}", secrets.token_bytes(8)
    store.put(key, body)
    try:
        found = store.find(key)
        listed = [entry.key for entry in store.list("doctor/")]
    finally:
        store.delete(key)
    lost = [how for how, well in (("read", found and found.body == body), ("listed", key in listed)) if not well]
    lost += ["deleted"] * store.exists(key)
    if lost:
        raise _Unwell(
            f"{store.place} took an object, which then could not be {' or '.join(lost)}",
            "correct CATWALK_STORE's prefix, or what stands before that S3",
        )


def _conditional_writes() -> str:
    """Servers exist that accept the conditions and ignore them; the champion pointer stands on them."""
    store = open_store()
    key = f"doctor/{secrets.token_hex(8)}"
    remedy = (
        "runs and the champion pointer need them: use an S3 server that has them (versitygw from 1.8.0, AWS), and "
        "nothing before it that changes ETags"
    )

    def wins(body: bytes, **condition: Any) -> bool:
        try:
            store.put(key, body, **condition)
            return True
        except PreconditionFailedError:
            return False

    try:
        with ThreadPoolExecutor(_WRITERS) as pool:
            created = sum(pool.map(lambda number: wins(b"create %d" % number, create=True), range(_WRITERS)))
            etag = store.get(key).etag
            swapped = sum(pool.map(lambda number: wins(b"swap %d" % number, if_match=etag), range(_WRITERS)))
    finally:
        store.delete(key)
    if (created, swapped) != (1, 1):
        raise _Unwell(f"of {_WRITERS} writers at once {created} created and {swapped} replaced one object", remedy)
    return f"of {_WRITERS} writers at once, one creates and one replaces"


def _statsd() -> str:
    address = os.environ.get("CATWALK_STATSD", "")
    if not address:
        raise _Unwell(
            "CATWALK_STATSD is not set: runs send no metrics", "set it to host:port of statsd_exporter", "WARN"
        )
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _TIMEOUT).close()
    except (OSError, ValueError) as error:
        raise _Unwell(
            f"nothing listens at {address} ({getattr(error, 'strerror', None) or error})",
            f"start statsd_exporter ({start_command()}) or correct CATWALK_STATSD",
        ) from error
    return f"{address} accepts connections"


def _canary() -> str:
    name = catalogue.CANARY_RECEIVED.name
    before = _sample(part_url("statsd_exporter"), name)
    time.sleep(_CANARY_WAIT)
    after = _sample(part_url("statsd_exporter"), name)
    if after <= before:
        raise _Unwell(
            "no canary arrives at statsd_exporter by UDP",
            "is the exporter running, with CATWALK_STATSD set to this statsd_exporter?",
        )
    return f"{after - before:.0f} canaries arrived in {_CANARY_WAIT} s"


def _statsd_losses() -> str:
    text = _get(f"{part_url('statsd_exporter')}/metrics").decode()
    lost = [f"{name}{labels} {float(value):.0f}" for name, labels, value in _LOSSES.findall(text) if float(value)]
    if lost:
        raise _Unwell(
            f"since it began, statsd_exporter has counted {', '.join(lost)}",
            "see the runbook of StatsdLinesLost, StatsdConflicts or StatsdUnmappedEvents",
            "WARN",
        )
    return "statsd_exporter has read every line"


def _exporter() -> str:
    url = part_url("exporter")
    if _sample(url, catalogue.STORE_UP.name) != 1:
        raise _Unwell(f"the exporter at {url} can't read S3", "see the store's line above, and the exporter's log")
    return f"{url} serves what S3 holds"


def _prometheus() -> str:
    url = part_url("prometheus")
    flags = _json(f"{url}/api/v1/status/flags", None)["data"]
    kept = flags["storage.tsdb.retention.time"]
    days = _days(kept)
    if days is not None and days < _RETENTION_DAYS:
        raise _Unwell(
            f"{url} keeps {kept} only", "old champions vanish: start it with --storage.tsdb.retention.time=400d", "WARN"
        )
    return f"{url} is ready and keeps {kept}"


def _days(text: str) -> float | None:
    """Prometheus' own notation of durations (400d, 1y90d); None where it is something else."""
    units = {"y": 365.0, "w": 7.0, "d": 1.0, "h": 1 / 24, "m": 1 / 1440, "s": 1 / 86400, "ms": 1 / 86_400_000}
    parts = re.findall(r"(\d+)(ms|[ywdhms])", text)
    return sum(int(number) * units[unit] for number, unit in parts) if parts else None


def _targets() -> str:
    targets = _json(f"{part_url('prometheus')}/api/v1/targets?state=active", None)["data"]["activeTargets"]
    down = [
        f"{target['labels']['job']} ({target['lastError'] or 'not scraped yet'})"
        for target in targets
        if target["health"] != "up"
    ]
    if down or not targets:
        finding = f"Prometheus has no metrics of {', '.join(down)}" if down else "Prometheus scrapes nothing"
        raise _Unwell(finding, _remedy_of_scrapes({target["lastError"] for target in targets}))
    return "Prometheus reaches " + ", ".join(sorted({target["labels"]["job"] for target in targets}))


def _remedy_of_scrapes(errors: set[str]) -> str:
    """A target that answers, too much or too late, is not helped by a start."""
    if any("sample limit exceeded" in error for error in errors):
        return "see the runbook of SampleLimitExceeded"
    if any("context deadline exceeded" in error for error in errors):
        return "what answers, but too late, is busy or has too many series: see the runbook of StatsdExporterDown"
    return f"start these parts ({start_command()}), or correct Prometheus' target files"


def _alertmanager() -> str:
    url = part_url("alertmanager")
    version = _json(f"{url}/api/v2/status", None)["versionInfo"]["version"]
    return f"{url} is ready" + (f" (version {version})" if version else "")  # one built from its module knows none


def _courier() -> str:
    url = part_url("courier")
    deadman = told(url, 1)["deadman"]
    if deadman["state"] == "silent":
        raise _Unwell(
            f"the courier at {url} does not hear the Watchdog: nobody is told of alerts",
            "see the lines of prometheus and alertmanager above, and the courier's runbook for the Watchdog",
        )
    if deadman["state"] == "planned":
        raise _Unwell(
            "planned work is announced: nobody is told of alerts",
            "`catwalk silence --end` ends that, if the work is done",
            "WARN",
        )
    if not deadman["calls_out_by"]:
        raise _Unwell(
            f"{url} keeps notifications, but could call nobody if Prometheus died",
            "put a file of prometheus/alertmanager/README.md into the folder CATWALK_RECEIVERS, or set "
            "CATWALK_CALLOUT_COMMAND",
            "WARN",
        )
    heard = "hears the Watchdog" if deadman["state"] == "well" else "has not heard the Watchdog yet"
    return f"{url} {heard}, and calls out by {', '.join(deadman['calls_out_by'])}"


def _grafana() -> str:
    grafana = Grafana.from_environment()
    if grafana is None:
        raise _Unwell("not looked at: no CATWALK_GRAFANA_TOKEN", "set it to a service account's token", "WARN")
    version, dashboards = grafana.version(), grafana.dashboards()
    ours = sorted(uid for uid in dashboards if uid.startswith("catwalk-"))
    if not ours:
        raise _Unwell(
            f"Grafana {version} at {grafana.url} has none of Catwalk's dashboards", "see grafana/README.md", "WARN"
        )
    return f"Grafana {version} at {grafana.url} has {', '.join(ours)}"


def _airflow() -> str:
    url = part_url("airflow")
    _json(f"{url}/api/v2/monitor/health")
    unwell = [name for name, healthy in airflow_health.ask(url).items() if not healthy]
    if unwell:
        raise _Unwell(
            f"Airflow at {url} has unhealthy parts: {', '.join(unwell)}",
            f"see their logs; start them anew ({start_command()})",
        )
    return f"{url}: every component is healthy"


def _airflow_metrics() -> str:
    """Airflow's client may send to an address that nobody listens at any more, without a word."""
    statsd, health = part_url("statsd_exporter"), airflow_health.ask(part_url("airflow"))
    unheard = {name for name in _HEARTBEATS if health.get(name)}
    if not unheard:
        return "no component of Airflow is healthy that could be heard"
    before = {name: _heartbeats(statsd, name) for name in unheard}
    deadline = time.monotonic() + _HEARTBEAT_WAIT
    while unheard and time.monotonic() < deadline:
        time.sleep(0.5)
        unheard = {name for name in unheard if _heartbeats(statsd, name) == before[name]}
    if unheard:
        raise _Unwell(
            f"no heartbeat of Airflow's {', '.join(sorted(unheard))} arrives at statsd_exporter: its metrics are lost",
            "restart them; see the runbook of AirflowMetricsMissing",
            "WARN",
        )
    return f"heartbeats of {', '.join(sorted(before))} arrive at statsd_exporter"


def _heartbeats(statsd: str, component: str) -> float:
    return _sample(statsd, f"airflow_{component}_heartbeat_total")


def _dag() -> str:
    airflow = AirflowApi.at(part_url("airflow"))
    if airflow is None:
        raise _Unwell(
            "not looked at: no credentials for Airflow",
            "set CATWALK_AIRFLOW_PASSWORD, and CATWALK_AIRFLOW_USER if that isn't admin",
            "WARN",
        )
    errors = airflow.request("GET", "importErrors")["import_errors"]
    if errors:
        reason = errors[0]["stack_trace"].strip().splitlines()[-1]
        raise _Unwell(
            f"{errors[0]['filename']} can't be imported: {reason}", "correct the file; Airflow reads it again by itself"
        )
    dags = airflow.dags()
    if not dags:
        raise _Unwell(
            f"Airflow knows no DAG that is tagged {TAG}", "is dags/ its DAG folder? A new file takes half a minute"
        )
    paused = [name for name, found in sorted(dags.items()) if found["is_paused"]]
    if paused:
        remedy = "; ".join(f"airflow dags unpause {name}" for name in paused)
        raise _Unwell(f"{', '.join(paused)} is paused: nothing is scheduled", remedy, "WARN")
    return "; ".join(
        f"{name} is scheduled ({found.get('timetable_description') or 'no schedule'})"
        for name, found in sorted(dags.items())
    )


def _sample(url: str, name: str) -> float:
    """The value of a metric without labels on a metrics page; 0 while it is not there."""
    text = _get(f"{url}/metrics").decode()
    found = re.search(rf"^{re.escape(name)} (\S+)", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def _json(url: str, password: str | None = "") -> Any:
    return json.loads(_get(url, password))


def _get(url: str, password: str | None = "") -> bytes:
    """The body; `password` None stands for the one of Prometheus and Alertmanager."""
    address = urllib.parse.urlsplit(url)
    try:
        return access.fetch(url, timeout=_TIMEOUT, password=password)
    except urllib.error.HTTPError as error:
        said = " ".join(error.read(2_000).decode(errors="replace").split()) if error.code >= 500 else ""
        error.close()
        finding = f"{address.netloc}{address.path} answers {error.code} {error.reason}" + (f" ({said})" if said else "")
        own = "start that part again; if it comes back, see its log"
        remedy = f"set {access.PASSWORD_VARIABLE} to its password" if access.refused(error) else own
        raise _Unwell(finding, remedy) from error
    except (OSError, ValueError) as error:
        cause = getattr(error, "reason", None) or error
        reason = getattr(cause, "strerror", None) or cause
        raise _Unwell(
            f"nothing answers at {address.netloc} ({reason})", f"start it ({start_command()}), or correct its address"
        ) from error

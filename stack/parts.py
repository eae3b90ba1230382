"""The parts of a native stack: how each is started, where it listens, and how it shows that it works."""

from __future__ import annotations

import json
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from catwalk.clients import access
from catwalk.environment.addresses import HOST
from catwalk.environment.proxies import fetch_part
from catwalk.notifications import receivers
from stack import grafana, web_config, workers
from stack.environment import client_environment
from stack.settings import PROJECT, Settings, tool


@dataclass(frozen=True)
class Part:
    """One process that the supervisor keeps running."""

    name: str
    command: list[str]
    ports: tuple[str, ...]
    """Names in :data:`stack.settings.PORTS`; `statsd` means UDP and TCP."""
    healthy: Callable[[], bool]
    url: str = ""
    """What a person opens."""
    reads: tuple[Path, ...] = ()
    """Files and folders that it takes up when it starts, and only then."""
    guarded: str = ""
    """A URL; when it stops answering, the process is ended and started again."""

    @property
    def is_airflow(self) -> bool:
        """Whether it needs Airflow's tables."""
        return self.name.startswith("airflow-")


def parts(settings: Settings) -> dict[str, Part]:
    """Every part by its name, in the order in which they start."""
    at = {name: f"{HOST}:{port}" for name, port in settings.ports.items()}
    home = settings.home
    airflow = str(PROJECT / ".venv" / "bin" / "airflow")
    python = str(PROJECT / ".venv" / "bin" / "python")
    packages = PROJECT / ".venv" / ".catwalk-packages"
    code = (PROJECT / "catwalk", PROJECT / "ml", PROJECT / "monitoring", packages)
    access_to = access_folders(settings)
    mapping = PROJECT / "catwalk" / "telemetry" / "statsd_mapping.yaml"
    people = receivers.folder(client_environment(settings))

    def answers(name: str, path: str) -> Callable[[], bool]:
        return lambda: get(settings.url(name) + path) is not None

    def answers_its_user(name: str, path: str) -> Callable[[], bool]:
        return lambda: get(settings.url(name) + path, password=monitoring_password(settings)) is not None

    def airflow_says(component: str) -> Callable[[], bool]:
        def healthy() -> bool:
            body = get(f"{settings.url('airflow')}/api/v2/monitor/health")
            return body is not None and json.loads(body).get(component, {}).get("status") == "healthy"

        return healthy

    every = [
        Part(
            "s3",
            [str(tool("versitygw")), "--port", at["s3"], "--health", "/healthz", "--quiet", *_posix(home)],
            ("s3",),
            answers("s3", "/healthz"),
            settings.url("s3"),
        ),
        Part(
            "statsd_exporter",
            [
                str(tool("statsd_exporter")),
                f"--statsd.listen-udp={at['statsd']}",
                f"--statsd.listen-tcp={at['statsd']}",
                f"--web.listen-address={at['statsd_exporter']}",
                f"--statsd.mapping-config={mapping}",
            ],
            ("statsd", "statsd_exporter"),
            answers("statsd_exporter", "/metrics"),  # /-/healthy says 200 even where this has broken
            f"{settings.url('statsd_exporter')}/metrics",
            (mapping,),
            guarded=f"{settings.url('statsd_exporter')}/metrics",
        ),
        Part(
            "prometheus",
            [
                str(tool("prometheus")),
                f"--config.file={home / 'prometheus' / 'prometheus.yml'}",
                f"--storage.tsdb.path={home / 'prometheus' / 'data'}",
                "--storage.tsdb.retention.time=400d",
                "--storage.tsdb.retention.size=20GB",
                "--rules.alert.resend-delay=10s",
                f"--web.listen-address={at['prometheus']}",
                f"--web.config.file={access_to['prometheus'] / web_config.WEB_FILE}",
            ],
            ("prometheus",),
            answers_its_user("prometheus", "/-/ready"),
            settings.url("prometheus"),
            (home / "prometheus" / "prometheus.yml", home / "prometheus" / "rules"),
        ),
        Part(
            "alertmanager",
            [
                str(tool("alertmanager")),
                f"--config.file={home / 'alertmanager' / 'alertmanager.yml'}",
                f"--storage.path={home / 'alertmanager'}",
                f"--web.listen-address={at['alertmanager']}",
                f"--web.config.file={access_to['alertmanager'] / web_config.WEB_FILE}",
                "--cluster.listen-address=",
                "--enable-feature=receiver-name-in-metrics",
            ],
            ("alertmanager",),
            answers_its_user("alertmanager", "/-/ready"),
            settings.url("alertmanager"),
            (home / "alertmanager" / "alertmanager.yml", home / "alertmanager" / "catwalk.tmpl", people),
        ),
        Part(
            "exporter",
            [python, "-m", "catwalk_exporter", "--host", HOST, "--port", str(settings.ports["exporter"])],
            ("exporter",),
            answers("exporter", "/healthz"),
            settings.url("exporter"),
            code,
        ),
        Part(
            "courier",
            [python, "-m", "catwalk_courier", "--host", HOST, "--port", str(settings.ports["courier"])],
            ("courier",),
            answers("courier", "/healthz"),
            settings.url("courier"),
            (*code, people),
        ),
        Part(
            "airflow-api-server",
            [airflow, "api-server"],
            ("airflow",),
            airflow_says("metadatabase"),  # its page answers 200 without a database too
            settings.url("airflow"),
            (packages,),
        ),
        # Their log servers would listen on every interface; on one machine the API server reads the files themselves.
        *(
            Part(f"airflow-{name}", [airflow, name, *flags], (), airflow_says(name.replace("-", "_")), "", (packages,))
            for name, flags in {
                "scheduler": ["--skip-serve-logs"],
                "dag-processor": [],
                "triggerer": ["--skip-serve-logs"],
            }.items()
        ),
        *(
            Part(name, [airflow, *flags], (), healthy, "", (packages,))
            for name, flags, healthy in workers.find(settings)
        ),
    ]
    program = grafana.find()
    if program:
        every.append(
            Part(
                "grafana",
                grafana.command(program, settings),
                ("grafana",),
                answers("grafana", "/api/health"),
                settings.url("grafana"),
                (grafana.FOLDER / "provisioning",),
            )
        )
    return {part.name: part for part in every}


def access_folders(settings: Settings) -> dict[str, Path]:
    """Part → folder with what :mod:`stack.web_config` writes, where the part's configuration looks for it."""
    return {"prometheus": settings.home / "prometheus" / "access", "alertmanager": settings.home / "alertmanager"}


def monitoring_password(settings: Settings) -> str:
    """The password that the running parts know: a new one in secrets.env holds from the next start on."""
    path = access_folders(settings)["alertmanager"] / web_config.PASSWORD_FILE
    return path.read_text() if path.exists() else ""


def logins(settings: Settings) -> list[str]:
    """How a person logs in, a line each."""
    return [
        f"passwords   in {settings.home / 'secrets.env'}:",
        f"            Prometheus and Alertmanager: user {access.USER}, {access.PASSWORD_VARIABLE}",
        "            Airflow: user admin, CATWALK_AIRFLOW_PASSWORD",
        *(["            Grafana: user admin, CATWALK_GRAFANA_PASSWORD"] if grafana.find() else []),
    ]


def get(url: str, timeout: float = 15.0, password: str = "") -> bytes | None:
    """The body of a 2xx answer; None for anything else.

    Args:
        url: of a part.
        timeout: seconds.
        password: of the user `catwalk` (:mod:`catwalk.clients.access`), where the part wants it.
    """
    request = urllib.request.Request(url, headers={"Authorization": access.header(password)} if password else {})
    try:
        return fetch_part(request, timeout)
    except urllib.error.HTTPError as error:
        error.close()
    except (OSError, ValueError):
        pass
    return None


def _posix(home: Path) -> list[str]:
    """versitygw's back end: files below ``s3/``, their metadata beside them where the file system has no attributes."""
    data, sidecar = home / "s3", home / "s3-metadata"
    data.mkdir(parents=True, exist_ok=True)
    # Where files lie already, their metadata is with them: on a disk that is full no attribute can be set to try.
    if not sidecar.exists() and (any(data.iterdir()) or _has_attributes(data)):
        return ["posix", str(data)]
    sidecar.mkdir(exist_ok=True)
    return ["posix", "--sidecar", str(sidecar), str(data)]


def _has_attributes(folder: Path) -> bool:
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        try:
            os.setxattr(file.name, "user.catwalk", b"1")
        except (OSError, AttributeError):
            return False
    return True

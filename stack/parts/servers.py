"""The third-party servers: S3, statsd_exporter, Prometheus, Alertmanager, Grafana."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from catwalk.notifications import receivers
from stack import web_config
from stack.configuration import grafana
from stack.configuration.environment import client_environment
from stack.parts.health import access_folders, answers, answers_its_user
from stack.parts.part import Part
from stack.settings import PROJECT, Settings, tool


def s3(settings: Settings) -> Part:
    """Returns versitygw."""
    command = [str(tool("versitygw")), "--port", settings.address("s3"), "--health", "/healthz", "--quiet"]
    return Part(
        "s3",
        [*command, *_posix(settings.home)],
        ("s3",),
        answers(settings, "s3", "/healthz"),
        settings.url("s3"),
    )


def statsd_exporter(settings: Settings) -> Part:
    """Returns statsd_exporter. It is guarded: once its ``/metrics`` breaks, it stays broken while the process keeps
    running.
    """
    mapping = PROJECT / "catwalk" / "telemetry" / "statsd_mapping.yaml"
    metrics = f"{settings.url('statsd_exporter')}/metrics"
    return Part(
        "statsd_exporter",
        [
            str(tool("statsd_exporter")),
            f"--statsd.listen-udp={settings.address('statsd')}",
            f"--statsd.listen-tcp={settings.address('statsd')}",
            f"--web.listen-address={settings.address('statsd_exporter')}",
            f"--statsd.mapping-config={mapping}",
        ],
        ("statsd", "statsd_exporter"),
        answers(settings, "statsd_exporter", "/metrics"),  # /-/healthy answers 200 even if this is broken
        metrics,
        (mapping,),
        guarded=metrics,
    )


def prometheus(settings: Settings) -> Part:
    """Returns Prometheus, which reads rules and configuration when it starts."""
    folder = settings.home / "prometheus"
    return Part(
        "prometheus",
        [
            str(tool("prometheus")),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=400d",
            "--storage.tsdb.retention.size=20GB",
            "--rules.alert.resend-delay=10s",
            f"--web.listen-address={settings.address('prometheus')}",
            f"--web.config.file={access_folders(settings)['prometheus'] / web_config.WEB_FILE}",
        ],
        ("prometheus",),
        answers_its_user(settings, "prometheus", "/-/ready"),
        settings.url("prometheus"),
        (folder / "prometheus.yml", folder / "rules"),
    )


def alertmanager(settings: Settings) -> Part:
    """Returns Alertmanager, which reads its configuration and the receivers when it starts."""
    folder = settings.home / "alertmanager"
    return Part(
        "alertmanager",
        [
            str(tool("alertmanager")),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder}",
            f"--web.listen-address={settings.address('alertmanager')}",
            f"--web.config.file={access_folders(settings)['alertmanager'] / web_config.WEB_FILE}",
            "--cluster.listen-address=",
            "--enable-feature=receiver-name-in-metrics",
        ],
        ("alertmanager",),
        answers_its_user(settings, "alertmanager", "/-/ready"),
        settings.url("alertmanager"),
        (folder / "alertmanager.yml", folder / "catwalk.tmpl", receivers.folder(client_environment(settings))),
    )


def grafana_server(settings: Settings) -> list[Part]:
    """Returns Grafana, if there is one."""
    program = grafana.find()
    if program is None:
        return []
    return [
        Part(
            "grafana",
            grafana.command(program, settings),
            ("grafana",),
            answers(settings, "grafana", "/api/health"),
            settings.url("grafana"),
            (grafana.FOLDER / "provisioning",),
        )
    ]


def _posix(home: Path) -> list[str]:
    """Returns versitygw's back end: files below ``s3/``, with their metadata in a separate folder if the file system
    has no attributes.
    """
    data, sidecar = home / "s3", home / "s3-metadata"
    data.mkdir(parents=True, exist_ok=True)
    # Existing files have their metadata with them: on a full disk, no attribute can be set for a test.
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

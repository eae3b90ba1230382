"""The environment that every process of a native stack gets."""

from __future__ import annotations

import os
from pathlib import Path

from ml.proxies import is_socks
from stack import credentials, grafana
from stack.caller import no_proxy
from stack.settings import HOST, PROJECT, Settings

_NOT_INHERITED = ("AIRFLOW_", "CATWALK_", "AWS_", "VGW_", "ROOT_", "PYTHON")
"""What the caller has set under these prefixes is meant for something else; ours come from the files."""
_INHERITED = (
    "CATWALK_DATASET_ROOT",
    "CATWALK_S3_PUT_ARGUMENTS",
    "CATWALK_S3_REQUEST_PAYER",
    "CATWALK_SCHEDULE",
    "CATWALK_TASK_RETRIES",
    "CATWALK_RETRY_DELAY_SECONDS",
    "CATWALK_SWEEP_PARALLEL",
    "CATWALK_SCHEDULE_SECONDS",
    "CATWALK_STALLED_SECONDS",
    "CATWALK_GRAFANA_URL",
    "CATWALK_GRAFANA_TOKEN",
    "CATWALK_RECEIVERS",
    "CATWALK_CALLOUT_COMMAND",
    "CATWALK_DEADMAN_SECONDS",
    "CATWALK_DEADMAN_GRACE_SECONDS",
    "CATWALK_HEARTBEAT_URL",
    "CATWALK_HEARTBEAT_SECONDS",
)


def client_environment(settings: Settings) -> dict[str, str]:
    """What `catwalk`, tasks and the registry need to find every part."""
    secrets = credentials.load_or_create(settings.home / "secrets.env")
    return {
        "CATWALK_GRAFANA_URL": settings.url("grafana"),
        **{name: value for name, value in os.environ.items() if name in _INHERITED},
        **credentials.read(PROJECT / "stack" / "catwalk.env"),
        **secrets,
        "AWS_ENDPOINT_URL_S3": settings.url("s3"),
        "CATWALK_HOME": str(settings.home),
        "CATWALK_DISKS": f"store={settings.home / 's3'},prometheus={settings.home / 'prometheus'}",
        "CATWALK_STATSD": f"{HOST}:{settings.ports['statsd']}",
        "CATWALK_AIRFLOW_URL": settings.url("airflow"),
        "CATWALK_PROMETHEUS_URL": settings.url("prometheus"),
        "CATWALK_ALERTMANAGER_URL": settings.url("alertmanager"),
        "CATWALK_REGISTRY_URL": settings.url("registry"),
        "CATWALK_COURIER_URL": settings.url("courier"),
        "CATWALK_STATSD_EXPORTER_URL": settings.url("statsd_exporter"),
        **{f"CATWALK_PORT_{name.upper()}": str(port) for name, port in settings.ports.items()},
        "AIRFLOW_HOME": str(settings.home / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{settings.url('airflow')}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(settings.home / "airflow" / "passwords.json"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{settings.home}/airflow/airflow.db",
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(settings.ports["airflow"]),
        "AIRFLOW__API__BASE_URL": settings.url("airflow"),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__METRICS__STATSD_HOST": HOST,
        "AIRFLOW__METRICS__STATSD_PORT": str(settings.ports["statsd"]),
        **own_settings(settings),
    }


def own_settings(settings: Settings) -> dict[str, str]:
    """``local.env`` in the stack's home: what its owner wants otherwise, such as an SMTP server for Airflow."""
    path = settings.home / "local.env"
    return credentials.read(path) if path.exists() else {}


def process_environment(settings: Settings) -> dict[str, str]:
    """The whole environment of the supervisor and all that it starts."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_NOT_INHERITED) and not is_socks(name, value)
    }
    ours = client_environment(settings)
    return {
        **inherited,
        **ours,
        **(grafana.environment(settings, ours["CATWALK_GRAFANA_PASSWORD"]) if grafana.find() else {}),
        "PATH": f"{PROJECT / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        # versitygw's own names for its one account, and for the region that its clients sign for.
        "ROOT_ACCESS_KEY": ours["AWS_ACCESS_KEY_ID"],
        "ROOT_SECRET_KEY": ours["AWS_SECRET_ACCESS_KEY"],
        "VGW_REGION": ours["AWS_REGION"],
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(PROJECT),
        # What goes to this machine, or to a part elsewhere, must not meet the proxy that the caller has for the rest.
        **no_proxy(ours),
    }


def write_client_environment(settings: Settings) -> Path:
    """Leaves the environment where `catwalk` finds it, so that it works in any shell after `make up`."""
    path = settings.home / "environment"
    credentials.write_private(path, client_environment(settings))
    return path


def write_airflow_password(settings: Settings) -> None:
    """Airflow's simple auth manager reads users' passwords from a file."""
    secrets = credentials.load_or_create(settings.home / "secrets.env")
    credentials.write_airflow_users(settings.home / "airflow" / "passwords.json", secrets["CATWALK_AIRFLOW_PASSWORD"])

"""The environment of the processes of a native stack; each gets the variables that it reads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from catwalk.environment import env_file
from catwalk.environment.addresses import HOST
from catwalk.environment.caller import no_proxy
from catwalk.environment.proxies import is_socks
from stack.configuration import credentials, grafana
from stack.settings import PROJECT, Settings, own_settings

MARKER = "CATWALK_STACK"
"""The variable with the stack's home, set in each of its processes and in no client."""
_NOT_INHERITED = ("AIRFLOW_", "CATWALK_", "AWS_", "GF_", "VGW_", "ROOT_", "PYTHON")
"""The caller's variables with these prefixes are meant for something else; ours come from the files."""
_INHERITED = (
    "CATWALK_DATASET_ROOT",
    "CATWALK_S3_PUT_ARGUMENTS",
    "CATWALK_S3_REQUEST_PAYER",
    "CATWALK_SCHEDULE",
    "CATWALK_TASK_RETRIES",
    "CATWALK_RETRY_DELAY_SECONDS",
    "CATWALK_SWEEP_PARALLEL",
    "CATWALK_SWEEP_WAIT_SECONDS",
    "CATWALK_TASK_TIMEOUT_SECONDS",
    "CATWALK_TRAINING_TIMEOUT_SECONDS",
    "CATWALK_RUN_HEARTBEAT_SECONDS",
    "CATWALK_LOST_SECONDS",
    "CATWALK_SCHEDULE_SECONDS",
    "CATWALK_STALLED_SECONDS",
    "CATWALK_GRAFANA_URL",
    "CATWALK_GRAFANA_TOKEN",
    "CATWALK_RECEIVERS",
    "CATWALK_AUTOMATIC_BASELINE",
    "CATWALK_CALLOUT_COMMAND",
    "CATWALK_DEADMAN_SECONDS",
    "CATWALK_DEADMAN_GRACE_SECONDS",
    "CATWALK_HEARTBEAT_URL",
    "CATWALK_HEARTBEAT_SECONDS",
    "CATWALK_RETRAINING_SECONDS",
    "CATWALK_RETRAINING_WARMUP_SECONDS",
    "CATWALK_SERVE_MODEL",
    "CATWALK_SERVE_TOKEN",
)
_OURS = ("airflow", "exporter", "courier", "grafana", "serve")
_READERS: Mapping[str, tuple[str, ...]] = {
    "AIRFLOW_": ("airflow",),
    "AWS_": ("airflow", "exporter", "courier", "serve"),
    "CATWALK_": _OURS,
    "CATWALK_AUTOMATIC_": ("courier",),
    "CATWALK_CALLOUT_": ("courier",),
    "CATWALK_COURIER_URL": (*_OURS, "prometheus"),
    "CATWALK_DEADMAN_": ("courier",),
    "CATWALK_GRAFANA_PASSWORD": ("grafana",),
    "CATWALK_GRAFANA_TOKEN": ("courier",),
    "CATWALK_GRAFANA_URL": (*_OURS, "prometheus"),
    "CATWALK_HEARTBEAT_": ("courier",),
    "CATWALK_RETRAINING_": ("courier",),
    "CATWALK_EXPORTER_URL": (*_OURS, "prometheus"),
    "CATWALK_SERVE_": ("serve",),
    "GF_": ("grafana",),
    "ROOT_": ("s3",),
    "VGW_": ("s3",),
}
"""The parts that read variables with each prefix; the longest prefix counts, and variables without one are for all."""
_FOLDERS = ("CATWALK_DATASET_ROOT", "CATWALK_RECEIVERS")
"""Variables with paths, which must be absolute: the parts have a different working directory."""
_MAY_BE_EMPTY = ("AWS_", "CATWALK_STATSD", "CATWALK_MONITORING_PASSWORD")
"""Variables for which empty has a meaning: no telemetry, AWS itself, credentials that boto3 finds. Otherwise it means
unset.
"""


def client_environment(settings: Settings) -> dict[str, str]:
    """Returns what `catwalk`, tasks and the exporter need to find every part; the settings in the home take
    precedence.
    """
    ours = _client_environment(settings)
    own = own_settings(settings.home)
    ours |= {name: own[name] for name in own if own[name] or name not in ours or name.startswith(_MAY_BE_EMPTY)}
    return ours | {name: str(Path(ours[name]).expanduser().absolute()) for name in _FOLDERS if ours.get(name)}


def _client_environment(settings: Settings) -> dict[str, str]:
    secrets = credentials.load_or_create(settings.home / "secrets.env")
    return {
        "CATWALK_GRAFANA_URL": settings.url("grafana"),
        **{name: value for name, value in os.environ.items() if name in _INHERITED and value},
        **env_file.read(PROJECT / "stack" / "catwalk.env"),
        **secrets,
        "AWS_ENDPOINT_URL_S3": settings.url("s3"),
        "CATWALK_HOME": str(settings.home),
        "CATWALK_DISKS": f"store={settings.home / 's3'},prometheus={settings.home / 'prometheus'}",
        "CATWALK_STATSD": f"{HOST}:{settings.ports['statsd']}",
        "CATWALK_AIRFLOW_URL": settings.url("airflow"),
        "CATWALK_PROMETHEUS_URL": settings.url("prometheus"),
        "CATWALK_ALERTMANAGER_URL": settings.url("alertmanager"),
        "CATWALK_EXPORTER_URL": settings.url("exporter"),
        "CATWALK_COURIER_URL": settings.url("courier"),
        "CATWALK_STATSD_EXPORTER_URL": settings.url("statsd_exporter"),
        **{f"CATWALK_PORT_{name.upper()}": str(port) for name, port in settings.ports.items()},
        **_airflow(settings),
    }


def _airflow(settings: Settings) -> dict[str, str]:
    return {
        "AIRFLOW_HOME": str(settings.home / "airflow"),
        # Airflow writes the folders of its first start into airflow.cfg, where they would be wrong after the home is
        # moved.
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(settings.home / "airflow" / "plugins"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(settings.home / "airflow" / "logs"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(
            settings.home / "airflow" / "logs" / "dag_processor"
        ),
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
    }


def process_environment(settings: Settings, part: str = "") -> dict[str, str]:
    """Returns the whole environment of a process on this machine that works with the stack, or of a part of it.

    Requests to this machine, or to a part elsewhere, must not go through the caller's proxy.
    """
    found = _inherited_environment() | own_environment(settings, part) | no_proxy(client_environment(settings))
    return {name: value for name, value in found.items() if not is_socks(name, value)}


def _inherited_environment() -> dict[str, str]:
    """Returns the part of the caller's environment that the processes keep."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    path = os.environ.get("PATH") or os.defpath
    return inherited | {"PATH": f"{PROJECT / '.venv' / 'bin'}{os.pathsep}{path}"}


def own_environment(settings: Settings, part: str = "") -> dict[str, str]:
    """Returns what the stack itself sets for a process, which does not depend on the shell that starts it.

    Args:
        settings: The stack.
        part: The part, which gets only what it reads, so that it does not restart when something else changes, and its
            own markers. If empty, everything except for those markers.
    """
    ours, secrets = client_environment(settings), credentials.load_or_create(settings.home / "secrets.env")
    every = {
        **ours,
        # versitygw's own names for its only account, which it has even if S3 is elsewhere and needs no keys, and for
        # the region that its clients sign for.
        "ROOT_ACCESS_KEY": ours["AWS_ACCESS_KEY_ID"] or secrets["AWS_ACCESS_KEY_ID"],
        "ROOT_SECRET_KEY": ours["AWS_SECRET_ACCESS_KEY"] or secrets["AWS_SECRET_ACCESS_KEY"],
        "VGW_REGION": ours["AWS_REGION"],
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(PROJECT),
    }
    if not part:
        return every
    if part == "grafana":
        theirs = grafana.environment(settings, ours["CATWALK_GRAFANA_PASSWORD"])
        every |= {name: value for name, value in theirs.items() if not every.get(name)}
    return {name: value for name, value in every.items() if _reads(part, name)} | {MARKER: str(settings.home)}


def _reads(part: str, variable: str) -> bool:
    prefixes = [prefix for prefix in _READERS if variable.startswith(prefix)]
    return not prefixes or part.startswith(_READERS[max(prefixes, key=len)])


def write_client_environment(settings: Settings) -> Path:
    """Writes the environment to where `catwalk` finds it, so that it works in any shell after `make up`."""
    path = settings.home / "environment"
    credentials.write_private(path, client_environment(settings))
    return path


def write_airflow_password(settings: Settings) -> None:
    """Writes the file from which Airflow's simple auth manager reads users' passwords."""
    password = client_environment(settings)["CATWALK_AIRFLOW_PASSWORD"]
    credentials.write_airflow_users(settings.home / "airflow" / "passwords.json", password)

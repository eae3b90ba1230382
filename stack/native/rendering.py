"""Renders the configuration of the parts, from the same files that containers use."""

from __future__ import annotations

import shutil
from pathlib import Path

from catwalk.assets import drift_windows
from catwalk.clients.access import PASSWORD_VARIABLE
from catwalk.errors import ConfigError
from catwalk.notifications import quiet_hours, receivers
from stack import notifications, web_config
from stack.configuration.environment import client_environment, write_airflow_password, write_client_environment
from stack.parts.health import access_folders
from stack.parts.order import parts
from stack.parts.part import FORMER_NAMES
from stack.settings import PROJECT, Settings, StackError, tool


def render(settings: Settings) -> None:
    """Writes the files that the parts of a stack read.

    Raises:
        StackError: a setting is invalid.
    """
    _take_over(settings)
    write_client_environment(settings)
    write_airflow_password(settings)
    (settings.home / "grafana" / "plugins").mkdir(parents=True, exist_ok=True)
    (settings.home / "grafana" / "grafana.ini").touch()  # all our settings come from its environment
    _for_prometheus(settings)
    try:
        _access(settings)
        _for_alertmanager(settings)
    except ConfigError as error:
        raise StackError(str(error)) from error


def _take_over(settings: Settings) -> None:
    """Renames the logs of a part, including rotated ones, to the part's current name."""
    for old, new in FORMER_NAMES.items():
        for path in settings.logs.glob(f"{old}.log*"):
            then = path.with_name(path.name.replace(old, new, 1))
            if not then.exists():
                path.rename(then)


def _for_prometheus(settings: Settings) -> None:
    pages = settings.run / "static"  # Prometheus looks for its web pages in its working directory
    pages.unlink(missing_ok=True)
    pages.symlink_to(tool("prometheus").parent / "static")
    folder = settings.home / "prometheus"
    shutil.rmtree(folder / "rules", ignore_errors=True)  # otherwise a rule file that was removed here would stay there
    (folder / "rules").mkdir(parents=True)
    for path in drift_windows.files():
        (folder / "rules" / path.name).write_text(settings.windows.rules(path))
    text = (PROJECT / "prometheus" / "prometheus.yml").read_text()
    text = text.replace("_interval: 10s", f"_interval: {settings.interval}")
    (folder / "prometheus.yml").write_text(text)
    _targets(settings, folder / "targets")


def _targets(settings: Settings, folder: Path) -> None:
    """Writes the addresses of the parts; the stack's owner lists services with models, whose file stays as it is."""
    folder.mkdir(exist_ok=True)
    for name in ("statsd_exporter", "exporter", "courier", "alertmanager", "prometheus"):
        (folder / f"{name}.yml").write_text(f'- targets: ["{settings.address(name)}"]\n')
    served = f'- targets: ["{settings.address("serve_metrics")}"]\n' if "serve" in parts(settings) else "[]\n"
    (folder / "serve.yml").write_text(served)
    if not (folder / "services.yml").exists():
        (folder / "services.yml").write_text("[]\n")


def _access(settings: Settings) -> None:
    password = client_environment(settings)[PASSWORD_VARIABLE]
    for folder in access_folders(settings).values():
        if _known_password(folder) != password:  # each hash of it is different
            web_config.write(folder, password)


def _for_alertmanager(settings: Settings) -> None:
    folder, interval = receivers.folder(client_environment(settings)), int(settings.interval[:-1])
    found, quiet = receivers.read(folder), quiet_hours.read(folder)
    notifications.write(settings.home / "alertmanager", found, settings.url("courier"), interval, quiet)


def _known_password(access: Path) -> str | None:
    path = access / web_config.PASSWORD_FILE
    return path.read_text() if path.exists() and (access / web_config.WEB_FILE).exists() else None

"""Health checks of parts."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from catwalk.clients import access
from catwalk.environment.proxies import fetch_part
from stack import web_config
from stack.settings import Settings


def answers(settings: Settings, part: str, path: str) -> Callable[[], bool]:
    """Returns a check of whether a part's page exists."""
    return lambda: get(settings.url(part) + path) is not None


def answers_its_user(settings: Settings, part: str, path: str) -> Callable[[], bool]:
    """Returns the same check, for a part that needs the password of the user `catwalk`."""
    return lambda: get(settings.url(part) + path, password=monitoring_password(settings)) is not None


def airflow_says(settings: Settings, component: str) -> Callable[[], bool]:
    """Returns a check of whether Airflow's API server reports a component as healthy."""

    def healthy() -> bool:
        body = get(f"{settings.url('airflow')}/api/v2/monitor/health")
        return body is not None and json.loads(body).get(component, {}).get("status") == "healthy"

    return healthy


def access_folders(settings: Settings) -> dict[str, Path]:
    """Returns the folder of each part with the output of :mod:`stack.web_config`, where the part's configuration looks
    for it.
    """
    return {"prometheus": settings.home / "prometheus" / "access", "alertmanager": settings.home / "alertmanager"}


def monitoring_password(settings: Settings) -> str:
    """Returns the password of the running parts: a new one in secrets.env applies from the next start."""
    path = access_folders(settings)["alertmanager"] / web_config.PASSWORD_FILE
    return path.read_text() if path.exists() else ""


def series(settings: Settings, expression: str) -> list[Any] | None:
    """Returns Prometheus' result of an instant query; None if it does not answer."""
    url = f"{settings.url('prometheus')}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    body = get(url, password=monitoring_password(settings))
    return list(json.loads(body)["data"]["result"]) if body else None


def get(url: str, timeout: float = 15.0, password: str = "") -> bytes | None:
    """Returns the body of a 2xx answer; None for anything else.

    Args:
        url: The URL of a part.
        timeout: Seconds.
        password: The password of the user `catwalk` (:mod:`catwalk.clients.access`), if the part needs it.
    """
    request = urllib.request.Request(url, headers={"Authorization": access.header(password)} if password else {})
    try:
        return fetch_part(request, timeout)
    except urllib.error.HTTPError as error:
        error.close()
    except (OSError, ValueError):
        pass
    return None

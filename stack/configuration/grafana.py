"""How the stack's Grafana starts, provisioned with our data sources and dashboards.

It is the one on the PATH, or otherwise the one that `make up` has downloaded.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from catwalk.environment.addresses import HOST
from stack.settings import PROJECT, Settings, StackError, own_settings

VERSION = "12.4.10"
"""The release that is downloaded, and that containers run."""
FETCHED = PROJECT / ".tools" / f"grafana-{VERSION}"
RELEASES = "https://dl.grafana.com/oss/release"
RELEASES_VARIABLE = "CATWALK_GRAFANA_RELEASES"
FOLDER = PROJECT / "grafana"
MISSING = "no dashboards, because `grafana` is not on the PATH; see grafana/README.md for how another Grafana gets them"


def find() -> Path | None:
    """Returns Grafana's program, if there is one."""
    found = shutil.which("grafana") or shutil.which("grafana", path=str(FETCHED / "bin"))
    return Path(found).resolve() if found else None


def releases(settings: Settings) -> str:
    """Returns the address of releases, without a slash at the end; ``off`` if none should be downloaded.

    Raises:
        StackError: it is not an address.
    """
    named = own_settings(settings.home).get(RELEASES_VARIABLE) or os.environ.get(RELEASES_VARIABLE) or RELEASES
    if named != "off" and not named.startswith(("https://", "http://")):
        raise StackError(f"{RELEASES_VARIABLE} must be `off`, or begin with https:// or http://, not {named!r}")
    return named.rstrip("/")


def command(program: Path, settings: Settings) -> list[str]:
    """Returns the command that starts it. Its own files are beside the program, or where Linux packages put them."""
    homes = [program.parent.parent, Path("/usr/share/grafana")]
    home = next((folder for folder in homes if (folder / "conf" / "defaults.ini").exists()), homes[0])
    return [str(program), "server", f"--homepath={home}", f"--config={settings.home / 'grafana' / 'grafana.ini'}"]


def environment(settings: Settings, password: str) -> dict[str, str]:
    """Returns what its process needs besides ``CATWALK_*_URL``.

    Args:
        settings: The stack.
        password: The password of the user `admin`.
    """
    state = settings.home / "grafana"
    return {
        "CATWALK_SCRAPE_INTERVAL": settings.interval,
        "CATWALK_GRAFANA_DASHBOARDS": str(FOLDER / "json"),
        "GF_SERVER_HTTP_ADDR": HOST,
        "GF_SERVER_HTTP_PORT": str(settings.ports["grafana"]),
        "GF_SECURITY_ADMIN_PASSWORD": password,
        "GF_PATHS_DATA": str(state),
        "GF_PATHS_LOGS": str(state / "logs"),
        "GF_PATHS_PLUGINS": str(state / "plugins"),
        "GF_PATHS_PROVISIONING": str(FOLDER / "provisioning"),
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": str(FOLDER / "json" / "catwalk-home.json"),
        "GF_LOG_MODE": "console",
        "GF_USERS_ALLOW_SIGN_UP": "false",
        # Grafana makes no requests to the internet.
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
        "GF_NEWS_NEWS_FEED_ENABLED": "false",
        "GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED": "true",
        "GF_SECURITY_DISABLE_GRAVATAR": "true",
    }

"""Whom notifications reach, by the files that lie in the folder of receivers; none of them is needed.

| file | switches on |
|---|---|
| `slack_url` | Slack: the URL of an incoming webhook |
| `webhook_url` | a generic webhook: gets Alertmanager's JSON, version 4 |
| `email.yml` | e-mail: `to`, `from`, `smarthost` (host:port), and where needed `username`, `require_tls: false` |
| `smtp_password` | beside `email.yml`, where its server wants a password |

In a folder of an area's name (`model/`, `pipeline/`, `telemetry/`) such files hold for the alerts of that area, in
place of those above. The folder is `CATWALK_RECEIVERS`, default `receivers/` in `CATWALK_HOME`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from ml.errors import ConfigError
from monitoring.environment import home

AREAS = ("model", "pipeline", "telemetry")
EVERYBODY = "everybody"
"""Whom alerts reach that belong to none of the areas."""


@dataclass(frozen=True)
class Email:
    """Where mail goes, and by which server."""

    to: str
    """One address, or several separated by commas."""
    sender: str
    smarthost: str
    """``host:port``."""
    username: str = ""
    require_tls: bool = True
    password_file: Path | None = None


@dataclass(frozen=True)
class Channels:
    """The ways to some people. Secrets are named by their files, never held."""

    slack_url_file: Path | None = None
    webhook_url_file: Path | None = None
    email: Email | None = None


def folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the files are looked for."""
    given = environment.get("CATWALK_RECEIVERS")
    return (Path(given).expanduser() if given else home(environment) / "receivers").absolute()


def read(folder: Path) -> dict[str, Channels]:
    """Receiver → channels, for `everybody` and each area.

    Raises:
        ConfigError: a file can't be understood; the message names it.
    """
    common = _channels(folder)
    found = {EVERYBODY: common}
    for area in AREAS:
        own = _channels(folder / area)
        found[area] = Channels(
            **{field.name: getattr(own, field.name) or getattr(common, field.name) for field in fields(Channels)}
        )
    return found


def _channels(folder: Path) -> Channels:
    return Channels(_url_file(folder / "slack_url"), _url_file(folder / "webhook_url"), _email(folder / "email.yml"))


def _url_file(path: Path) -> Path | None:
    text = _text(path)
    if text is not None and not text.strip().startswith(("http://", "https://")):
        raise ConfigError(f"{path} must hold a URL that begins with http:// or https://; correct or remove it")
    return path if text is not None else None


def _email(path: Path) -> Email | None:
    text = _text(path)
    if text is None:
        return None
    try:
        values: Any = yaml.safe_load(text)
    except yaml.YAMLError:
        values = None
    known = {"to", "from", "smarthost", "username", "require_tls"}
    if not isinstance(values, dict) or not {"to", "from", "smarthost"} <= values.keys() <= known:
        raise ConfigError(
            f"{path} must have the keys to, from and smarthost, and may have username and require_tls, one a line as "
            "`key: value`; correct or remove it"
        )
    host, _, port = str(values["smarthost"]).rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"{path}: smarthost must be host:port, not {values['smarthost']!r}")
    password = path.with_name("smtp_password")
    username = str(values.get("username") or "")
    if username and _text(password) is None:
        raise ConfigError(f"{path} names a username: put the password into {password}")
    return Email(
        to=str(values["to"]),
        sender=str(values["from"]),
        smarthost=str(values["smarthost"]),
        username=username,
        require_tls=values.get("require_tls") is not False,
        password_file=password if username else None,
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {getattr(error, 'strerror', None) or 'it is no text'}") from error

"""The receivers of notifications, from the files in the folder of receivers; all of them are optional.

| file | enables |
|---|---|
| `slack_url`, `discord_url` | Slack, Discord: the URL of an incoming webhook |
| `teams_url` | Microsoft Teams: the URL of a workflow that posts messages from a webhook |
| `pagerduty_key` | PagerDuty: the integration key of a service, Events API v2 |
| `opsgenie_key` | Opsgenie: the key of an API integration |
| `telegram_token` and `telegram_chat` | Telegram: the token of a bot, and the number of the chat to which it writes |
| `webhook_url` | a generic webhook, which gets Alertmanager's JSON, version 4 |
| `email.yml` | e-mail: `to`, `from`, `smarthost` (host:port), and if needed `username`, `require_tls: false` |
| `smtp_password` | beside `email.yml`, if its server needs a password |
| `pagerduty_url`, `opsgenie_url` | beside their key: the address of the service, if it is not the US one |

In a folder with an area's name (`model/`, `pipeline/`, `telemetry/`), such files apply to the alerts of that area, and
replace those above. A folder with any other name belongs to an owner of models (:func:`owner`), who alone gets the
alerts that name that owner. The folder is `CATWALK_RECEIVERS`, default `receivers/` in `CATWALK_HOME`. A file with any
other name is refused, because it would reach no one; names that begin with a dot are ignored.
:mod:`catwalk.notifications.quiet_hours` also has a file here.
"""

from __future__ import annotations

import difflib
import os
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from catwalk.environment import urls
from catwalk.environment.parts import home
from catwalk.errors import ConfigError
from catwalk.ledger.model_names import spelling
from catwalk.notifications import quiet_hours, receiver_values
from catwalk.notifications.text_files import text_of

AREAS = ("model", "pipeline", "telemetry")
EVERYBODY = "everybody"
"""The receiver of alerts that belong to no area."""
COURIER = "courier"
"""The receiver of every alert."""
COMMON = (EVERYBODY, *AREAS)
"""The receivers that exist whatever the files are; those of owners are added."""
_ALIKE = 0.85
"""How similar a folder's name may be to an area's: `models` and `Pipeline` are taken for an area, `modelling` is not.
"""
FILES = (
    "slack_url",
    "teams_url",
    "discord_url",
    "pagerduty_key",
    "pagerduty_url",
    "opsgenie_key",
    "opsgenie_url",
    "telegram_token",
    "telegram_chat",
    "webhook_url",
    "email.yml",
    "smtp_password",
)


@dataclass(frozen=True)
class Email:
    """The addresses and the server of e-mails."""

    to: tuple[str, ...]
    sender: str
    smarthost: str
    """``host:port``."""
    username: str = ""
    require_tls: bool = True
    password_file: Path | None = None


@dataclass(frozen=True)
class Pager:
    """A service that pages people by its own rota."""

    key_file: Path
    url: str = ""
    """The address of the service, if it is not the usual one."""


@dataclass(frozen=True)
class Telegram:
    """A bot, and the chat to which it writes."""

    token_file: Path
    chat_file: Path


@dataclass(frozen=True)
class Channels:
    """The channels of a receiver. They contain the paths of secrets, never the secrets."""

    slack_url_file: Path | None = None
    webhook_url_file: Path | None = None
    email: Email | None = None
    teams_url_file: Path | None = None
    discord_url_file: Path | None = None
    pagerduty: Pager | None = None
    opsgenie: Pager | None = None
    telegram: Telegram | None = None


def folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Returns the folder of the files.

    Raises:
        ConfigError: `CATWALK_RECEIVERS` is not the absolute path of a folder. The courier and the program that writes
            Alertmanager's configuration have different working directories, so a relative path would mean two folders.
    """
    given = environment.get("CATWALK_RECEIVERS")
    if not given:
        return (home(environment) / "receivers").absolute()
    path = Path(given).expanduser()
    if not path.is_absolute() or not path.is_dir():
        raise ConfigError(f"CATWALK_RECEIVERS must be the absolute path of an existing folder, not {given!r}")
    return path


def read(folder: Path) -> dict[str, Channels]:
    """Returns the channels of each receiver: of `everybody`, of each area, and of each owner, by the name of its
    folder.

    Raises:
        ConfigError: a file can't be understood, or has no effect; the message names it.
    """
    owners = _owners_folders(folder)
    _refuse_others(folder, {*FILES, *AREAS, *owners, quiet_hours.FILE})
    common = _channels(folder)
    found = {EVERYBODY: common}
    for name in (*AREAS, *owners):
        _refuse_others(folder / name, set(FILES))
        found[name] = _channels(folder / name)
    return found | {area: _completed(found[area], common) for area in AREAS} | _checked_owners(folder, found, owners)


def owner(name: str) -> str:
    """Returns the owner of a folder: its name, in which any character may be escaped as in a URL (`team%2Fml`).

    Raises:
        UnicodeError: it is not text.
    """
    return spelling(urllib.parse.unquote(name, errors="strict"))


def _completed(own: Channels, common: Channels) -> Channels:
    """Returns an area's channels, or everyone's for those that it lacks."""
    return Channels(
        **{field.name: getattr(own, field.name) or getattr(common, field.name) for field in fields(Channels)}
    )


def _owners_folders(folder: Path) -> list[str]:
    """Returns the names of the folders that are not an area's, in order."""
    entries = folder.iterdir() if folder.is_dir() else ()
    others = (
        path
        for path in entries
        if path.name not in (*FILES, *AREAS, quiet_hours.FILE) and not path.name.startswith(".")
    )
    return sorted(path.name for path in others if path.is_dir())


def _checked_owners(folder: Path, found: Mapping[str, Channels], names: Iterable[str]) -> dict[str, Channels]:
    """Returns the owners' channels, after a check that they reach their owner, and no one else."""
    owners: dict[str, str] = {}
    for name in names:
        _check_name(folder / name)
        if found[name] == Channels():
            raise ConfigError(f"{folder / name} reaches no one: put a receiver's file into it, or remove it")
        former = owners.setdefault(owner(name), name)
        if former != name:
            raise ConfigError(
                f"{folder / former} and {folder / name} belong to the same owner; merge them into one folder"
            )
    return {name: found[name] for name in names}


def _check_name(path: Path) -> None:
    """Refuses a name that is meant for an area, is that of another receiver, or can't be an owner's."""
    taken = {EVERYBODY: "the receiver for everyone", COURIER: "the courier"}
    if path.name in taken:
        escaped = f"%{ord(path.name[0]):02x}{path.name[1:]}"
        raise ConfigError(f"{path} has the name of {taken[path.name]}; for an owner of that name, call it {escaped}")
    meant = difflib.get_close_matches(path.name.casefold(), AREAS, 1, _ALIKE)
    if meant:
        raise ConfigError(
            f"{path} would be an owner's folder, but its name is similar to that of the area {meant[0]}; rename it. "
            f"The areas are {', '.join(AREAS)}"
        )
    if not _is_text(path.name):
        raise ConfigError(
            f"{path.parent / ascii(path.name)} can't be an owner's name; escape odd characters as in a URL"
        )


def _is_text(name: str) -> bool:
    try:
        owner(name).encode()
    except UnicodeError:
        return False
    return not any(unicodedata.category(character) == "Cc" for character in name)


def _refuse_others(folder: Path, known: set[str]) -> None:
    try:
        names = [path.name for path in folder.iterdir()] if folder.exists() else []
    except OSError as error:
        raise ConfigError(
            f"{folder} can't be read: {error.strerror}; it must be a folder of receivers' files"
        ) from error
    others = sorted(name for name in names if name not in known and not name.startswith("."))
    if others:
        raise ConfigError(
            f"{folder / others[0]} reaches no one: no receiver's file has that name; rename or remove it. "
            f"The names are {', '.join(sorted(known))}"
        )


def _channels(folder: Path) -> Channels:
    return Channels(
        slack_url_file=_file(folder / "slack_url", urls.checked),
        webhook_url_file=_file(folder / "webhook_url", urls.checked),
        email=_email(folder / "email.yml"),
        teams_url_file=_file(folder / "teams_url", urls.checked),
        discord_url_file=_file(folder / "discord_url", urls.checked),
        pagerduty=_pager(folder, "pagerduty"),
        opsgenie=_pager(folder, "opsgenie"),
        telegram=_telegram(folder),
    )


def _file(path: Path, check: Callable[[str], Any]) -> Path | None:
    """Returns the path of a file with a valid content, if it exists."""
    text = text_of(path)
    if text is None:
        return None
    try:
        check(text)
    except ValueError as error:
        raise ConfigError(f"{path} {error}; correct or remove it") from error
    return path


def _pager(folder: Path, name: str) -> Pager | None:
    key = _file(folder / f"{name}_key", receiver_values.key)
    address = _file(folder / f"{name}_url", urls.checked)
    if address and not key:
        raise ConfigError(f"{address} reaches no one without a key: put the key into {folder / f'{name}_key'}")
    return Pager(key, address.read_text().strip() if address else "") if key else None


def _telegram(folder: Path) -> Telegram | None:
    token = _file(folder / "telegram_token", receiver_values.bot_token)
    chat = _file(folder / "telegram_chat", receiver_values.chat_id)
    if token and chat:
        return Telegram(token, chat)
    if token or chat:
        missing = folder / ("telegram_chat" if token else "telegram_token")
        raise ConfigError(f"{token or chat} reaches no one alone: it needs {missing}")
    return None


def _email(path: Path) -> Email | None:
    password = _file(path.with_name("smtp_password"), receiver_values.password)
    text = text_of(path)
    if text is None:
        if password:
            raise ConfigError(f"{password} reaches no one alone: it needs {path}")
        return None
    try:
        return _email_of(receiver_values.mapping(text), password)
    except ValueError as error:
        raise ConfigError(f"{path} {error}; correct or remove it") from error


def _email_of(values: dict[str, Any], password: Path | None) -> Email:
    needed, may_be = ("to", "from", "smarthost"), ("username", "require_tls")
    if not set(needed) <= values.keys() <= {*needed, *may_be}:
        raise ValueError(
            "must have the keys to, from and smarthost, and may have username and require_tls, one per line"
        )
    username, require_tls = values.get("username"), values.get("require_tls", True)
    if not isinstance(require_tls, bool):
        raise ValueError(f"must have true or false as require_tls, not {receiver_values.shown(require_tls)}")
    if username is not None and not (isinstance(username, str) and username.strip()):
        raise ValueError(f"must have a text as username, in quotes if it is a number, not {username!r}")
    if bool(username) != bool(password):
        raise ValueError(
            "has a username: put the password into smtp_password beside it"
            if username
            else "has no username, but smtp_password is beside it"
        )
    sender = _checked("from", receiver_values.addresses, values["from"])
    if len(sender) != 1:
        raise ValueError("must have one address as from")
    to = _checked("to", receiver_values.addresses, values["to"])
    host, port = _checked("smarthost", receiver_values.host_and_port, values["smarthost"])
    return Email(to, sender[0], f"{host}:{port}", username or "", require_tls, password)


def _checked(name: str, check: Callable[[Any], Any], value: Any) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise ValueError(f"has a wrong value: {name} {error}") from error

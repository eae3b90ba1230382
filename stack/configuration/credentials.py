"""Secrets of a native stack: generated once, in a file that only its owner can read. No password has a default."""

from __future__ import annotations

import base64
import json
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

from catwalk.environment import env_file
from stack.settings import StackError

_GENERATORS: dict[str, Callable[[], str]] = {
    "AWS_ACCESS_KEY_ID": lambda: "catwalk" + secrets.token_hex(6),
    "AWS_SECRET_ACCESS_KEY": lambda: secrets.token_urlsafe(32),
    "CATWALK_POSTGRES_PASSWORD": lambda: secrets.token_urlsafe(24),
    "CATWALK_REDIS_PASSWORD": lambda: secrets.token_urlsafe(24),
    "AIRFLOW__CORE__FERNET_KEY": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "AIRFLOW__API_AUTH__JWT_SECRET": lambda: secrets.token_urlsafe(48),
    "AIRFLOW__API__SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "CATWALK_AIRFLOW_PASSWORD": lambda: secrets.token_urlsafe(18),
    "CATWALK_GRAFANA_PASSWORD": lambda: secrets.token_urlsafe(18),
    "CATWALK_MONITORING_PASSWORD": lambda: secrets.token_urlsafe(18),
}


def load_or_create(path: Path) -> dict[str, str]:
    """Returns the secrets in a file of ``NAME=value`` lines; missing or empty ones are generated, none is ever
    replaced.

    New lines come after the existing ones, including comments: if two lines have the same name, the last counts.

    Raises:
        StackError: the file can't be read or written.
        ConfigError: a line of it can't be understood.
    """
    try:
        known = env_file.read(path) if path.exists() else {}
        missing = {name: make() for name, make in _GENERATORS.items() if not known.get(name)}
        if missing:
            there = path.read_text(encoding="utf-8") if path.exists() else ""
            end = "\n" if there and not there.endswith("\n") else ""
            write_private_text(path, f"{there}{end}{env_file.render(missing)}")
        return known | missing
    except OSError as error:
        raise StackError(f"{path} can't be used: {error.strerror}") from error


def generate() -> dict[str, str]:
    """Returns a new value for every secret. All of them are safe in a URL, except for the Fernet key's ``=``."""
    return {name: make() for name, make in _GENERATORS.items()}


def write_private(path: Path, values: dict[str, str]) -> None:
    """Writes ``NAME=value`` lines that only the owner can read, all or nothing."""
    write_private_text(path, env_file.render(values))


def write_airflow_users(path: Path, password: str) -> None:
    """Writes the file from which Airflow's simple auth manager reads its only user's password."""
    write_private_text(path, json.dumps({"admin": password}))


def write_private_text(path: Path, text: str) -> None:
    """Writes a file in UTF-8 that only the owner can read, all or nothing; keeps other bytes from `os.environ`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)  # mode 0600
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    Path(temporary).replace(path)

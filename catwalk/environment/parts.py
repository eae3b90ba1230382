"""URLs of the parts of Catwalk: from the environment, otherwise those of the native stack on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from catwalk.environment import checkout, env_file
from catwalk.environment.addresses import HOST, PORTS, port_variable
from catwalk.environment.caller import other_s3_settings
from catwalk.environment.former_names import under_new_names


def home(environment: Mapping[str, str] = os.environ) -> Path:
    """Folder of the native stack's state: `CATWALK_HOME`, default ``.catwalk`` in the checkout or current folder."""
    return Path(environment.get("CATWALK_HOME") or (checkout.FOLDER or Path()) / ".catwalk").expanduser()


def load_environment() -> None:
    """Loads the environment that `make up` wrote for clients, unless `CATWALK_STORE` names a store.

    It keeps variables that begin with `CATWALK_` and are already set. It removes those that begin with `AWS_`, which
    are for another S3, unless the stack leaves credentials to the environment.
    """
    if os.environ.get("CATWALK_STORE"):
        return
    try:
        found = under_new_names(
            env_file.read(home() / "environment"), where=None
        )  # an older `make up` may have written it
    except OSError:
        return  # no stack was started here; code that needs the store reports that it isn't configured
    if found.get("AWS_ACCESS_KEY_ID"):
        for name in other_s3_settings(found):  # a session token or a profile belongs to other keys
            del os.environ[name]
    given = under_new_names(os.environ)
    for name, value in found.items():
        if (value and name.startswith("AWS_")) or not given.get(name):
            os.environ[name] = value


def part_url(part: str) -> str:
    """A part's URL: `CATWALK_<PART>_URL`, otherwise its port on this machine."""
    environment = under_new_names(os.environ)
    port = environment.get(port_variable(part)) or PORTS[part]
    return (environment.get(f"CATWALK_{part.upper()}_URL") or f"http://{HOST}:{port}").rstrip("/")


def public_url(part: str) -> str:
    """A part's URL for people: `CATWALK_<PART>_PUBLIC_URL`, otherwise its URL for programs."""
    environment = under_new_names(os.environ)
    return (environment.get(f"CATWALK_{part.upper()}_PUBLIC_URL") or part_url(part)).rstrip("/")


def in_container() -> bool:
    """Whether this process runs in our image, which sets `CATWALK_DEPLOYMENT`."""
    return bool(os.environ.get("CATWALK_DEPLOYMENT"))


def start_command() -> str:
    """The command that starts a part of the stack, for messages; it depends on `CATWALK_DEPLOYMENT`."""
    deployment = os.environ.get("CATWALK_DEPLOYMENT", "")
    return {"": "`make up`", "compose": "`docker compose up -d`"}.get(deployment, "as it was deployed")


def look_commands() -> str:
    """The commands that show the state of the stack's parts; see :func:`start_command`."""
    deployment = os.environ.get("CATWALK_DEPLOYMENT", "")
    return {"": "`make status` and ", "compose": "`docker compose ps` and "}.get(deployment, "") + "`catwalk doctor`"


def part_address(part: str) -> str:
    """``host:port`` of :func:`part_url`."""
    return urlsplit(part_url(part)).netloc

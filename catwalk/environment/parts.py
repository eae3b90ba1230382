"""Where the parts of Catwalk are: as the environment says, else as the native stack on this machine has them."""

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
    """State of the native stack: `CATWALK_HOME`, default ``.catwalk`` in the checkout, else in the current folder."""
    return Path(environment.get("CATWALK_HOME") or (checkout.FOLDER or Path()) / ".catwalk").expanduser()


def load_environment() -> None:
    """Takes up what `make up` has left for clients, unless `CATWALK_STORE` says which store is meant.

    What is set under `CATWALK_` already stays; what is set under `AWS_` is for another S3, and does not, unless the
    stack leaves credentials to be found.
    """
    if os.environ.get("CATWALK_STORE"):
        return
    try:
        found = under_new_names(env_file.read(home() / "environment"), where=None)  # an older `make up` wrote it
    except OSError:
        return  # no stack was started here; who needs the store says that it isn't configured
    if found.get("AWS_ACCESS_KEY_ID"):
        for name in other_s3_settings(found):  # a session token or a profile belongs to other keys
            del os.environ[name]
    given = under_new_names(os.environ)
    for name, value in found.items():
        if (value and name.startswith("AWS_")) or not given.get(name):
            os.environ[name] = value


def part_url(part: str) -> str:
    """A part's URL: `CATWALK_<PART>_URL`, else on this machine at its port."""
    environment = under_new_names(os.environ)
    port = environment.get(port_variable(part)) or PORTS[part]
    return (environment.get(f"CATWALK_{part.upper()}_URL") or f"http://{HOST}:{port}").rstrip("/")


def public_url(part: str) -> str:
    """Where people open a part: `CATWALK_<PART>_PUBLIC_URL`, else where programs find it."""
    environment = under_new_names(os.environ)
    return (environment.get(f"CATWALK_{part.upper()}_PUBLIC_URL") or part_url(part)).rstrip("/")


def in_container() -> bool:
    """Whether this runs from our image, which says so by `CATWALK_DEPLOYMENT`."""
    return bool(os.environ.get("CATWALK_DEPLOYMENT"))


def start_command() -> str:
    """What starts a part of the stack, for advice: `CATWALK_DEPLOYMENT` tells how the stack is run."""
    deployment = os.environ.get("CATWALK_DEPLOYMENT", "")
    return {"": "`make up`", "compose": "`docker compose up -d`"}.get(deployment, "as it was deployed")


def look_commands() -> str:
    """What shows how the parts of the stack are; see :func:`start_command`."""
    deployment = os.environ.get("CATWALK_DEPLOYMENT", "")
    return {"": "`make status` and ", "compose": "`docker compose ps` and "}.get(deployment, "") + "`catwalk doctor`"


def part_address(part: str) -> str:
    """``host:port`` of :func:`part_url`."""
    return urlsplit(part_url(part)).netloc

"""Requests to a part over HTTP; a bad answer is a finding."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
from typing import Any

from catwalk.cli.doctor.check import Unwell
from catwalk.clients import access
from catwalk.environment.parts import start_command

TIMEOUT = 5.0
"""Seconds."""


def sample(url: str, name: str) -> float:
    """The value of a metric without labels on a metrics page; 0 if it is absent."""
    text = get(f"{url}/metrics").decode()
    found = re.search(rf"^{re.escape(name)} (\S+)", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def ask_json(url: str, password: str | None = "") -> Any:
    return json.loads(get(url, password))


def get(url: str, password: str | None = "") -> bytes:
    """The body; `password` None means the password of Prometheus and Alertmanager."""
    address = urllib.parse.urlsplit(url)
    try:
        return access.fetch(url, timeout=TIMEOUT, password=password)
    except urllib.error.HTTPError as error:
        said = " ".join(error.read(2_000).decode(errors="replace").split()) if error.code >= 500 else ""
        error.close()
        finding = f"{address.netloc}{address.path} answers {error.code} {error.reason}" + (f" ({said})" if said else "")
        own = "restart that part; if this happens again, see its log"
        remedy = f"set {access.PASSWORD_VARIABLE} to its password" if access.refused(error) else own
        raise Unwell(finding, remedy) from error
    except (OSError, ValueError) as error:
        cause = getattr(error, "reason", None) or error
        reason = getattr(cause, "strerror", None) or cause
        raise Unwell(
            f"nothing answers at {address.netloc} ({reason})", f"start it ({start_command()}), or correct its address"
        ) from error

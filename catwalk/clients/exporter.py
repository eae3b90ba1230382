"""URLs of the exporter's pages."""

from __future__ import annotations

import os
import urllib.request

from catwalk.environment.former_names import under_new_names
from catwalk.environment.parts import part_url, public_url
from catwalk.environment.proxies import fetch_part

_SECONDS = 2.0


def shown_at(run_id: str) -> str:
    """The URL of a run's page; empty if the environment names no exporter and none answers on this machine."""
    given = under_new_names(os.environ)
    named = given.get("CATWALK_EXPORTER_URL") or given.get("CATWALK_EXPORTER_PUBLIC_URL")
    return f"{public_url('exporter')}/runs/{run_id}" if named or _answers() else ""


def _answers() -> bool:
    try:
        return bool(fetch_part(urllib.request.Request(f"{part_url('exporter')}/healthz"), _SECONDS))
    except (OSError, ValueError):
        return False

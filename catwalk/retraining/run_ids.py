"""The id of an episode's run in Airflow."""

from __future__ import annotations

import hashlib
import urllib.parse

PREFIX = "catwalk__"
_LONGEST = 160
"""Limit of the model's name, in characters; Airflow's ids have at most 250."""


def dag_run_id(model: str, number: int) -> str:
    """``catwalk__<model>__e<number>``. Airflow's ids contain ``A-Za-z0-9_.~:+-`` only, and no ``..``: a name in another
    script, with spaces, or with two dots in a row is encoded as in a URL, with ``~`` in place of ``%``."""
    safe = urllib.parse.quote(model, safe="").replace("%", "~").replace("..", ".~2E")
    if len(safe) > _LONGEST:
        safe = f"{safe[: _LONGEST - 17]}~{hashlib.sha256(model.encode()).hexdigest()[:16]}"
    return f"{PREFIX}{safe}__e{number}"

"""What an episode's run is called in Airflow."""

from __future__ import annotations

import hashlib
import urllib.parse

PREFIX = "catwalk__"
_LONGEST = 160
"""Characters of a model's name; Airflow's ids have 250 in all."""


def dag_run_id(model: str, number: int) -> str:
    """``catwalk__<model>__e<number>``. Airflow's ids have ``A-Za-z0-9_.~:+-`` only: a name in another script, or with
    spaces, is written as in a URL, with ``~`` in place of ``%``."""
    safe = urllib.parse.quote(model, safe="").replace("%", "~")
    if len(safe) > _LONGEST:
        safe = f"{safe[: _LONGEST - 17]}~{hashlib.sha256(model.encode()).hexdigest()[:16]}"
    return f"{PREFIX}{safe}__e{number}"

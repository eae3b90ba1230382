"""`python -m grafana`: writes the dashboards' JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from catwalk.entry_point import entry_point
from grafana.dashboards import DASHBOARDS

FOLDER = Path(__file__).resolve().parent / "json"
"""Where Grafana's provisioning finds them."""


def text(dashboard: dict[str, Any]) -> str:
    """A dashboard as its file holds it."""
    return json.dumps(dashboard, indent=1, ensure_ascii=False) + "\n"


def file_name(dashboard: dict[str, Any]) -> str:
    """``catwalk-home.json``."""
    return f"{dashboard['uid']}.json"


@entry_point("grafana")
def main() -> None:
    """Writes all of them, and removes files of former dashboards."""
    FOLDER.mkdir(exist_ok=True)
    wanted = {file_name(dashboard): text(dashboard) for dashboard in DASHBOARDS}
    for path in FOLDER.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, content in wanted.items():
        (FOLDER / name).write_text(content)
        print(f"wrote {name}")


if __name__ == "__main__":
    sys.exit(main())

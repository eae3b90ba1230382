"""Grafana's dashboards over our series only: the same panels, without those of the guest's own servers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from catwalk import assets
from catwalk.bundle.options import Options
from catwalk.bundle.promql import Scope, rewritten, without_labels

_ASKED = re.compile(r"(?P<function>label_values|query_result)\((?P<expr>.*?)(?P<label>, \w+)?\)", re.DOTALL)
Dashboard = dict[str, Any]


def rendered(options: Options, ours: Scope) -> dict[str, str]:
    """Returns the JSON of each dashboard, by file name."""
    found = {}
    for path in sorted(assets.path("grafana/json").glob("*.json")):
        board = _board(json.loads(path.read_text()), options, ours)
        found[f"{board['uid']}.json"] = json.dumps(board, indent=1, ensure_ascii=False) + "\n"
    return found


def provider(options: Options) -> str:
    """Returns the provisioning with which Grafana loads them."""
    described = {
        "apiVersion": 1,
        "providers": [
            {
                "name": f"catwalk{options.suffix}",
                "folder": options.folder,
                "type": "file",
                "allowUiUpdates": False,
                "options": {"path": f"/etc/grafana/catwalk{options.suffix}/dashboards"},
            }
        ],
    }
    return json.dumps(described, indent=2) + "\n"  # which is also YAML


def _board(board: Dashboard, options: Options, ours: Scope) -> Dashboard:
    board["panels"] = _panels(board["panels"], ours)
    board["templating"]["list"] = list(_variables(board["templating"]["list"], options, ours))
    board["annotations"]["list"] = list(_asking(board["annotations"]["list"], ours))
    board["uid"] += options.suffix
    if options.suffix:
        board["title"] += f" ({options.suffix[1:]})"
    board["tags"] = [f"{tag}{options.suffix}" for tag in board["tags"]]
    for link in board["links"]:
        link["tags"] = [f"{tag}{options.suffix}" for tag in link["tags"]]
    return dict(_linked(board, options))


def _panels(panels: list[Dashboard], ours: Scope) -> list[Dashboard]:
    kept: list[Dashboard] = []
    gone: list[Dashboard] = []
    for panel in panels:
        if "panels" in panel:
            panel["panels"] = _panels(panel["panels"], ours)
        if "targets" in panel:
            panel["targets"] = list(_asking(panel["targets"], ours))
        stays = panel.get("targets", True) and (panel.get("panels", True) or panel.get("collapsed") is False)
        (kept if stays else gone).append(panel)
    for panel in gone:
        _fill(panel["gridPos"], kept)
    return kept


def _fill(hole: dict[str, int], panels: list[Dashboard]) -> None:
    """Widens the panel beside a hole that is as high, so that a row has no gap; other holes stay."""
    for place in (panel["gridPos"] for panel in panels):
        beside = place["x"] + place["w"] == hole["x"] or hole["x"] + hole["w"] == place["x"]
        if beside and (place["y"], place["h"]) == (hole["y"], hole["h"]):
            place["x"] = min(place["x"], hole["x"])
            place["w"] += hole["w"]
            return


def _asking(them: list[Dashboard], ours: Scope) -> Iterator[Dashboard]:
    """Yields targets and annotations that query our series, or don't query Prometheus."""
    for each in them:
        if "expr" not in each:
            yield each
        elif (expression := rewritten(each["expr"], ours)) is not None:
            yield {**each, "expr": without_labels(expression, ours.labels)}


def _variables(them: list[Dashboard], options: Options, ours: Scope) -> Iterator[Dashboard]:
    for variable in them:
        if variable["type"] == "datasource":
            chosen = {"selected": True, "text": options.datasource, "value": options.datasource}
            yield {**variable, "current": chosen if options.datasource else {}}
        elif variable["type"] == "custom":
            yield variable
        elif (text := _asked(variable["definition"], ours)) is not None:
            yield {**variable, "definition": text, "query": {**variable["query"], "query": text}}


def _asked(text: str, ours: Scope) -> str | None:
    """Returns the query of a variable's values."""
    asked = _ASKED.fullmatch(text)
    if not asked:
        raise AssertionError(f"a variable has an unknown kind of query: {text}")
    expression = rewritten(asked["expr"], ours)
    if expression is None:
        return None
    one_line = " ".join(expression.split())
    if asked["function"] == "query_result":
        one_line = without_labels(one_line, ours.labels)
    return f"{asked['function']}({one_line}{asked['label'] or ''})"


def _linked(value: Any, options: Options) -> Any:
    """Returns the value with links to these dashboards and to this guest's runbooks."""
    if isinstance(value, dict):
        return {name: _linked(each, options) for name, each in value.items()}
    if isinstance(value, list):
        return [_linked(each, options) for each in value]
    if not isinstance(value, str):
        return value
    value = value.replace("${courier}/runbooks/${__value.raw}", options.runbook("${__value.raw}"))
    return re.sub(r"(?<=^/d/)(catwalk-\w+)", rf"\1{options.suffix}", value)

"""Rules for every dashboard."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import catwalk.gate
from catwalk.clients.episodes import Alert
from catwalk.gate.decision import _REASONS
from catwalk.ledger.records.decision import DecisionRecord
from catwalk.telemetry import catalogue
from catwalk.telemetry.airflow_metrics import airflow_rules, load_registry
from catwalk_courier.delivery import annotations
from catwalk_exporter.exposition import STATES
from grafana import words
from grafana.__main__ import FOLDER, file_name, text
from grafana.board import GENERATED, SCHEMA, all_panels
from grafana.dashboards import DASHBOARDS
from grafana.panels import RUN_ID
from tests.grafana.promql import all_queries, counters, metric_names
from tests.prometheus.rulebook import records

UIDS = {dashboard["uid"] for dashboard in DASHBOARDS}
BUILT_IN = {"__all", "__value", "__url_time_range", "__data", "__range", "__interval", "__rate_interval"}
"""Variables that Grafana itself sets."""
SCRAPED = re.compile(
    r"up|ALERTS(_FOR_STATE)?|scrape_(duration_seconds|samples_post_metric_relabeling|sample_limit)"
    r"|process_start_time_seconds|statsd_exporter_\w+|prometheus_\w+|alertmanager_\w+"
)
"""Series that Prometheus makes, and metrics of the servers themselves; the live tests check that they exist."""

each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard["uid"])


def shown(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Panels without rows."""
    return [panel for panel in all_panels(dashboard) if panel["type"] != "row"]


def test_the_committed_json_is_what_the_code_makes() -> None:
    made = {file_name(dashboard): text(dashboard) for dashboard in DASHBOARDS}
    committed = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    assert committed == made, "run `python -m grafana`"
    assert all(json.loads(content)["description"].endswith(GENERATED) for content in committed.values())


def test_there_are_eight_dashboards_with_fixed_uids() -> None:
    names = ("home", "fleet", "runs", "run", "model", "service", "pipeline", "telemetry")
    assert [dashboard["uid"] for dashboard in DASHBOARDS] == [f"catwalk-{name}" for name in names]
    assert len({dashboard["title"] for dashboard in DASHBOARDS}) == len(names)


@each_dashboard
def test_schema_and_manner_are_those_that_file_provisioning_takes(dashboard: dict[str, Any]) -> None:
    assert dashboard["schemaVersion"] == SCHEMA == 42
    assert dashboard["editable"] is False
    day = dashboard["uid"] in ("catwalk-service", "catwalk-pipeline", "catwalk-telemetry")
    assert dashboard["time"] == {"from": "now-24h" if day else "now-30d", "to": "now"}
    assert "apiVersion" not in dashboard
    assert "id" not in dashboard


@each_dashboard
def test_ids_and_titles_are_there_once(dashboard: dict[str, Any]) -> None:
    panels = all_panels(dashboard)
    for key in ("id", "title"):
        found = [panel[key] for panel in panels]
        assert len(set(found)) == len(found), f"a panel's {key} is there twice: {found}"


@each_dashboard
def test_panels_neither_overlap_nor_leave_the_grid(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in all_panels(dashboard):
        place = panel["gridPos"]
        assert 0 <= place["x"] <= place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells


@each_dashboard
def test_what_is_in_sight_is_little_and_detail_is_collapsed(dashboard: dict[str, Any]) -> None:
    assert len([panel for panel in dashboard["panels"] if panel["type"] != "row"]) <= 12
    assert all(panel["collapsed"] for panel in dashboard["panels"] if panel["type"] == "row")


@each_dashboard
def test_every_panel_says_what_it_asks_in_which_unit_and_what_nothing_means(dashboard: dict[str, Any]) -> None:
    for panel in shown(dashboard):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"][0].isupper(), panel["title"]
        question, _, empty = panel["description"].partition(" Empty: ")
        assert "?" in question, panel["title"]
        assert defaults["noValue"] == empty[0].upper() + empty[1:] and empty.endswith("."), panel["title"]
        assert defaults["unit"], panel["title"]


@each_dashboard
def test_data_comes_from_the_data_source_that_the_variable_names(dashboard: dict[str, Any]) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    targets = [target for panel in shown(dashboard) for target in panel["targets"]]
    queried = [variable for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    asked = [annotation for annotation in dashboard["annotations"]["list"] if "expr" in annotation]
    for holder in (*shown(dashboard), *targets, *queried, *asked):
        assert holder["datasource"] == chosen
    source = next(variable for variable in dashboard["templating"]["list"] if variable["type"] == "datasource")
    assert source["current"]["value"] == "catwalk-prometheus"
    assert not source.get("hide"), "otherwise an imported file could show no other Prometheus"


@each_dashboard
def test_what_the_courier_writes_into_grafana_is_shown(dashboard: dict[str, Any]) -> None:
    """By a tag that each of its annotations has: they belong to no dashboard."""
    [written] = [query for query in dashboard["annotations"]["list"] if query["datasource"]["type"] == "grafana"]
    assert written["datasource"]["uid"] == "-- Grafana --"
    assert written["enable"] is True
    target = written["target"]
    assert (target["type"], target["matchAny"]) == ("tags", False)
    alert = Alert("fingerprint", "2026-11-23T03:00:00Z", "firing", {"alertname": "ModelLost"}, {})
    assert set(target["tags"]) <= set(annotations.annotation(alert, None)["tags"])


@each_dashboard
def test_no_link_sets_a_variable_that_nobody_sees(dashboard: dict[str, Any]) -> None:
    for variable in dashboard["templating"]["list"]:
        assert variable["skipUrlSync"] is bool(variable.get("hide")), variable["name"]


@each_dashboard
def test_variables_look_again_when_the_range_changes(dashboard: dict[str, Any]) -> None:
    assert [v["name"] for v in dashboard["templating"]["list"] if v["type"] == "query" and v["refresh"] != 2] == []


@each_dashboard
def test_every_variable_that_is_used_exists_and_the_other_way_round(dashboard: dict[str, Any]) -> None:
    used = set(re.findall(r"\$\{?([A-Za-z_]\w*)", json.dumps(dashboard))) - BUILT_IN
    declared = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert used - declared == set()
    assert declared - used == set(), "a control that changes nothing"


@each_dashboard
def test_links_lead_to_dashboards_that_exist_and_keep_range_and_variables(dashboard: dict[str, Any]) -> None:
    links = re.findall(r'"url": "(/d/[^"]*)"', json.dumps(dashboard))
    for url in links:
        uid, _, rest = url.removeprefix("/d/").partition("?")
        assert uid in UIDS
        assert re.search(r"var-model=\$\{(model|__data.fields.Model):percentencode\}", rest), "a name may have a &"
        assert "${__url_time_range}" in rest and "${datasource:queryparam}" in rest
    assert [(link["type"], link["keepTime"], link["includeVars"]) for link in dashboard["links"]] == [
        ("dashboards", True, True)
    ]
    assert set(dashboard["links"][0]["tags"]) <= set(dashboard["tags"])


def test_no_choice_of_many_is_carried_on_to_a_choice_of_one() -> None:
    kinds: dict[str, set[bool]] = {}
    for dashboard in DASHBOARDS:
        for variable in dashboard["templating"]["list"]:
            kinds.setdefault(variable["name"], set()).add(bool(variable.get("multi")))
    assert {name for name, kind in kinds.items() if len(kind) > 1} == set()


@each_dashboard
def test_timelines_show_words_in_their_colours_and_all_lines_at_once(dashboard: dict[str, Any]) -> None:
    for panel in shown(dashboard):
        if panel["type"] == "state-timeline":
            assert panel["fieldConfig"]["defaults"]["color"]["mode"] == "fixed", (
                "by thresholds, words are not looked up"
            )
            assert panel["options"]["perPage"] == 0


RED = {
    *("failed", "lost", "critical", "not healthy", "silent", "failing"),
    *("no data", "not scraped", "never scraped"),
}
"""Words in red: someone must act."""
ORANGE = {
    *("warning", "stalled", "untested", "last run failed", "overdue", "drifted", "not scraped", "none is scraped"),
    "Held: it could not be compared",
    "Held: as good, but its anchor is stale",
    "Held: it does not serve as tested",
    *("held: not compared", "held: stale anchor", "held: doesn't serve"),
}
"""Words in orange: someone should look at it."""
ALARMING = {
    *("Sources", "Failed DAG runs in 24 h", "Failed tasks in 24 h", "Need attention", "Overdue", "Alerts firing"),
    *("Points missing", "Targets down", "Largest shift", "Largest shift, by side and window", "Features"),
    *("Shift over a day", "Shift over an hour", "Change of the data, of its limit"),
}
"""Panels with red or orange from a value on: an alert has that limit, or someone must act at the first one."""


@each_dashboard
def test_red_and_orange_mean_that_someone_must_act(dashboard: dict[str, Any]) -> None:
    text = json.dumps(dashboard)
    for color, words_in in (("red", RED), ("orange", ORANGE)):
        assert set(re.findall(rf'"text": "([^"]+)", "color": "{color}"', text)) <= words_in
    for panel in shown(dashboard):
        limits = {step["color"] for step in thresholds(panel)} & {"red", "orange"}
        assert not limits or panel["title"] in ALARMING, panel["title"]


def thresholds(panel: dict[str, Any]) -> list[dict[str, Any]]:
    """The limits of a panel and of its columns."""
    config = panel["fieldConfig"]
    own = config["defaults"].get("thresholds") or {"steps": []}
    columns = [p["value"] for rule in config["overrides"] for p in rule["properties"] if p["id"] == "thresholds"]
    return [step for each in (own, *columns) for step in each["steps"]]


@each_dashboard
def test_series_of_known_names_have_fixed_colours_without_red_and_orange(dashboard: dict[str, Any]) -> None:
    """The palette by name gives two of ten series the same colour, and some of them red."""
    for panel in shown(dashboard):
        if panel["type"] not in ("timeseries", "trend", "barchart"):
            continue
        assert panel["fieldConfig"]["defaults"]["color"]["mode"] == "palette-classic", panel["title"]
        literal = {t["refId"] for t in panel["targets"] if not re.match(r"__auto$|.*\{\{", t["legendFormat"])}
        rules = {rule["matcher"]["options"]: rule["properties"] for rule in panel["fieldConfig"]["overrides"]}
        fixed = {ref for ref in literal if any(each["id"] == "color" for each in rules.get(ref, []))}
        assert fixed == literal, panel["title"]


@each_dashboard
def test_panels_over_runs_have_no_axis_of_time(dashboard: dict[str, Any]) -> None:
    """It would be mostly empty between nightly runs, and a fresh stack would be a dot at its end."""
    for panel in shown(dashboard):
        if panel["type"] in ("timeseries", "state-timeline"):
            asked = " ".join(target["expr"] for target in panel["targets"])
            assert not re.search(r"\bby \([^)]*run_id", asked), panel["title"]
            assert not metric_names(asked) & OF_RUNS, panel["title"]
        elif panel["type"] == "trend":
            assert panel["options"]["xField"] in ("Run", "Epoch or step")


OF_RUNS = {metric.name for metric in catalogue.METRICS if "run_id" in metric.labels}
OF_RUNS |= {"run:metric:last", "model:dataset_statistic:last"}


@each_dashboard
def test_runs_have_short_names_outside_of_matrices(dashboard: dict[str, Any]) -> None:
    """The run_id is hidden beside a short name in tables; a matrix has no room for both, and its links need the id."""
    for panel in shown(dashboard):
        steps = panel.get("transformations", [])
        matrices = [step["options"] for step in steps if step["id"] == "groupingToMatrix"]
        for each in matrices:
            assert panel["type"] == "table" or "run_id" not in (each["rowField"], each["columnField"]), panel["title"]
        if any("run_id" in step["options"].get("renameByName", {}) for step in steps) and panel["title"] != "Origin":
            [rule] = [r for r in panel["fieldConfig"]["overrides"] if r["matcher"]["options"] == RUN_ID]
            assert {"id": "custom.hideFrom.viz", "value": True} in rule["properties"], panel["title"]


@each_dashboard
def test_a_difference_of_percentages_is_in_points(dashboard: dict[str, Any]) -> None:
    """A gap of 0.6 points is no 0.6 %; shares in the unit of a panel are times 100 in its query."""
    for panel in shown(dashboard):
        gaps = [
            t
            for t in panel["targets"]
            if re.search(r"catwalk_gate_(value|low|high)", t["expr"]) and "unless" in t["expr"]
        ]
        for target in gaps:
            assert re.match(r"100 \* \(|label_(join|replace)\(.*round\(100 \* \(", target["expr"]), (
                f"{panel['title']}/{target['refId']}"
            )
            assert re.search(r"suffix:pp|\$1 pp", json.dumps(panel)), panel["title"]


@each_dashboard
def test_a_legend_of_many_series_is_a_table_beside_the_chart(dashboard: dict[str, Any]) -> None:
    many = re.compile(r"\{\{(side\}\} \{\{feature|job|instance|statistic|operation)\}\}")
    for panel in shown(dashboard):
        if panel["type"] == "timeseries" and any(many.fullmatch(t["legendFormat"]) for t in panel["targets"]):
            legend = panel["options"]["legend"]
            crowded = panel["gridPos"]["w"] >= 12
            assert not crowded or (legend["displayMode"], legend["placement"]) == ("table", "right"), panel["title"]
            assert not crowded or legend["calcs"] == ["lastNotNull"]


@each_dashboard
def test_each_tick_of_an_axis_of_runs_or_epochs_is_one_of_them(dashboard: dict[str, Any]) -> None:
    """Not epoch 1.5; rounded to whole numbers, ticks at halves would read 1, 2, 2, 3, 3."""
    for panel in shown(dashboard):
        if panel["type"] == "trend":
            rules = panel["fieldConfig"]["overrides"]
            [axis] = [rule for rule in rules if rule["matcher"]["options"] == panel["options"]["xField"]]
            assert {"id": "custom.scaleDistribution", "value": {"type": "ordinal"}} in axis["properties"], panel[
                "title"
            ]


@each_dashboard
def test_room_on_an_axis_of_runs_costs_no_second_evaluation(dashboard: dict[str, Any]) -> None:
    for panel in shown(dashboard):
        if panel["type"] == "trend" and panel["options"]["xField"] == "Run":
            expr = panel["targets"][0]["expr"]
            assert 'label_replace(vector(0) / 0, "run_id", "zzz", "", "")' in expr, panel["title"]
            assert expr.count('"zzz"') == 1, panel["title"]


@each_dashboard
def test_a_number_that_is_a_text_is_shown_as_it_is(dashboard: dict[str, Any]) -> None:
    """Grafana would show the text `0.001` as 0.00100."""
    for panel in shown(dashboard):
        texts = re.findall(
            r'count_values by \([^)]*\) \(\\"(value|measured|threshold)\\"', json.dumps(panel["targets"])
        )
        assert not texts or '"string"' in json.dumps(panel["fieldConfig"]), panel["title"]


COLUMN_PIXELS = 46
"""A 24th of the board at 1440 pixels with the side menu docked, measured in Grafana 12.3.3."""


@each_dashboard
def test_titles_fit_their_panels(dashboard: dict[str, Any]) -> None:
    """Beside the title are the mark of the description and one of each link."""
    for panel in shown(dashboard):
        room = COLUMN_PIXELS * panel["gridPos"]["w"] - 86 - 30 * len(panel.get("links", []))
        assert 7 * len(panel["title"]) <= room, panel["title"]


@each_dashboard
def test_what_tiles_say_fits_in_three_lines_of_a_fixed_size(dashboard: dict[str, Any]) -> None:
    """Grafana would fit the text to the tile: a number is huge then, and a sentence can't be read."""
    for panel in shown(dashboard):
        if panel["type"] == "stat":
            size = panel["options"]["text"]["valueSize"]
            line = (COLUMN_PIXELS * panel["gridPos"]["w"] - 24) / (size / 2)
            words = [panel["fieldConfig"]["defaults"]["noValue"], *re.findall(r'"text": "([^"]+)"', json.dumps(panel))]
            assert [text for text in words if len(text) > 2.6 * line] == [], panel["title"]


@each_dashboard
def test_a_chart_over_runs_or_epochs_has_room_for_its_message_in_the_legend(dashboard: dict[str, Any]) -> None:
    for panel in shown(dashboard):
        if panel["type"] == "trend":
            beside = panel["options"]["legend"]["placement"] == "right"
            room = COLUMN_PIXELS * panel["gridPos"]["w"] * (0.5 if beside else 1) - 50
            assert 6 * len(panel["fieldConfig"]["defaults"]["noValue"]) <= room, panel["title"]


@each_dashboard
def test_no_series_without_a_value_repeats_the_message_of_the_empty_panel(dashboard: dict[str, Any]) -> None:
    for panel in shown(dashboard):
        if panel["type"] in ("table", "timeseries", "trend"):
            first = next(r for r in panel["fieldConfig"]["overrides"] if r["matcher"]["options"] == ".*")
            assert {"id": "noValue", "value": "–"} in first["properties"], panel["title"]


@each_dashboard
def test_the_widths_of_columns_fit_the_table(dashboard: dict[str, Any]) -> None:
    """A headline is there, or an accuracy."""
    for panel in shown(dashboard):
        if panel["type"] == "table":
            rules = {
                rule["matcher"]["options"]: {each["id"]: each["value"] for each in rule["properties"]}
                for rule in panel["fieldConfig"]["overrides"]
                if not rule["matcher"]["options"].startswith("Headline")
            }
            columns = [rule for rule in rules.values() if not rule.get("custom.hideFrom.viz")]
            sizes = [rule.get("custom.width") or rule.get("custom.minWidth", 0) for rule in columns]
            assert sum(sizes) <= COLUMN_PIXELS * panel["gridPos"]["w"] - 24, panel["title"]


def test_the_fleet_shows_the_whole_name_of_each_model() -> None:
    """Models of one team often differ by its last letters."""
    (table,) = [panel for board in DASHBOARDS for panel in shown(board) if panel.get("title") == "Every model"]
    (column,) = [rule for rule in table["fieldConfig"]["overrides"] if rule["matcher"]["options"] == "Model"]
    wrapped = {"id": "custom.cellOptions", "value": {"type": "auto", "wrapText": True}}
    assert wrapped in column["properties"]


def test_rates_reach_the_present() -> None:
    """Over a day, Grafana's last step ends up to ten minutes ago: a service that has just started would be missing."""
    blind = [
        query.name for query in all_queries() if re.search(r"rate_interval\](?! offset -\$__interval)", query.expr)
    ]
    assert blind == []


def test_every_metric_is_declared_mapped_recorded_or_scraped() -> None:
    histogram = ("_bucket", "_sum", "_count")
    mapped = [rule.metric for rule in airflow_rules(load_registry()) if rule.metric]
    kinds = {metric.name: metric.kind for metric in (*catalogue.METRICS, *mapped)}
    kinds |= {rule.name: "gauge" for rule in records()}
    for query in all_queries():
        names = metric_names(query.expr)
        assert names or "__name__" in query.expr, query.name
        for name in names:
            stem = next((name.removesuffix(end) for end in histogram if name.endswith(end)), name)
            known = name in kinds and kinds[name] != "histogram"
            assert known or kinds.get(stem) == "histogram" or SCRAPED.fullmatch(name), f"{query.name}: {name}"


def test_what_panels_count_is_what_the_rule_counts() -> None:
    [rule] = [rule for rule in records() if rule.name == "job:counter:last"]
    pattern = re.search(r'__name__=~"([^"]+)"', rule.expression)
    assert pattern
    asked = {name for query in all_queries() for name in counters(query.expr)}
    assert {name for name in asked if not re.fullmatch(pattern[1], name)} == set()
    for alternative in re.split(r"\|(?![^(]*\))", pattern[1]):
        assert any(re.fullmatch(alternative, name) for name in asked), f"no panel shows {alternative}"


def test_series_that_come_and_go_are_asked_for_with_a_window() -> None:
    fleeting = {
        m.name for m in catalogue.METRICS if m.ttl_seconds or m.name.startswith(("catwalk_run_", "catwalk_stage_"))
    }
    fleeting -= {catalogue.RUNS_SINCE_SHIP.name}
    for query in all_queries():
        if query.ref == "variable":
            continue  # label_values asks for the whole range by itself
        for name in metric_names(query.expr) & fleeting:
            bare = re.sub(rf"over_time\({name}(\{{[^}}]*\}})?\[", "", query.expr)
            assert not re.search(rf"\b{name}\b", bare), f"{query.name}: {name} without a window"


def test_the_name_of_a_model_is_no_regular_expression() -> None:
    """Grafana quotes nothing in a choice of one, and a name may hold dots, plus signs and parentheses."""
    places = [query.name for query in all_queries() if re.search(r"[=!]~\s*\"[^\"]*\$\{?model\b", query.expr)]
    assert places == []


def test_codes_have_words() -> None:
    assert set(words.REASONS) == set(_REASONS)
    outcomes = [outcome.split() for outcome in words.OUTCOMES]
    assert {reason for _, reason in outcomes} == set(_REASONS)
    assert set(words.BRIEFLY) == set(words.OUTCOMES)
    assert {decision for decision, _ in outcomes} == set(get_args(get_type_hints(DecisionRecord)["decision"]))
    assert set(words.STATES) == set(STATES)
    gate = "".join(path.read_text() for path in Path(catwalk.gate.__file__).parent.glob("*.py"))
    assert [check for check in words.CHECKS if f'"{check}"' not in gate] == []


_CHOSEN = re.compile(r"\$(model|run|runs|recent|champion|dag)\b|\bmodel=\"\"")
"""Or series that are about no model."""
_SELECTOR = re.compile(r"\b([A-Za-z]\w*(?::\w+)*)\{([^{}]*)\}|\{(__name__[^{}]*)\}")
_OF_ALL = {
    "catwalk-home/Status/A": "the status is about everything",
    "catwalk-home/Status/B": "the status is about everything",
    "catwalk-home/Status/C": "the status is about everything",
    "catwalk-home/Status/D": "the Watchdog shows whether rules are evaluated at all",
    "catwalk-home/Firing alerts/A": "its rows name their models",
}
"""Queries beside a choice of a model that ask about every one, and why."""


def _asks_about_every_model(expr: str, about: set[str]) -> bool:
    chosen = [_CHOSEN.search(found[2] or found[3]) for found in _SELECTOR.finditer(expr) if found[1] in {*about, ""}]
    bare = set(re.findall(r"\b[A-Za-z]\w+\b(?!\s*[\w({])", _SELECTOR.sub(" ", expr))) & about
    return not all(chosen) or bool(bare)


def test_where_a_model_is_chosen_queries_are_about_it() -> None:
    about = {metric.name for metric in catalogue.METRICS if {"model", "run_id", "dag_id"} & set(metric.labels)}
    about |= {"ALERTS", "job:counter:growth"}
    choosing = {
        dashboard["uid"]
        for dashboard in DASHBOARDS
        if "model" in [variable["name"] for variable in dashboard["templating"]["list"]]
    }
    assert choosing == UIDS - {"catwalk-telemetry", "catwalk-fleet"}
    mixed = {
        query.name
        for query in all_queries()
        if query.dashboard in choosing
        and query.ref != "variable"
        and not ({"ml_store_errors_total"} & metric_names(query.expr))
        and _asks_about_every_model(query.expr, about)
    }
    assert mixed == set(_OF_ALL)

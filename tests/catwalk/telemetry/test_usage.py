"""Which rules and panels use a metric, as the page lists them, compared with what tests find in the same queries."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from catwalk.telemetry import catalogue, mapping
from catwalk.telemetry.airflow_metrics import airflow_rules, load_registry
from catwalk.telemetry.usage import Reader, to_markdown
from tests.grafana.promql import all_queries, metric_names
from tests.prometheus.rulebook import RUNBOOKS, records, rules
from tests.prometheus.test_lint import series_read

OF_AIRFLOW = [rule.metric for rule in airflow_rules(load_registry()) if rule.metric]
NAMES = {metric.name for metric in (*catalogue.METRICS, *OF_AIRFLOW)} | {rule.name for rule in records()}


def stems(names: set[str]) -> set[str]:
    """Returns the metrics of these samples."""
    return {name if name in NAMES else re.sub("_(bucket|sum|count)$", "", name) for name in names} & NAMES


def used_by() -> dict[str, list[str]]:
    """Name → its cells on the page."""
    section = mapping.PAGE.read_text().split("## Used by\n")[1].split("## Used by nothing")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {name.strip("`"): cells for name, *cells in rows}


def unused() -> set[str]:
    return set(re.findall("`([^`]+)`", mapping.PAGE.read_text().split("## Used by nothing")[1]))


def test_every_metric_is_used_by_something_or_listed_as_unused() -> None:
    assert set(used_by()) | unused() == NAMES
    assert not set(used_by()) & unused()


def test_the_metrics_that_a_rule_reads_are_used_by_it() -> None:
    table = used_by()
    for rule in rules():
        for name in stems(series_read(rule)) - {rule.name}:
            recorded, alerts, _ = table[name]
            assert rule.name in (alerts if rule.is_alert else recorded), (name, rule.name)


def test_the_metrics_that_a_panel_reads_are_used_by_it() -> None:
    table = used_by()
    for query in all_queries():
        for name in stems(metric_names(query.expr)):
            assert query.place in table[name][2], (name, query.name)


def test_nothing_is_used_by_a_rule_or_panel_that_does_not_read_it() -> None:
    read = {name for rule in rules() for name in stems(series_read(rule)) - {rule.name}}
    read |= {name for query in all_queries() for name in stems(metric_names(query.expr))}
    read |= {name for path in RUNBOOKS.glob("*.md") for name in stems(set(re.findall(r"[\w:]+", path.read_text())))}
    assert set(used_by()) - read == set(), "panels or rules read patterns and counters' labels in words too"


@pytest.mark.parametrize(
    ("query", "reads"),
    [
        ('max(last_over_time(ml_test_loss{model="m"}[1d]))', True),
        ("rate(ml_test_loss_count[5m])", True),
        ("sum(ml_test_loss_by_hour)", False),
        ('sum(job:counter:growth{counter="ml_test_loss"})', True),
        ('{__name__=~"ml_test_(loss|other)"}', True),
        ('{__name__=~"ml_test_(other|another)"}', False),
        ('{__name__=~"ml_.+"}', False),
    ],
)
def test_a_query_reads_a_metric(query: str, reads: bool) -> None:
    assert Reader("panel", "a panel", query).reads("ml_test_loss") == reads
    assert not Reader("record", "ml_test_loss", query).reads("ml_test_loss"), (
        "a rule that reads only its own result uses nothing"
    )


def test_another_rule_and_panel_show_and_a_bar_in_a_title_breaks_no_table(tmp_path: Path) -> None:
    (tmp_path / "prometheus" / "rules").mkdir(parents=True)
    (tmp_path / "grafana" / "json").mkdir(parents=True)
    (tmp_path / "prometheus" / "rules" / "a.yml").write_text(
        "groups: [{name: g, rules: [{record: 'a:b:c', expr: one}, {alert: Late, expr: 'a:b:c > 1', "
        "annotations: {description: 'The most: {{ query \"topk(3, four)\" }}'}}]}]"
    )
    (tmp_path / "prometheus" / "runbooks").mkdir()
    (tmp_path / "prometheus" / "runbooks" / "Late.md").write_text("Ask `topk(10, five)`.")
    inner = {"title": "In | out", "targets": [{"expr": "rate(two_bucket[5m])"}]}
    board = {
        "title": "Catwalk: home",
        "panels": [{"title": "Row", "panels": [inner]}],
        "templating": {"list": [{"name": "run", "definition": "label_values(one, run_id)"}, {"name": "datasource"}]},
        "annotations": {"list": [{"name": "Starts", "expr": "a:b:c"}, {"name": "of Grafana"}]},
    }
    (tmp_path / "grafana" / "json" / "home.json").write_text(json.dumps(board))
    lines = to_markdown({"Ours": ["one", "two", "three", "four", "five"]}, tmp_path)
    assert "| `one` | `a:b:c` | – | *home*: $run |" in lines
    assert "| `two` | – | – | *home*: In \\| out |" in lines
    assert "| `a:b:c` | – | Late | *home*: annotation Starts |" in lines
    assert {"| `four` | – | Late | – |", "| `five` | – | Late | – |"} <= set(lines)
    assert lines[-2:] == ["- Ours: `three`", "- Recorded by rules: none"]

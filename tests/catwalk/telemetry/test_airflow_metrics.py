"""The rules for Airflow's metrics, compared with what the installed Airflow and others can send."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from catwalk.telemetry.airflow_metrics import PREFIX, airflow_rules, load_registry
from catwalk.telemetry.mapping import own_rules
from catwalk.telemetry.rule import Rule
from stack.settings import PROJECT
from tests.catwalk.telemetry.airflow_names import names, source, versions
from tests.catwalk.telemetry.airflow_names.wire import matches, on_the_wire

NOT_INSTALLED = ("celery", "kubernetes_executor", "batch_executor", "ecs_executor", "lambda_executor", "edge_", "ol.")
"""First parts of metrics from providers that are not installed here."""
SENT_BY_OLDER_ONES = {
    *("zombies_killed", "dataset.updates", "dataset.orphaned", "dataset.triggered_dagruns"),
    *("sla_missed", "sla_callback_notification_failure", "sla_email_notification_failure"),
    *("dag_processing.sla_callback_count", "local_task_job_prolonged_heartbeat_failure"),
}
KINDS = {"incr": "counter", "decr": "counter", "gauge": "gauge", "timing": "histogram", "timer": "histogram"}
LEGACY = {form for entry in load_registry() for form in on_the_wire(entry["legacy_name"])}


@cache
def rules() -> list[Rule]:
    return airflow_rules(load_registry())


def source_root() -> Path:
    """Where Airflow is installed, found without importing it (an import would write to its home)."""
    spec = find_spec("airflow")
    assert spec and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def installed() -> str:
    """Version of the installed Airflow."""
    return version("apache-airflow-core")


@cache
def sent(airflow: str) -> frozenset[str]:
    """Returns everything that an Airflow can send, as it appears on the wire."""
    return frozenset(form for each in names(airflow) for form in on_the_wire(each.name))


def test_the_registry_is_the_reviewed_one() -> None:
    """Another number means another Airflow: review its changes, then change this."""
    assert len(load_registry()) == 128


def test_each_metric_of_the_registry_is_mapped_or_dropped_for_a_reason() -> None:
    for entry, rule in zip(load_registry(), rules(), strict=False):
        name = re.sub(r"\{job_name\}", "job", re.sub(r"\{dag_file\}", "fashion_training", entry["name"]))
        assert matches(rule, name), entry["name"]
        assert rule.metric or rule.reason


def test_most_are_mapped() -> None:
    of_registry = rules()[:128]
    assert len([rule for rule in of_registry if rule.metric]) == 119


def test_kinds_and_units_follow_the_registry() -> None:
    kinds = {"counter": "counter", "gauge": "gauge", "timer": "histogram"}
    for entry, rule in zip(load_registry(), rules(), strict=False):
        if rule.metric:
            assert rule.metric.kind == kinds[entry["type"]]
            assert rule.metric.name.startswith("airflow_")
            if entry["type"] == "timer":
                assert rule.metric.unit == "seconds"
                assert "illisecond" not in rule.metric.help


def test_labels_that_the_registry_names_are_kept_or_taken_away_with_a_reason() -> None:
    for entry, rule in zip(load_registry(), rules(), strict=False):
        if rule.metric and "{" not in entry["name"]:
            assert set(entry["name_variables"]) <= set(rule.metric.labels) | set(rule.fixed), entry["name"]
        if "" in rule.fixed.values():
            assert rule.reason


def test_no_rule_is_dead() -> None:
    """Each rule that keeps something matches a name that some Airflow sends, and most match one of the installed
    Airflow.
    """
    every = {name for airflow in versions() for name in sent(airflow)}
    kept = [rule for rule in rules() if rule.metric]
    for rule in kept:
        assert any(matches(rule, name) for name in every), f"nothing sends {rule.match}"
    of_old = {rule.match for rule in kept if not any(matches(rule, name) for name in sent(installed()))}
    assert of_old == {PREFIX + name for name in SENT_BY_OLDER_ONES}


def test_metrics_listed_as_never_sent_are_never_sent() -> None:
    said = [rule for rule in rules() if "nothing in Airflow 3.3.2 sends it" in rule.reason]
    assert said
    for rule in said:
        assert not [name for name in sent(installed()) if matches(rule, name) and name not in LEGACY], rule.match


def test_code_listed_as_never_called_is_never_called() -> None:
    """Once this fails, Airflow sends the time that tasks wait in the queue again: map it."""
    files = [path.read_text() for path in source_root().rglob("*.py")]
    calls = re.findall(r"[^_`]\bcheck_and_change_state_before_execution\(", "\n".join(files))
    assert len(calls) == 1  # its definition
    function = (source_root() / "models" / "taskinstance.py").read_text()
    start = function.index("def _check_and_change_state_before_execution(")
    body = function[start : function.index("def check_and_change_state_before_execution(")]
    assert "emit_state_change_metric(TaskInstanceState.RUNNING)" in body
    assert '"previously_succeeded"' in body
    assert function.count("emit_state_change_metric(TaskInstanceState.RUNNING)") == 1


def test_the_list_of_the_installed_airflow_is_what_its_source_says() -> None:
    """The test leaves out providers that are not installed here."""
    found = {str(each) for each in source.sent(source_root().parent)}
    listed = {str(each) for each in names(installed())}
    assert not found - listed, "run `python -m tests.catwalk.telemetry.airflow_names`"
    assert all(line.split()[1].startswith(NOT_INSTALLED) for line in listed - found), listed - found


@pytest.mark.parametrize("airflow", versions())
def test_everything_that_an_airflow_sends_has_a_rule(airflow: str) -> None:
    assert len(sent(airflow)) > 150
    forgotten = [name for name in sent(airflow) if not any(matches(rule, name) for rule in rules())]
    assert not forgotten


@pytest.mark.parametrize("airflow", versions())
def test_an_airflows_metric_types_are_those_of_the_series(airflow: str) -> None:
    """Two types in one family would conflict, and the samples would be lost."""
    for each in names(airflow):
        for name in on_the_wire(each.name):
            kinds = {rule.metric.kind for rule in rules() if rule.metric and matches(rule, name)}
            assert kinds <= {KINDS[each.method]}, each


@pytest.mark.parametrize("airflow", versions())
def test_no_airflow_uses_our_names(airflow: str) -> None:
    ours = own_rules()
    assert not [name for name in sent(airflow) for rule in ours if matches(rule, name)]
    families = {rule.metric.name for rule in ours if rule.metric}
    assert not families & {rule.metric.name for rule in rules() if rule.metric}


def test_every_task_state_that_the_scheduler_counts_has_a_rule() -> None:
    source = (source_root() / "jobs" / "scheduler_job_runner.py").read_text()
    states = next(
        [ast.unparse(state).rpartition(".")[2].lower() for state in node.value.elts]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "metric_states"
        if isinstance(node.value, ast.Set)
    )
    assert "awaiting_input" in states
    for state in states:
        found = [rule for rule in rules() if matches(rule, f"ti.{state}")]
        assert [rule.fixed for rule in found] == [{"state": state}]


@pytest.mark.parametrize("dag_id", ["fashion_training", "team.fashion.training"])
def test_a_dags_id_in_a_name_is_dropped_dots_or_not(dag_id: str) -> None:
    found = [rule for rule in rules() if matches(rule, f"dagrun.{dag_id}.first_task_scheduling_delay")]
    assert [rule.metric for rule in found] == [None]


def test_the_duration_of_parsing_is_still_sent_in_seconds() -> None:
    """Once this fails, Airflow has fixed it, and the factor of 1,000 must go."""
    source = (source_root() / "dag_processing" / "manager.py").read_text()
    assert re.search(r'"dag_processing\.last_duration",\s+stat\.last_duration,', source)
    assert "run_duration = time.monotonic() - proc.start_time" in source


NOT_CALLED = {("3.0.0", "ti.finish")}
"""Version and name, in a method of Airflow 2's way to run a task, which nothing calls any more."""


def documented() -> dict[str, str]:
    """Airflow's name → the versions that send it, as listed on the page for those who only watch Airflow."""
    page = (PROJECT / "docs" / "watch-airflow.md").read_text()
    rows = re.findall(r"^\| (`.+?`) \| ((?:all|from|to).*?) \|", page, re.MULTILINE)
    return {name: said for cell, said in rows for name in re.findall(r"`(.+?)`", cell)}


def says(text: str, airflow: str) -> bool:
    """Returns whether `from 3.1.8`, `to 2.11.2` or both match this version."""
    number = [int(part) for part in airflow.split(".")]
    bounds = [(way, [int(part) for part in at.split(".")]) for way, at in re.findall(r"(from|to) (\S+?)(?:,|$)", text)]
    return text == "all" or any(number >= at if way == "from" else number <= at for way, at in bounds)


def test_the_page_says_which_airflow_sends_what() -> None:
    assert len(documented()) >= 18
    for name, said in documented().items():
        for airflow in versions():
            really = name in sent(airflow) and (airflow, name) not in NOT_CALLED
            assert says(said, airflow) == really, (name, airflow)


def test_the_page_lists_every_metric_that_panels_and_alerts_read() -> None:
    files = [*(PROJECT / "grafana" / "json").glob("*.json"), *(PROJECT / "prometheus" / "rules").glob("*.yml")]
    text = "\n".join(path.read_text() for path in files)
    for rule in rules()[: len(load_registry())]:
        if rule.metric and re.search(rf"\b{rule.metric.name}(_count|_sum|_bucket)?\b", text):
            assert rule.match.removeprefix(PREFIX) in documented(), rule.match

"""The rules for Airflow's metrics against the source of the Airflow that is installed."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from catwalk.telemetry.airflow_metrics import PREFIX, Rule, airflow_rules, load_registry

NOT_INSTALLED = ("celery", "kubernetes_executor", "batch_executor", "ecs_executor", "lambda_executor", "edge_", "ol.")
"""First parts of metrics that providers send which are not installed here: the registry has to be believed."""
SENT_IN_OTHER_WAYS = {
    "executor.open_slots.*": "BaseExecutor._get_metric_name adds the class where there are several executors",
    "executor.queued_tasks.*": "as above",
    "executor.running_tasks.*": "as above",
    "callback_success": "Callback.get_metric_info builds name and tags",
    "callback_failed": "as above",
    "deadline_alerts.callback_success": "as above, with a deadline's prefix",
    "deadline_alerts.callback_failed": "as above",
}


@cache
def rules() -> list[Rule]:
    return airflow_rules(load_registry())


def matches(rule: Rule, name: str) -> bool:
    """What statsd_exporter does: `*` is one segment."""
    pattern = rule.match if rule.is_regex else re.escape(rule.match).replace(r"\*", r"[^.]+")
    return re.fullmatch(pattern, PREFIX + name) is not None


def source_root() -> Path:
    """Where Airflow is installed, found without importing it (that would write to its home)."""
    spec = find_spec("airflow")
    assert spec and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


@cache
def sent() -> dict[str, str]:
    """Patterns of the names that Airflow's source sends → where."""
    root, found = source_root(), {}
    for path in root.rglob("*.py"):
        text = path.read_text()
        if "stats." not in text.lower() or "_shared/observability" in path.as_posix():
            continue
        tree = ast.parse(text)
        names = {
            target.id: node.value.args[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and node.value.args
            for target in node.targets
            if isinstance(target, ast.Name) and isinstance(node.value.args[0], ast.Constant)
        }
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func).lower()
                in (
                    "stats.incr",
                    "stats.decr",
                    "stats.gauge",
                    "stats.timing",
                    "stats.timer",
                )
                and node.args
            ):
                argument = node.args[0]
                known = names.get(argument.id, argument) if isinstance(argument, ast.Name) else argument
                branches = [known.body, known.orelse] if isinstance(known, ast.IfExp) else [known]
                for branch in branches:
                    found[pattern(branch)] = f"{path.relative_to(root)}:{node.lineno}"
    return found


def pattern(node: ast.expr) -> str:
    """A regular expression for what an expression of strings can give."""
    if isinstance(node, ast.Constant):
        return re.escape(str(node.value))
    if isinstance(node, ast.JoinedStr):
        return "".join(pattern(value) for value in node.values)
    if isinstance(node, ast.BinOp):
        return pattern(node.left) + pattern(node.right)
    return ".+"


def test_the_registry_is_the_one_that_was_read() -> None:
    """Another number means another Airflow: look through its changes, then change this."""
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
    """Each rule that keeps something is for a name that the installed Airflow sends."""
    for rule in rules():
        name = rule.match.removeprefix(PREFIX)
        if rule.metric is None or name.startswith(NOT_INSTALLED) or name in SENT_IN_OTHER_WAYS:
            continue
        assert any(re.fullmatch(pattern, name) for pattern in sent()), f"nothing sends {name}"


def test_what_is_said_to_be_never_sent_is_never_sent() -> None:
    for rule in rules():
        if "nothing in Airflow 3.3.2 sends it" in rule.reason:
            name = rule.match.removeprefix(PREFIX)
            assert not [where for pattern, where in sent().items() if re.fullmatch(pattern, name)]


def test_what_is_said_to_be_never_called_is_never_called() -> None:
    """Once this fails, the time that tasks wait in the queue can be had again: map it."""
    files = [path.read_text() for path in source_root().rglob("*.py")]
    calls = re.findall(r"[^_`]\bcheck_and_change_state_before_execution\(", "\n".join(files))
    assert len(calls) == 1  # its definition
    function = (source_root() / "models" / "taskinstance.py").read_text()
    start = function.index("def _check_and_change_state_before_execution(")
    body = function[start : function.index("def check_and_change_state_before_execution(")]
    assert "emit_state_change_metric(TaskInstanceState.RUNNING)" in body
    assert '"previously_succeeded"' in body
    assert function.count("emit_state_change_metric(TaskInstanceState.RUNNING)") == 1


def test_nothing_that_airflow_sends_is_forgotten() -> None:
    assert len(sent()) > 80
    for name_pattern, where in sent().items():
        exact = re.sub(r"\\(.)", r"\1", name_pattern)
        if ".+" in name_pattern:
            fits = [rule for rule in rules() if rule.is_regex or re.fullmatch(name_pattern, rule.match[len(PREFIX) :])]
        else:
            fits = [rule for rule in rules() if matches(rule, exact)]
        assert fits, f"{where} sends {exact}, which no rule matches"


def test_every_state_of_which_the_scheduler_counts_tasks_has_a_rule() -> None:
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


def test_the_duration_of_parsing_is_sent_in_seconds_still() -> None:
    """Once this fails, Airflow has mended it, and the factor of 1,000 must go."""
    source = (source_root() / "dag_processing" / "manager.py").read_text()
    assert re.search(r'"dag_processing\.last_duration",\s+stat\.last_duration,', source)
    assert "run_duration = time.monotonic() - proc.start_time" in source

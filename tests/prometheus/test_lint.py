"""What holds for all rules: names, labels, links, and that every series they read exists."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from catwalk.gate.config import LIMITS
from catwalk.telemetry import catalogue
from catwalk.telemetry.airflow_metrics import airflow_rules, load_registry
from catwalk.telemetry.catalogue import Metric
from catwalk.telemetry.mapping import MAPPING
from stack.ports import free_port
from stack.settings import tool
from tests.conftest import RunningStack
from tests.prometheus.rulebook import RULES, RUNBOOKS, Rule, alerts, names, records, rules
from tests.support.servers import scraped, wait_until

RETRAINED = {"ServiceInputDrifted"}
"""Alerts that newer data may resolve, so they may ask for a retraining."""
DASHBOARDS = {
    f"catwalk-{name}" for name in ("home", "fleet", "runs", "run", "model", "service", "pipeline", "telemetry")
}
PER_RUN = {metric.name for metric in catalogue.METRICS if "run_id" in metric.labels and "role" not in metric.labels} - {
    metric.name
    for metric in (catalogue.CHAMPION_INFO, catalogue.CHAMPION_PROMOTED, catalogue.LAST_RUN, catalogue.LAST_DECISION)
}
"""Families whose series come and go with runs; a champion stays, and so does what came last."""
OWN = ("catwalk_", "ml_", "airflow_")
_FUNCTIONS = {
    "count_values", "changes",
    "abs", "absent", "and", "avg_over_time", "bool", "bottomk", "by", "clamp", "clamp_min", "count", "deriv", "group",
    "group_left", "group_right", "histogram_quantile", "ignoring", "increase", "label_replace", "last_over_time", "ln",
    "max", "max_over_time", "min", "min_over_time", "offset", "on", "or", "quantile", "rate", "round", "scalar", "sqrt",
    "sum", "sum_over_time", "time", "timestamp", "topk", "unless", "vector",
}  # fmt: skip
_NO_NAMES = re.compile(
    r'"[^"]*"|#.*'  # texts and comments
    r"|\{[^}]*\}|\[[^\]]*\]|offset \w+|\b(?:by|on|ignoring|group_left|group_right) \([^)]*\)|\bInf\b|\b\d[\w.]*"
)


def series_read(rule: Rule) -> set[str]:
    """Names of the series that an expression reads."""
    return set(re.findall(r"[a-zA-Z_][\w:]*", _NO_NAMES.sub(" ", rule.expression))) - _FUNCTIONS


def metric_names(metrics: list[Metric]) -> set[str]:
    """Names of their samples."""
    found = {metric.name for metric in metrics}
    parts = ("bucket", "sum", "count")
    return found | {f"{metric.name}_{part}" for metric in metrics if metric.kind == "histogram" for part in parts}


@pytest.mark.parametrize("rule", records(), ids=lambda rule: rule.name)
def test_a_record_is_named_level_metric_operation(rule: Rule) -> None:
    assert re.fullmatch(
        r"(threshold|run|dag_run|model|operation|job|component|target|exporter|statsd_exporter|canary):[a-z][a-z0-9_]+:[a-z0-9_]+",
        rule.name,
    )
    assert not rule.body.get("labels")


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule.title)
def test_an_alert_has_the_labels_and_annotations_that_routes_templates_and_people_need(rule: Rule) -> None:
    assert re.fullmatch(r"([A-Z][a-z0-9]+)+", rule.name)
    labels, annotations = rule.body["labels"], rule.body["annotations"]
    assert labels["severity"] in ("critical", "warning", "info") or (rule.name, labels["severity"]) == (
        "Watchdog",
        "none",
    )
    assert labels["area"] == rule.file.partition(".")[0].replace("service", "model")  # whose people it concerns
    assert labels.keys() <= {"severity", "area", "source", "owner", "retrain"}
    assert labels.get("retrain") == ("yes" if rule.name in RETRAINED else None)
    assert annotations.keys() == {"summary", "description", "runbook_url", "dashboard"}
    assert annotations["runbook_url"] == "{{ $externalLabels.runbooks }}/" + rule.name
    dashboard = re.fullmatch(r"\{\{ \$externalLabels\.grafana \}\}/d/([a-z-]+)(\?.*)?", annotations["dashboard"])
    assert dashboard and dashboard[1] in DASHBOARDS
    assert set(re.findall(r"[?&]([\w-]+)=", dashboard[2] or "")) <= {"var-model", "var-run"}
    for text in annotations.values():
        assert text == text.strip() and "\n" not in text
    assert not annotations["summary"].endswith(".") and annotations["description"].endswith(
        (".", "$labels.run_id }}", ".{{ end }}{{ end }}")
    )


def test_critical_is_what_is_in_service_or_makes_the_pipeline_blind() -> None:
    of_models = {rule.name for rule in alerts() if rule.severity == "critical" and rule.file == "model.alerts.yml"}
    assert of_models == {
        "ModelAccuracyBelowFloor", "ModelFloorMissed", "ModelClassCollapsed", "ModelCalibrationPoor", "ChampionMissing",
    }  # fmt: skip
    for rule in alerts():
        if rule.severity == "critical" and rule.name in of_models - {"ChampionMissing"}:
            assert 'role="champion"' in rule.expression


def test_an_alert_waits_or_says_why_it_does_not() -> None:
    for path in RULES.glob("*.alerts.yml"):
        comment, name = "", ""
        waits: dict[str, bool] = {}
        for line in path.read_text().splitlines():
            if line.startswith("      #"):
                comment += line
            elif line.startswith("      - alert:"):
                name = f"{line.partition(': ')[2]} {len(waits)}"
                waits[name] = "No `for`" in comment
                comment = ""
            elif line.startswith("        for:"):
                assert not waits[name], f"{name} waits, and says that it doesn't"
                waits[name] = True
        assert waits
        assert not [name for name, reason in waits.items() if not reason]


def test_every_threshold_has_a_reason_and_a_user() -> None:
    lines = (RULES / "thresholds.yml").read_text().splitlines()
    for number, line in enumerate(lines):
        if "- record:" in line:
            assert lines[number - 1].startswith("      # "), line
    declared = {rule.name for rule in records() if rule.name.startswith("threshold:")}
    assert declared == {used for rule in rules() for used in rule.uses if used.startswith("threshold:")}
    assert declared == {rule.name for rule in rules() if rule.file == "thresholds.yml"}


def test_a_model_may_have_limits_of_its_own_where_alerts_join_them() -> None:
    [joined] = [rule for rule in records() if rule.name == "model:threshold:last"]
    assert {name.split(":")[1] for name in joined.uses if name.startswith("threshold:")} == set(LIMITS)
    read = {name for rule in alerts() for name in re.findall(r'model:threshold:last\{name="(\w+)"\}', rule.expression)}
    assert read == set(LIMITS)
    for name in LIMITS:
        assert f'scalar(threshold:{name}:max), "name", "{name}", "", ""' in joined.expression


def test_no_alert_has_a_limit_of_its_own() -> None:
    """Beside 0 and 1, which say that something is so."""
    for rule in alerts():
        numbers = re.findall(r"[<>=] *(-?\d[\d.]*)", re.sub(r"\{[^}]*\}", "", rule.expression))
        assert set(numbers) <= {"0", "1"}, rule.name


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(names(alerts()))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.title)
def test_per_run_families_are_looked_back_for(rule: Rule) -> None:
    """They leave statsd_exporter after an hour, and the exporter after two."""
    for name in series_read(rule) & PER_RUN:
        every = re.findall(rf"\b{name}\b", rule.expression)
        looked_back = re.findall(rf"last_over_time\({name}(?:\{{[^}}]*\}})?\[\w+\]\)", rule.expression)
        assert len(every) == len(looked_back), f"{rule.name} reads {name} without last_over_time"


ALWAYS_THERE = re.compile(r"up|scrape_\w+|ALERTS")
"""What Prometheus makes itself, for a scrape that fails too."""
OF_THE_MOMENT = {
    ("exporter:ledger_unread:info", "catwalk_store_up"): "says whether what is held has to be held",
    ("exporter:ledger_replaced:info", "catwalk_store_up"): "says until when the former job counts",
    ("exporter:airflow_replaced:info", "catwalk_airflow_component_healthy"): "says until when the former job counts",
    (
        "job:process_start_time_seconds:last",
        "process_start_time_seconds",
    ): "what is counted is looked back for, an hour",
}
"""Rules that may see a gap, and why it does no harm."""


FORMER_LEVELS = {"exporter": "registry", "statsd_exporter": "exporter"}


def former(record: str) -> str:
    """The previous release's name of a record; rules that look back read it too."""
    level, _, rest = record.partition(":")
    return f"{FORMER_LEVELS.get(level, level)}:{rest}"


def bare(rule: Rule) -> set[str]:
    """Series of targets that an expression reads as of this moment: they are gone when a single scrape fails."""
    found = {
        name
        for name in series_read(rule)
        if ":" not in name
        and not ALWAYS_THERE.fullmatch(name)
        and re.search(rf"\b{name}\b(?!\w)(?:\{{[^}}]*\}})?(?!\[|\{{)", rule.expression)
    }
    return {name for name in found if (rule.name, name) not in OF_THE_MOMENT}


_ASKED = ("catwalk_store_up", "catwalk_airflow_component_healthy")
_AWAY = (
    r'(?:up == 0|\(\s*up\{job="exporter"\} == 0'
    r"(?: or catwalk_store_up == 0(?: or exporter:ledger_replaced:info)?"
    r'| or catwalk_airflow_component_healthy\{component="api_server"\} == 0 or exporter:airflow_replaced:info)\s*\))'
)
"""What says that a source is away: no rule that was evaluated earlier, except the one for the job's former name."""


def is_held(rule: Rule, names_: set[str]) -> bool:
    """Whether the rule is that series, or its own last value while the source is away, asked in this same query."""
    name = f"catwalk_{rule.name.removeprefix('exporter:').removesuffix(':held')}"
    value = rf"({rule.name}|\({rule.name} or {former(rule.name)}\))"
    carried = rf"\s*(?:{name}|last_over_time\({name}\[5m\]\))\s+or \({value} and on \(job, instance\) {_AWAY}\)\s*"
    return names_ <= {name, *_ASKED} and bool(re.fullmatch(carried, rule.expression))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.title)
def test_a_lost_scrape_ends_nothing(rule: Rule) -> None:
    """Each series of a target is looked back for, or held by a rule of its own: a gap would read as good news."""
    found = bare(rule)
    assert not found or is_held(rule, found), f"{rule.name} would lose {found} with a single scrape"


def test_exceptions_are_still_needed() -> None:
    for name, series in OF_THE_MOMENT:
        assert any(rule.name == name and series in series_read(rule) for rule in rules())


def test_a_series_that_is_neither_looked_back_for_nor_held_would_be_found() -> None:
    for expression in ("min(catwalk_store_up) == 0", 'catwalk_dag_paused{dag_id="a"} == 1 and rate(airflow_x[5m]) > 0'):
        assert bare(Rule("", "", {"record": "x", "expr": expression})), expression
    for expression in ("min(last_over_time(catwalk_store_up[5m])) == 0", 'rate(catwalk_canary_sent_total{a="b"}[5m])'):
        assert not bare(Rule("", "", {"record": "x", "expr": expression})), expression


def test_a_bare_selector_would_be_found() -> None:
    bare = Rule("model.alerts.yml", "", {"alert": "Bare", "expr": "ml_epoch_loss > 1", "labels": {"severity": "info"}})
    assert series_read(bare) == {"ml_epoch_loss"}
    with pytest.raises(AssertionError):
        test_per_run_families_are_looked_back_for(bare)


def test_every_series_of_ours_is_declared() -> None:
    airflow = [rule.metric for rule in airflow_rules(load_registry()) if rule.metric]
    declared = metric_names([*catalogue.METRICS, *airflow]) | set(names(records()))
    read = {name for rule in rules() for name in series_read(rule)}
    assert {name for name in read if name.startswith(OWN) or ":" in name} <= declared | set(map(former, declared))


COUNTERS = {
    f"statsd_exporter_{counter}_total"
    for counter in (
        "events_unmapped", "events_conflict", "events_error", "sample_errors", "tag_errors", "tcp_connection_errors",
        "tcp_too_long_lines", "udp_packet_drops", "config_reloads",
    )
}  # fmt: skip
"""What statsd_exporter counts of trouble."""


@pytest.fixture
def troubled(tmp_path: Path) -> Iterator[int]:
    """A statsd_exporter that has met all that it counts as trouble; gives its web port."""
    mapping = tmp_path / "mapping.yaml"
    shutil.copy(MAPPING, mapping)
    statsd, web = free_port(), free_port()
    command = [
        str(tool("statsd_exporter")), f"--statsd.listen-tcp=127.0.0.1:{statsd}", "--statsd.listen-udp=",
        f"--web.listen-address=127.0.0.1:{web}", f"--statsd.mapping-config={mapping}", "--web.enable-lifecycle",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: scraped(web))
            with socket.create_connection(("127.0.0.1", statsd)) as connection:
                connection.sendall(b"clash:1|c\nclash:1|g\nodd:x1|c\nodd:-1|c\nodd,a=:1|c\n" + b"x" * 5_000 + b"\n")
            mapping.write_text("mappings: 7")
            # It answers before it heeds SIGHUP, which would end it until then.
            reload = urllib.request.Request(f"http://127.0.0.1:{web}/-/reload", method="PUT")
            with suppress(urllib.error.HTTPError):  # it says that it can't read it
                urllib.request.urlopen(reload, timeout=30)
            yield web
        finally:
            process.terminate()


@pytest.mark.integration
def test_every_other_series_is_in_the_real_output_of_a_server(services: RunningStack, troubled: int) -> None:
    read = {name for rule in rules() for name in series_read(rule) if not name.startswith(OWN) and ":" not in name}
    counted = {name for name in read if name.startswith("statsd_exporter_")} | COUNTERS
    # What happens seldom is exported only once it has.
    wait_until(
        lambda: counted <= scraped(troubled).keys(),
        f"{counted} at statsd_exporter",
    )
    failure = 'statsd_exporter_config_reloads_total{outcome="failure"}'
    wait_until(lambda: failure in scraped(troubled).values(), "the mapping that it can't read")
    counters = next(rule for rule in rules() if rule.name == "statsd_exporter:events:count").expression
    pattern = re.search(r'__name__=~"([^"]+)"', counters)
    assert pattern
    assert {name for name in scraped(troubled) if re.fullmatch(pattern[1], name)} == COUNTERS
    for name in sorted(read - counted):
        wait_until(lambda name=name: services.query(name), name)


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule.title)
def test_what_waits_for_ten_minutes_has_no_label_that_is_looked_up(rule: Rule) -> None:
    """An older Prometheus restores such waiting at a restart by the labels as the rule has them."""
    number, unit = int(rule.body.get("for", "0s")[:-1]), rule.body.get("for", "0s")[-1]
    if number * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[unit] >= 600:
        assert not [name for name, text in rule.body["labels"].items() if "{{" in text]


def test_whose_a_model_is_is_recorded_together_with_its_latest_run() -> None:
    """Groups are evaluated at different moments. A run may name a new owner: recorded apart, an alert on it could go to
    the former owner until the next evaluation."""
    latest, owner = "model:latest_run_started_timestamp_seconds:max", "exporter:model_info:held"
    assert [rule for rule in alerts() if latest in rule.uses and owner in rule.body["labels"]["owner"]]
    assert len({rule.group for rule in rules() if rule.name in (latest, owner)}) == 1

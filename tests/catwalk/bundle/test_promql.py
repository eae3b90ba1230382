"""Expressions as they run in a Prometheus that also has other series."""

from __future__ import annotations

import promql_parser
import pytest

from catwalk.bundle.promql import Scope, rewritten, without_labels

JOBS = {"exporter": "cw-exporter", "statsd_exporter": "statsd_exporter"}
BLUE = Scope({"cluster": "blue"}, JOBS, {"run:loss:last", "job:up:min", "threshold:baseline_runs:min"})


def same(found: str | None, wanted: str) -> bool:
    return found is not None and promql_parser.parse(found).prettify() == promql_parser.parse(wanted).prettify()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("catwalk_store_up", 'catwalk_store_up{cluster="blue",job=~"cw-exporter|statsd_exporter"}'),
        ('up{job="exporter"} == 0', 'up{cluster="blue",job="cw-exporter"} == 0'),
        ("catwalk_server_model_refused", 'catwalk_server_model_refused{cluster="blue"}'),
        ("max(run:loss:last)", 'max by (cluster) (run:loss:last{cluster="blue"})'),
        ("a:b:c or run:loss:last", 'run:loss:last{cluster="blue"}'),
        (
            "run:loss:last - on (run_id) group_left () run:loss:last",
            'run:loss:last{cluster="blue"} - on (run_id, cluster) group_left () run:loss:last{cluster="blue"}',
        ),
        (
            'run:loss:last and on (x) label_replace(vector(1), "x", "$1", "", "")',
            'run:loss:last{cluster="blue"} and on (x, cluster) '
            'label_replace(label_replace(vector(1), "cluster", "blue", "", ""), "x", "$1", "", "")',
        ),
        ("sum without (job) (run:loss:last)", 'sum without (job) (run:loss:last{cluster="blue"})'),
        (
            "topk by (run_id) (1, max_over_time(run:loss:last[5m:1m] offset -1m))",
            'topk by (run_id, cluster) (1, max_over_time(run:loss:last{cluster="blue"}[5m:1m] offset -1m))',
        ),
        (
            'ALERTS{alertname="ChampionMissing"}',
            'ALERTS{alertname="ChampionMissing",cluster="blue",stack="catwalk"}',
        ),
        (
            'ALERTS{area="model"} * ignoring (alertstate) group_left () ALERTS_FOR_STATE{area="model"}',
            'ALERTS{area="model",cluster="blue",stack="catwalk"} * ignoring (alertstate) group_left () '
            'ALERTS_FOR_STATE{area="model",cluster="blue",stack="catwalk"}',
        ),
        ('max(ALERTS{alertname="Watchdog"})', 'max by (cluster) (threshold:baseline_runs:min{cluster="blue"})'),
    ],
)
def test_it_reads_ours_alone_and_keeps_the_labels_that_identify_them(given: str, wanted: str) -> None:
    assert same(rewritten(given, BLUE), wanted), rewritten(given, BLUE)


@pytest.mark.parametrize(
    "expression",
    [
        "rate(prometheus_rule_evaluation_failures_total[5m])",
        'up{job="alertmanager"} == 0 or absent(up{job="prometheus"})',
        'job:up:min{job!~"exporter|statsd_exporter|courier|registry"} == 0',
        'absent(up{job="courier"} == 1)',
        'sum(run:loss:last{counter="alertmanager_notifications_total"})',
        'sum(run:loss:last{counter="catwalk_courier_stored_total"})',
        'run:loss:last and up{job="registry"}',
        'up{job="registry"} unless run:loss:last',
    ],
)
def test_nothing_is_left_of_an_expression_about_servers_that_are_not_ours(expression: str) -> None:
    assert rewritten(expression, BLUE) is None


def test_what_is_left_of_an_alternative_or_an_exception_is_the_rest() -> None:
    whole = 'absent(up{job="exporter"}) unless on () up{job="registry"} or absent(up{job="courier"})'
    assert same(rewritten(whole, BLUE), 'absent(up{cluster="blue",job="cw-exporter"})')


def test_an_evaluation_time_does_not_become_a_sample_time() -> None:
    found = rewritten("timestamp(run:loss:last or a:b:c)", BLUE)
    assert same(found, 'timestamp((run:loss:last{cluster="blue"}) + 0)')


@pytest.mark.parametrize("window", ["$__interval", "$__rate_interval", "$__range"])
def test_grafana_windows_stay(window: str) -> None:
    found = rewritten(f"max_over_time(run:loss:last[{window}] offset -{window})", BLUE)
    assert found == f'max_over_time(run:loss:last{{cluster="blue"}}[{window}] offset -{window})'


def test_dashboards_show_no_label_that_the_guest_has_added() -> None:
    assert without_labels("run:loss:last", ["a", "b"]) == (
        'label_replace(label_replace(run:loss:last, "a", "", "", ""), "b", "", "", "")'
    )
    assert without_labels("time() - 1", ["a"]) == "time() - 1"


def test_texts_keep_their_escapes() -> None:
    assert rewritten(r'run:loss:last{a="\"b\\d"}', BLUE) == r'run:loss:last{a="\"b\\d", cluster="blue"}'


def test_a_variable_that_is_a_number_stays() -> None:
    found = rewritten("topk($newest, run:loss:last)", BLUE)
    assert found == 'topk by (cluster) ($newest, run:loss:last{cluster="blue"})'

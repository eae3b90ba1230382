"""Home: the state of everything at a glance, for anyone."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, table

from grafana import board, words
from grafana.panels import (
    SERVICE_LINK,
    WRAPPED,
    About,
    by_run,
    joined,
    lamps,
    link,
    listing,
    mapped,
    panel_link,
    percent,
    query,
    run_columns,
    tile,
)
from grafana.panels import words as mapping
from grafana.queries import (
    REMEMBERED,
    far_off,
    for_each_run,
    headline_in_service,
    headline_of_test,
    in_service,
    known,
    of_part,
    outcome,
    series,
    service_state,
    with_name,
)
from grafana.sources import SERVERS, sources
from grafana.transformations import Column

_MODEL = 'model="$model"'


def attention(area: str, *jobs: str) -> str:
    """2 while a critical alert is firing, 3 while the data that alerts need is missing, 1 while a warning is firing.

    Otherwise 0, but only while rules are evaluated, as the Watchdog shows.
    """
    firing = f'ALERTS{{alertstate="firing", area="{area}"'
    blind = [f"absent(up{{{of_part('job', job)}}} == 1)" for job in jobs]
    if area != "telemetry":
        blind.append("catwalk_store_up == 0")  # the exporter's data is old then
    if area == "pipeline":
        blind.append('catwalk_airflow_component_healthy{component="api_server"} == 0')
    return (
        f'2 * max({firing}, severity="critical"}}) or 3 * (count({" or ".join(blind)}) > bool 0)'
        f' or max({firing}, severity="warning"}}) or 0 * max(ALERTS{{alertname="Watchdog", alertstate="firing"}})'
    )


def ranked(expr: str) -> str:
    """The same with the label `rank`, by which a table has the most severe alerts first."""
    for rank, (severity, _) in words.SEVERITIES.items():
        expr = f'label_replace({expr}, "rank", "{rank}", "severity", "{severity}")'
    return expr


ACCURACY_IN_SERVICE = f"max({in_service('catwalk_model_accuracy_ratio')})"
LAST_STATE = f"topk(1, max by (state) (exporter:last_run_started_timestamp_seconds:held{{{_MODEL}}}))"
SERVICE = f'{service_state(_MODEL)} or on () 6 * max(ALERTS{{alertname="Watchdog", alertstate="firing"}})'
SINCE_SUCCESS = f"time() - max(last_over_time(catwalk_last_success_timestamp_seconds{{{_MODEL}}}[{REMEMBERED}]))"
_LISTED = 'severity=~"critical|warning|info", area!=""'
_SINCE = (  # a Prometheus that has just started may not know it
    f"ALERTS{{{_LISTED}}} * ignoring (alertstate) group_left () ALERTS_FOR_STATE{{{_LISTED}}}"
    f" or ALERTS{{{_LISTED}}} * (0 / 0)"
)
FIRING = f"1000 * max by (rank, alertname, model, alertstate) ({ranked(_SINCE)})"
_RECENT = f'{_MODEL}, run_id=~"$recent"'
RUN_ACCURACY = f"max by (run_id) (last_over_time(ml_test_accuracy_ratio{{{_RECENT}}}[$__range]))"
RUN_STATE = f"max by (run_id, state) (last_over_time(catwalk_run_state{{{_RECENT}}}[$__range]) == 1)"
RUN_DECISION = outcome(
    f"max by (run_id, decision, reason) (last_over_time(catwalk_decision_info{{{_RECENT}}}[$__range]))"
)
RUN_STARTED = f"1000 * max by (run_id) (last_over_time(catwalk_run_started_timestamp_seconds{{{_RECENT}}}[$__range]))"
RUN_HEADLINE = headline_of_test(_RECENT)
_CHAMPION = for_each_run(in_service("catwalk_model_accuracy_ratio"), RUN_ACCURACY)
TESTS = series(test_accuracy=RUN_ACCURACY, champion=_CHAMPION, headline_of_the_test=RUN_HEADLINE)
PLACES = f"max by (name, url) ({known('catwalk_links_info')})"

_MEASURED = ("exporter", "statsd_exporter")
"""All data about runs comes from these two."""
_NOT_KNOWN = "no part is known; the exporter may not have been scraped."


_TEST = "Champion"


def _status() -> stat.Panel:
    about = About(
        "Status",
        "Is anything wrong? The most severe alert of each area decides. No data: a server isn't scraped, the exporter "
        "can't read the ledger, or Airflow doesn't answer. Service: the selected model's, by its alerts and replicas.",
        "no alert rule is evaluated.",
        "none",
        12,
        4,
    )
    areas = {"model": _MEASURED, "pipeline": _MEASURED, "telemetry": SERVERS}
    lit = [
        (query(attention(area, *jobs), ref, area.capitalize(), now=True), mapping(words.ATTENTION))
        for ref, (area, jobs) in zip("ABC", areas.items(), strict=True)
    ]
    service = (query(SERVICE, "D", "Service", now=True), mapping(words.SERVICE))
    return lamps(about, [*lit, service]).links([panel_link("Model in service", SERVICE_LINK)])


def _alerts() -> table.Panel:
    about = About(
        "Firing alerts",
        "Which alerts are firing or pending, and since when? Status shows whether rules are evaluated at all.",
        "no alert is firing or pending.",
        "none",
        12,
        8,
    )
    runbook = link("Runbook", "${courier}/runbooks/${__value.raw}", elsewhere=True)
    columns = [
        Column("rank", "Severity", {**mapped(words.SEVERITIES), "custom.width": 72}),
        Column("alertname", "Alert", {"links": [runbook], "custom.width": 215}),
        Column("model", "Model", {"custom.minWidth": 64, "custom.cellOptions": WRAPPED}),
        Column("Value", "Since", {"unit": "dateTimeFromNow", "custom.width": 110, "custom.align": "left"}),
        Column("alertstate", "State", {"custom.width": 67}),
    ]
    return listing(about, query(FIRING, table=True), columns)


def _decisions() -> table.Panel:
    about = About(
        "Last decisions",
        "How did the last ten runs end, and what did the gate decide? Of a sweep, only the trial that was tested.",
        "no run is known in this range.",
        "none",
        16,
        12,
    )
    queries = [RUN_STARTED, RUN_DECISION, RUN_ACCURACY, RUN_STATE, RUN_HEADLINE]
    columns = [
        *run_columns(),
        Column("state", "State", {**mapped(words.STATES), "custom.width": 85}),
        Column("Value #C", "Accuracy", {**percent(), "custom.width": 78}),
        Column("Value #E", "Headline", {"decimals": 4, "custom.width": 78}),
        Column("outcome", "Decision", {**mapped(words.OUTCOMES), "custom.minWidth": 250}),
        Column("Value #A", "Started", {"unit": "dateTimeFromNow", "custom.width": 140}),
    ]
    named = [with_name(queries[0]), *queries[1:]]
    targets = [query(expr, ref, table=True) for ref, expr in zip("ABCDE", named, strict=True)]
    return joined(about, "run_id", targets, columns, falling=True)


DASHBOARD = board.board(
    "catwalk-home",
    "Catwalk: home",
    "Is anything wrong? Is the model in service good, did the last retraining succeed, and is the telemetry complete?",
    [board.model(), board.recent(10), board.place("exporter"), board.place("courier")],
    [board.promotions(), board.firing()],
    [
        _status(),
        _alerts(),
        tile(
            About(
                _TEST,
                "How often is the version in service right on the test examples, or what is its headline?",
                "no version in service is known.",
                "percentunit",
                4,
                4,
                2,
            ),
            query(ACCURACY_IN_SERVICE, legend="accuracy", now=True),
            query(headline_in_service(), "B", "{{metric}}", now=True),
            named=True,
            plain="B",
        ),
        tile(
            About(
                "Last run",
                "What is the state of the last scheduled or manual run or, if there is none, of any last run?",
                "no run is known.",
                "none",
                4,
                4,
            ),
            query(LAST_STATE, table=True),
            show="state",
            mappings=mapping(words.STATES),
        ),
        tile(
            About(
                "Since success",
                "How long ago did a run last succeed? The schedule says what is normal.",
                "no run that succeeded is known.",
                "s",
                4,
                4,
                1,
            ),
            query(SINCE_SUCCESS, now=True),
        ),
        by_run(
            About(
                "Tests of the last runs",
                "Do new models keep up with the one in service? Accuracy or the model's headline, one dot a run.",
                "no tested run is known in this range.",
                "percentunit",
                8,
                12,
                2,
            ),
            TESTS,
            axis=far_off(RUN_ACCURACY, beside=ACCURACY_IN_SERVICE),
            units={"headline of the test": "none"},
        ),
        _decisions(),
        sources(*SERVERS, width=8, height=9),
        listing(
            About("Links", "Where are the pages of each part of the stack?", _NOT_KNOWN, "none", 16, 9),
            query(PLACES, table=True),
            [
                Column("name", "Part", {"custom.width": 150}),
                Column("url", "Address", {"links": [link("Open", "${__value.raw}", elsewhere=True)]}),
            ],
        ),
    ],
    {},
)
"""The dashboard as JSON."""

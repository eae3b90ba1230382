"""Home: one look, for anyone."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat

from grafana import board, words
from grafana.panels import (
    SERVICE_LINK,
    About,
    dots,
    joined,
    link,
    listing,
    mapped,
    panel_link,
    percent,
    query,
    run_links,
    tile,
)
from grafana.panels import words as mapping
from grafana.queries import (
    REMEMBERED,
    headline_in_service,
    headline_of_test,
    in_service,
    known,
    of_part,
    outcome,
    service_state,
    started,
)
from grafana.sources import SERVERS, sources
from grafana.transformations import Column

_MODEL = 'model="$model"'


def attention(area: str, *jobs: str) -> str:
    """2 while a critical alert fires, 3 while what alerts stand on is not measured, 1 while a warning fires.

    Else 0, but only while rules are evaluated, as the Watchdog shows.
    """
    firing = f'ALERTS{{alertstate="firing", area="{area}"'
    blind = [f"absent(up{{{of_part('job', job)}}} == 1)" for job in jobs]
    if area != "telemetry":
        blind.append("catwalk_store_up == 0")  # what the exporter says is old then
    if area == "pipeline":
        blind.append('catwalk_airflow_component_healthy{component="api_server"} == 0')
    return (
        f'2 * max({firing}, severity="critical"}}) or 3 * (count({" or ".join(blind)}) > bool 0)'
        f' or max({firing}, severity="warning"}}) or 0 * max(ALERTS{{alertname="Watchdog", alertstate="firing"}})'
    )


ACCURACY_IN_SERVICE = f"max({in_service('catwalk_model_accuracy_ratio')})"
LAST_STATE = f"topk(1, max by (state) (exporter:last_run_started_timestamp_seconds:held{{{_MODEL}}}))"
SERVICE = f'{service_state(_MODEL)} or on () 6 * max(ALERTS{{alertname="Watchdog", alertstate="firing"}})'
SINCE_SUCCESS = f"time() - max(last_over_time(catwalk_last_success_timestamp_seconds{{{_MODEL}}}[{REMEMBERED}]))"
FIRING = 'max by (alertname, alertstate, severity, area, model) (ALERTS{severity=~"critical|warning|info", area!=""})'
_RECENT = f'{_MODEL}, run_id=~"$recent"'
RUN_ACCURACY = f"max by (run_id) (last_over_time(ml_test_accuracy_ratio{{{_RECENT}}}[$__range]))"
RUN_STATE = f"max by (run_id, state) (last_over_time(catwalk_run_state{{{_RECENT}}}[$__range]) == 1)"
RUN_DECISION = outcome(
    f"max by (run_id, decision, reason) (last_over_time(catwalk_decision_info{{{_RECENT}}}[$__range]))"
)
RUN_STARTED = f"1000 * max by (run_id) (last_over_time(catwalk_run_started_timestamp_seconds{{{_RECENT}}}[$__range]))"
RUN_HEADLINE = headline_of_test(_RECENT)
CHAMPION = f"0 * {RUN_ACCURACY} + on () group_left () {ACCURACY_IN_SERVICE}"
PLACES = f"max by (name, url) ({known('catwalk_links_info')})"

_MEASURED = ("exporter", "statsd_exporter")
"""What is said of runs comes from these two."""
_NOT_KNOWN = "nothing is known; the exporter may not have been scraped."


def _lamp(area: str, question: str, *jobs: str) -> stat.Panel:
    about = About(area.capitalize(), question, "no alert rule is evaluated.", "none", 3, 4)
    return tile(about, query(attention(area, *jobs), now=True), mappings=mapping(words.ATTENTION))


DASHBOARD = board.board(
    "catwalk-home",
    "Catwalk: home",
    "Is the service model fine, did the last retraining run, is the telemetry whole, what is firing?",
    [board.model(), board.recent(10), board.place("exporter"), board.place("courier")],
    [board.promotions(), board.firing()],
    [
        _lamp(
            "model",
            "Does an alert about the models fire? The gravest one decides. No data: a source is not scraped, or the "
            "exporter can't read the ledger.",
            *_MEASURED,
        ),
        _lamp(
            "pipeline",
            "Does an alert about the retraining pipeline fire? The gravest one decides. No data: a source is not "
            "scraped, the exporter can't read the ledger, or Airflow does not answer it.",
            *_MEASURED,
        ),
        _lamp(
            "telemetry",
            "Does an alert about the measurements themselves fire? No data: a server is not scraped.",
            *SERVERS,
        ),
        tile(
            About(
                "Service",
                "How does the model's service stand, by its alerts that fire and its replicas that are scraped? Not "
                "scraped: none is, and one was in the last week.",
                "no replica is scraped, and no alert rule is evaluated.",
                "none",
                3,
                4,
            ),
            query(SERVICE, now=True),
            mappings=mapping(words.SERVICE),
        ).links([panel_link("In use", SERVICE_LINK)]),
        tile(
            About(
                "Champion's test",
                "How often is the version in service right on the test examples, or how good is it by the metric "
                "that it is judged by?",
                "not known.",
                "percentunit",
                4,
                4,
                2,
            ),
            query(ACCURACY_IN_SERVICE, legend="accuracy", now=True),
            query(headline_in_service(), "B", "{{metric}}", now=True),
            named=True,
            plain="B",
        ).links([panel_link("In use", SERVICE_LINK)]),
        tile(
            About(
                "Last run",
                "How does the last scheduled or manual run stand, as the exporter said last, or if there is none the "
                "last one of any?",
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
                "Last good run",
                "How long ago did a run last finish well? The schedule says what is normal.",
                "no run that ended well is known.",
                "s",
                4,
                4,
                0,
            ),
            query(SINCE_SUCCESS, now=True),
        ),
        sources(*SERVERS),
        dots(
            About(
                "Tests of the last runs",
                "Do new models keep up with the one in service? Accuracy, or the metric that the model is judged by. "
                "One dot a run; purple marks are promotions.",
                "no tested run is known in this range.",
                "percentunit",
                12,
                9,
                2,
            ),
            [
                query(started(RUN_STARTED, f"({RUN_ACCURACY} or {RUN_HEADLINE})"), "A", table=True),
                query(RUN_ACCURACY, "B", table=True),
                query(CHAMPION, "C", table=True),
                query(RUN_HEADLINE, "D", table=True),
            ],
            [
                Column("Value #A", "Started"),
                Column("Value #B", "test accuracy"),
                Column("Value #C", "champion"),
                Column("Value #D", "headline of the test", {"unit": "none", "decimals": 4}),
            ],
            "Started",
        ),
        listing(
            About(
                "What is firing",
                "Which alerts fire now or are pending, and how grave are they? The lamps tell if no rule is evaluated.",
                "no alert fires or is pending.",
                "none",
                12,
                9,
            ),
            query(FIRING, table=True),
            [
                Column("severity", "Severity", {**mapped(words.SEVERITIES), "custom.width": 150}),
                Column(
                    "alertname",
                    "Alert",
                    {
                        "links": [link("Runbook", "${courier}/runbooks/${__value.raw}", elsewhere=True)],
                        "custom.minWidth": 230,
                    },
                ),
                Column("alertstate", "State", {"custom.width": 85}),
                Column("area", "Area", {"custom.width": 85}),
                Column("model", "Model", {"custom.width": 110}),
            ],
        ),
        joined(
            About(
                "Last decisions",
                "What became of the last ten runs, and why?",
                "no run is known in this range.",
                "none",
                16,
                10,
            ),
            "run_id",
            [
                query(RUN_STARTED, "A", table=True),
                query(RUN_DECISION, "B", table=True),
                query(RUN_ACCURACY, "C", table=True),
                query(RUN_STATE, "D", table=True),
                query(RUN_HEADLINE, "E", table=True),
            ],
            [
                Column("run_id", "Run", run_links()),
                Column("Value #A", "Started", {"unit": "dateTimeFromNow", "custom.width": 140}),
                Column("state", "State", {**mapped(words.STATES), "custom.width": 95}),
                Column("Value #C", "Accuracy", {**percent(), "custom.width": 85}),
                Column("Value #E", "Headline", {"decimals": 4, "custom.width": 90}),
                Column("outcome", "Decision", {**mapped(words.OUTCOMES), "custom.minWidth": 290}),
            ],
            falling=True,
        ),
        listing(
            About("Elsewhere", "Where do the parts of the stack show themselves?", _NOT_KNOWN, "none", 8, 10),
            query(PLACES, table=True),
            [
                Column("name", "Part", {"custom.width": 120}),
                Column("url", "Address", {"links": [link("Open", "${__value.raw}", elsewhere=True)]}),
            ],
        ),
    ],
    {},
)
"""As JSON."""

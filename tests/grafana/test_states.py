"""What dashboards say in every state of the stack, compared with the truth.

A panel without data shows a sentence. Here, each sentence has the condition under which it is true, and all panels are
queried over several ranges, as Grafana does it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from catwalk.ledger.records.model import ChampionRecord
from catwalk.replay.replay import replay
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from catwalk.telemetry.emitter import observer_from_environment
from grafana.board import all_panels
from grafana.dashboards import DASHBOARDS
from grafana.dashboards.service import DASHBOARD as SERVICE
from stack.ports import free_port
from tests.grafana.asking import step_of
from tests.grafana.measured import SCRAPE_SECONDS, Measured, Prometheus
from tests.grafana.promql import Query, all_queries, other_queries
from tests.support.ledgers import make_run, put_summary, summary
from tests.support.servers import ENVIRONMENT, S3Server, StatsdExporter, s3_server, wait_until

__all__ = ["s3_server"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

MODEL = "mlp-synthetic"
EXPORTER = "http://exporter.example.com"
HOUR, DAY = 3_600, 86_400
RANGES = (HOUR, DAY, 7 * DAY, 30 * DAY)
RUN, OTHER = "20261123T030000Z-00000001", "20261122T030000Z-00000002"
DAG = "fashion_training"
TASK = "airflow.ti.finish,dag_id=%s,task_id=train,state=%s:1|c"
DAG_RUN = "airflow.dagrun.duration.%s,dag_id=%s,run_type=scheduled:60000|ms"


@dataclass(frozen=True)
class Truth:
    """How things are, as the test has made them."""

    since: float
    """Unix time from which on anything was measured."""
    statsd_exporter: bool = True
    exporter: bool = True
    runs_since: float = float("inf")
    """When two runs were there, ended well, and one of them in service."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Title of a panel → how many events it must show."""


@dataclass
class State:
    """What all panels were answered in one state, at one range."""

    name: str
    truth: Truth
    seconds: float
    until: float
    alerts: set[str]
    prometheus: Prometheus
    answers: dict[Query, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name}: {self.seconds / HOUR:g} h, {self.until - self.truth.since:.0f} s after the beginning"

    @property
    def measured(self) -> bool:
        """Whether the range reaches into what was measured."""
        return self.until > self.truth.since

    @property
    def runs(self) -> bool:
        """Whether it knows of runs."""
        return self.until > self.truth.runs_since

    def of(self, dashboard: str, panel: str) -> dict[Query, Any]:
        """A panel's queries and their answers."""
        wanted = (f"catwalk-{dashboard.removeprefix('catwalk-')}", panel)
        return {query: found for query, found in self.answers.items() if (query.dashboard, query.place) == wanted}

    def value(self, dashboard: str, panel: str, ref: str = "") -> float | None:
        """The number of a tile, or of one of its queries."""
        found = [
            series
            for query, answer in self.of(dashboard, panel).items()
            for series in answer
            if not ref or query.ref == ref
        ]
        assert len(found) < 2, found
        return float(found[0]["value"][1]) if found else None

    def labels(self, dashboard: str, panel: str, name: str) -> set[str]:
        """What a label of the panel's series says."""
        return {series["metric"][name] for found in self.of(dashboard, panel).values() for series in found}

    def total(self, dashboard: str, panel: str) -> float:
        """Sum of all bars."""
        every = [series for found in self.of(dashboard, panel).values() for series in found]
        return sum(float(value) for series in every for _, value in series["values"])

    def steps(self, dashboard: str, panel: str) -> list[float]:
        """The instants of a panel's whole steps at which its runs were there already."""
        step = max(step_of(query, self.seconds, SCRAPE_SECONDS) for query in self.of(dashboard, panel))
        last = self.until // step * step
        every = [last - step * number for number in range(int(self.seconds // step) + 1)]
        return [at for at in every if at > self.truth.runs_since + 5 * SCRAPE_SECONDS]

    def exporter_at(self, at: float) -> bool:
        """Whether the exporter was scraped at that time."""
        return bool(self.prometheus.query(f'up{{job="exporter"}} @ {at} == 1'))

    def scrapes(self, at: float) -> float:
        """How many a server had seen by then, of the server that had seen fewest: on a busy machine they come late."""
        return min((count for _, count in self.prometheus.query(f"count_over_time(up[1d] @ {at})")), default=0)

    def last_step(self, dashboard: str, panel: str) -> float:
        """The end of a panel's last whole step."""
        step = max(step_of(query, self.seconds, SCRAPE_SECONDS) for query in self.of(dashboard, panel))
        return self.until // step * step


def is_empty(answers: dict[Query, Any]) -> bool:
    """Whether nothing is shown: the placeholder of a chart has no value."""
    samples = [series.get("values") or [series["value"]] for found in answers.values() for series in found]
    return all(value == "NaN" for points in samples for _, value in points)


@dataclass
class Story:
    """All states."""

    measured: Measured
    states: list[State] = field(default_factory=list)

    def tell(self, name: str, truth: Truth) -> None:
        """Asks every panel, once all of this is in Prometheus: up to now, and up to a day before the beginning."""
        self.measured.settle()
        for seconds, until in [*((seconds, None) for seconds in RANGES), (DAY, truth.since - DAY)]:
            ask = partial(self._asked, name, truth, seconds, until)
            self.states.append(wait_until(ask, f"{name}: no scrape that failed by chance while all panels were asked"))

    def _asked(self, name: str, truth: Truth, seconds: float, until: float | None) -> State | None:
        """What is shown now; None where a scrape has failed meanwhile, as on a busy machine, and so is shown too."""
        prometheus, began = self.measured.prometheus, time.time()
        alerts = prometheus.alerts()  # before the range ends; those that are still there afterwards must be shown
        state = State(name, truth, seconds, until or time.time(), alerts, prometheus)
        known = f"({RUN}|{OTHER})" if state.runs else ""
        run = RUN if state.runs else ""
        variables = {"model": MODEL if known else "", "run": run, "champion": run, "runs": known, "recent": known}
        for query in all_queries():
            chosen = {
                "split": "validation",
                "metric": "accuracy",
                "statistic": "pixel_mean",
                "dag": DAG,
                "newest": "10",
            }
            every = {**variables, **chosen, "dag": DAG, "newest": "10"}
            found = self.measured.ask(query, every, seconds, state.until)
            state.answers[query] = found
        state.alerts &= prometheus.alerts()
        up = {"statsd_exporter": truth.statsd_exporter, "exporter": truth.exporter}
        return state if prometheus.scraped(began, but=[job for job, answers in up.items() if not answers]) else None

    def up_to_now(self, name: str) -> list[State]:
        """The states of this name, at each range that ends now."""
        return [state for state in self.states if state.name == name and state.measured]


# --- What happens -----------------------------------------------------------------------------------------------------
def put_runs(measured: Measured, store: Store) -> None:
    """Two runs with all their points that ended well and differ in a number and two texts; the newer is in service."""
    ended = time.time() - 600
    for run_id, changes in ((OTHER, {"epochs": 3}), (RUN, {"epochs": 4, "hidden": [16], "device": "cpu"})):
        run = make_run(store, run_id, ended, int(changes["epochs"]))
        known = summary(run_id, model=MODEL, updated=ended, finished=ended)
        put_summary(store, replace(known, parameters={**known.parameters, **changes}))
        with pytest.MonkeyPatch.context() as patch:  # or it asks a stack that this machine's owner may be running
            patch.setenv("CATWALK_PROMETHEUS_URL", measured.prometheus.url)
            replay(run, observer_from_environment(), None, time.time())
    champion = ChampionRecord(MODEL, RUN, "5" * 64, ended, OTHER, RUN, "test", "better")
    store.put_record(f"champions/{MODEL}.json", champion)


def fail_tasks(measured: Measured) -> None:
    """Three tasks of ours fail, one of others, and statsd_exporter starts again in between: what it counted is gone."""
    measured.send(*[TASK % (DAG, "failed")] * 2, TASK % (DAG, "success"), TASK % ("of_others", "failed"))
    measured.send(DAG_RUN % ("failed", DAG), DAG_RUN % ("success", "of_others"))
    measured.settle()
    measured.statsd_exporter.stop()
    measured.settle()
    measured.statsd_exporter.start()
    measured.settle()
    measured.send(TASK % (DAG, "failed"), "no.such.name:1|c")


@pytest.fixture(scope="module")
def story(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """From a stack that has just begun to servers that fall silent, one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL_S3": s3_server.url}.items():
            patch.setenv(name, value)
        for name in ("CATWALK_AIRFLOW_URL", "CATWALK_DEBUG"):
            patch.delenv(name, raising=False)
        statsd_exporter = StatsdExporter()
        patch.setenv("CATWALK_STATSD", f"127.0.0.1:{statsd_exporter.port}")
        patch.setenv("CATWALK_EXPORTER_URL", EXPORTER)
        patch.setenv("CATWALK_STORE", f"s3://{s3_server.bucket()}/runs")
        measured = Measured(tmp_path_factory.mktemp("measured"), statsd_exporter)
        try:
            yield lived(Story(measured))
        finally:
            measured.stop()


def lived(story: Story) -> Story:
    """Makes the story happen, and queries all panels at each stage."""
    measured, truth = story.measured, Truth(time.time() - 1)
    story.tell("fresh", truth)
    measured.statsd_exporter.stop()
    story.tell("fresh, statsd_exporter down", replace(truth, statsd_exporter=False))
    measured.statsd_exporter.start()
    measured.settle()
    measured.exporter.stop()  # it would show runs of which only the half is written
    put_runs(measured, open_store())
    measured.exporter.start()
    wait_until(lambda: measured.prometheus.query("catwalk_champion_info"), "the champion")
    wait_until(lambda: len(measured.prometheus.query("run:points_missing:count == 0")) == 2, "every point has arrived")
    fail_tasks(measured)
    measured.settle()
    truth = replace(truth, runs_since=time.time(), counts=COUNTS)
    story.tell("well", truth)
    measured.exporter.stop()
    story.tell("exporter down", replace(truth, exporter=False))
    measured.exporter.start()
    measured.statsd_exporter.stop()
    story.tell("statsd_exporter down", replace(truth, statsd_exporter=False))
    measured.statsd_exporter.start()
    story.tell("well again", truth)
    measured.exporter.stop()
    measured.exporter.start(CATWALK_AIRFLOW_URL=f"http://127.0.0.1:{free_port()}")
    healthy = 'catwalk_airflow_component_healthy{component="api_server"}'
    wait_until(lambda: measured.prometheus.query(f"{healthy} == 0"), "the exporter finds no Airflow")
    story.tell("Airflow down", truth)
    return story


# --- What is true -----------------------------------------------------------------------------------------------------
COUNTS = {"Failed tasks": 3, "Tasks": 4, "DAG runs": 1, "Duration of DAG runs": 60, "StatsD losses": 1}
NOT_SENT = {"Gate checks", "Gap to the champion", "Heartbeats"}
"""Panels about things that these runs, and this Airflow, don't have."""
FEW_SCRAPES = 6
"""With fewer, there may be no rate, and no value of a rule that records it."""
Condition = Callable[[State, str, str], bool]
"""Decides by a state, a dashboard and a panel's title."""


def before(state: State, dashboard: str, panel: str) -> bool:
    """Nothing was measured in the range."""
    return not state.measured


def no_run(state: State, dashboard: str, panel: str) -> bool:
    """There is no run, or none that got that far."""
    return not state.runs or panel in NOT_SENT


def between_steps(state: State, dashboard: str, panel: str) -> bool:
    """No run was known at a step of the panel at which the exporter was scraped."""
    return no_run(state, dashboard, panel) or not any(map(state.exporter_at, state.steps(dashboard, panel)))


def not_counted(state: State, dashboard: str, panel: str) -> bool:
    """No such event has happened."""
    return not state.measured or not state.truth.counts.get(panel)


def too_soon(state: State, dashboard: str, panel: str) -> bool:
    """The data came after the last whole step, or so shortly before it that there is no rate."""
    return (
        panel in NOT_SENT
        or state.name == "fresh, statsd_exporter down"
        or state.scrapes(state.last_step(dashboard, panel)) < FEW_SCRAPES
    )


def this_minute(state: State, dashboard: str, panel: str) -> bool:
    """The measurement began less than a minute and some seconds ago."""
    return state.until < state.truth.since + 60 + 10 * SCRAPE_SECONDS


def unread(state: State, dashboard: str, panel: str) -> bool:
    """No ledger was read until some seconds ago, which rules may need on a busy machine."""
    return not state.prometheus.query(f"catwalk_store_up @ {state.until - 10 * SCRAPE_SECONDS} == 1")


def always(state: State, dashboard: str, panel: str) -> bool:
    """There is no Airflow, no Alertmanager and no check of the gate here, and no rule fails."""
    return True


def messages_about_services() -> set[str]:
    """Returns the messages of empty panels on *Service*, except the one that knows champions."""
    panels = {panel["title"]: panel for panel in all_panels(SERVICE) if panel["type"] != "row"}
    return {panel["fieldConfig"]["defaults"]["noValue"] for title, panel in panels.items() if title != "Versions"}


TRUE: Mapping[str, Condition] = {
    "No alert rule is evaluated.": before,
    "Not known: no ledger, or no rules.": unread,
    "No model is known.": no_run,
    "No version in service is known.": no_run,
    "No run is known.": no_run,
    "No run that succeeded is known.": no_run,
    "Prometheus scrapes none of these servers.": before,
    "No alert is firing or pending.": lambda state, *_: not state.measured or not state.alerts,
    "No run is known in this range.": no_run,
    "No part is known; the exporter may not have been scraped.": before,
    "No data of these runs is known.": no_run,
    "No difference between the selected runs is known.": no_run,
    "This run is not known.": no_run,
    "No decision about this run is known.": no_run,
    "No value is known: the run hasn't come that far, or its points are lost.": no_run,
    "No decision is known.": no_run,
    "No test with this value is known in this range.": no_run,
    "No class of a tested run is known in this range.": no_run,
    "No such value of a version in service is known.": no_run,
    "No test accuracy is known.": no_run,
    "No class of an epoch is known.": no_run,
    "No comparison with a champion is known.": no_run,
    "No tested run is known in this range.": no_run,
    "No tested version is known.": no_run,
    "No version with statistics of its data is known.": no_run,
    "No version in this range has this statistic.": no_run,
    "No latest run and champion with the same statistics are known at a step of this range.": between_steps,
    "No tested run in this range has this metric.": no_run,
    "No epoch of them has this metric.": no_run,
    "No test of the selected runs in this range has this metric.": no_run,
    "No accuracy of these runs is known.": no_run,
    "No classes of the selected runs are known in this range: the model may have none.": no_run,
    "No accuracy of this run's epochs is known; select another metric above.": no_run,
    "No epoch has this metric, or its points are lost.": no_run,
    "No metric is known: the run hasn't come that far, or its points are lost.": no_run,
    "No classes are known: the model has none, the run hasn't come that far, or points are lost.": no_run,
    "No decision is known in this range.": no_run,
    "Not known: statsd_exporter wasn't scraped all the time.": (
        lambda state, *_: not state.measured or not state.truth.statsd_exporter
    ),
    "None was counted in this range. Nothing is counted while statsd_exporter isn't scraped.": not_counted,
    "No stage of a run of this model is known in this range.": no_run,
    "No component is known up to a minute ago: the exporter watches no Airflow, or wasn't scraped.": always,
    "No value is known in this range, up to a minute ago.": this_minute,
    "No value is known in this range.": too_soon,
    "No value is known in this range. Airflow sends it to statsd_exporter.": always,
    "No run of the last day with counted points is known.": no_run,
    "Prometheus scrapes nothing.": before,
    "Not known: fewer than two scrapes in the last hour.": (
        lambda state, *_: not state.measured or state.name.startswith("fresh")
    ),
    "None was counted in this range. Nothing is counted while the courier or Alertmanager isn't scraped.": always,
    "No server was scraped in this range, up to a minute ago.": this_minute,
    "No replica is scraped, and no champion is known.": no_run,
    **dict.fromkeys(messages_about_services(), always),  # there is none here; test_service.py has some
    "None was counted in this range. Nothing is counted while Prometheus isn't scraped.": always,
}
"""The message of empty panels → the condition under which it is true."""


def test_what_a_panel_without_data_says_is_true_in_every_state(story: Story) -> None:
    lies = []
    for dashboard in DASHBOARDS:
        for panel in [panel for panel in all_panels(dashboard) if panel["type"] != "row"]:
            said, title = panel["fieldConfig"]["defaults"]["noValue"], panel["title"]
            for state in story.states:
                empty = is_empty(state.of(dashboard["uid"], title))
                if empty and not TRUE[said](state, dashboard["uid"], title):
                    lies.append(f"{dashboard['uid']}, {title} ({state}): {said}")
    assert not lies, "\n".join(lies)


@pytest.mark.parametrize("name", ["well", "exporter down", "statsd_exporter down", "well again"])
def test_every_event_is_shown_once_at_every_range(story: Story, name: str) -> None:
    """One process counted two of them, the next one the third; the last step has only just begun."""
    for state in story.up_to_now(name):
        for panel, dashboard in (("Failed tasks", "pipeline"), ("Tasks", "pipeline"), ("DAG runs", "pipeline")):
            assert state.total(dashboard, panel) == COUNTS[panel], f"{panel}: {state}"
        assert state.total("telemetry", "StatsD losses") == COUNTS["StatsD losses"], str(state)
        assert state.total("pipeline", "Duration of DAG runs") == COUNTS["Duration of DAG runs"], str(state)
        assert state.value("pipeline", "Failed tasks in 24 h") == 3
        assert state.value("pipeline", "Failed DAG runs in 24 h") == 1


def test_zero_failures_are_claimed_only_while_failures_would_be_seen(story: Story) -> None:
    for tile in ("Failed tasks in 24 h", "Failed DAG runs in 24 h"):
        assert [state.value("pipeline", tile) for state in story.up_to_now("fresh")] == [0] * len(RANGES)
        assert [state.value("pipeline", tile) for state in story.up_to_now("fresh, statsd_exporter down")] == [
            None
        ] * len(RANGES)


AREAS = "ABC"
"""Model, pipeline and telemetry in Status."""


@pytest.mark.parametrize("down", ["exporter", "statsd_exporter"])
def test_status_changes_at_the_first_failed_scrape_and_facts_stay(story: Story, down: str) -> None:
    for state in story.up_to_now(f"{down} down"):
        assert [state.value("home", "Status", area) for area in AREAS] == [3, 3, 3], "no data, before any alert"
        assert state.value("home", "Champion") == 0.901
        assert state.labels("home", "Last run", "state") == {"succeeded"}
        assert 0 < (state.value("home", "Since success") or 0) < HOUR
        assert state.labels("home", "Links", "url") == {EXPORTER}
        assert state.labels("run", "exporter", "url") == {EXPORTER}, "where links to pages lead"
        assert state.labels("run", "champion", "run_id") == {RUN}, "what curves are compared with"
        [ages] = state.of("home", "Sources").values()
        away = {series["metric"]["job"] for series in ages if float(series["value"][1]) > 0}
        assert away == {"statsd_exporter" if down == "statsd_exporter" else down}
        assert all(float(series["value"][1]) < HOUR for series in ages), "for seconds, not since 1970"


def test_the_pipeline_has_no_data_while_airflow_does_not_answer(story: Story) -> None:
    for state in story.up_to_now("Airflow down"):
        assert [state.value("home", "Status", area) == 3 for area in AREAS] == [False, True, False]


@pytest.mark.parametrize("name", ["fresh", "well", "well again"])
def test_status_is_quiet_while_all_is_scraped(story: Story, name: str) -> None:
    for state in story.up_to_now(name):
        assert all(state.value("home", "Status", area) != 3 for area in AREAS), str(state)
        [ages] = state.of("telemetry", "Sources").values()
        assert {float(series["value"][1]) for series in ages} == {0}


def test_parameters_that_differ_are_numbers_and_texts(story: Story) -> None:
    for state in story.up_to_now("well"):
        [differ] = state.of("runs", "Parameters that differ").values()
        shown = {(each["metric"]["run_id"], each["metric"]["name"], each["metric"]["value"]) for each in differ}
        assert shown == {
            *((OTHER, "epochs", "3"), (RUN, "epochs", "4")),
            *((OTHER, "hidden", "512,512"), (RUN, "hidden", "16")),
            *((OTHER, "device", "auto"), (RUN, "device", "cpu")),
        }
        [every] = state.of("run", "Parameters").values()
        assert {(each["metric"]["name"], each["metric"]["value"]) for each in every} == {
            *(("epochs", "4"), ("hidden", "16"), ("seed", "derived"), ("device", "cpu"), ("dropout", "0.2")),
        }


def test_the_dags_to_choose_from_are_ours(story: Story) -> None:
    pipeline = next(dashboard for dashboard in DASHBOARDS if dashboard["uid"] == "catwalk-pipeline")
    [query] = [query for query in other_queries(pipeline) if query.place == "dag"]
    for state in story.up_to_now("well"):
        assert {series["metric"]["dag_id"] for series in state.answers[query]} == {DAG}

"""What the exporter exports from a snapshot."""

from __future__ import annotations

import dataclasses
import io
import time
from collections.abc import Iterable, Mapping
from typing import Any

import psutil
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from catwalk.cli.tables.output import run_facts
from catwalk.clients.airflow_health import DagSchedule
from catwalk.environment.schedule import Schedule
from catwalk.errors import ConfigError
from catwalk.ledger.records.decision import CheckRecord
from catwalk.ledger.records.model import ChampionRecord, WatchedRecord
from catwalk.ledger.records.realised import DayRecord, RealisedRecord, Score
from catwalk.ledger.records.run import STAGES
from catwalk.ledger.records.summary import StageSummary, SummaryRecord
from catwalk.telemetry import catalogue
from catwalk.telemetry.catalogue import Metric
from catwalk_exporter.disks import Disk
from catwalk_exporter.exposition import SHOWN_RUNS, Exposition, Facts, Settings
from catwalk_exporter.snapshot import Snapshot
from ml.fashion_mnist.config import RunConfig
from stack.settings import PROJECT
from tests.catwalk.environment.test_schedule import unix
from tests.support.ledgers import summary
from tests.support.views import facts_of

HOUR = 3600.0
RETIRED = WatchedRecord("retired", retired=1e9)
BETTER = CheckRecord("better", "inconclusive", -0.004, 0.0, -0.009, 0.001, "It is not.")
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


LIMIT = 200_000
"""Returns `sample_limit` of the exporter's job."""


def test_the_limit_is_the_one_that_prometheus_has() -> None:
    jobs = yaml.safe_load((PROJECT / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    assert [job["sample_limit"] for job in jobs if job["job_name"] == "exporter"] == [LIMIT]


def rendered(
    *summaries: SummaryRecord,
    champions: Iterable[ChampionRecord] = (),
    points: Mapping[str, int] | None = None,
    store_up: bool = True,
    airflow: Mapping[str, bool] | None = None,
    settings: Settings | None = None,
    models: Iterable[WatchedRecord] = (),
    realised: Iterable[RealisedRecord] = (),
    **further: Any,
) -> Series:
    snapshot = Snapshot(summaries, tuple(champions), dict(points or {}), models=tuple(models), realised=tuple(realised))
    facts = Facts(snapshot, store_up, airflow or {}, 41, time.time(), **further)
    exposition = Exposition(settings or Settings())
    exposition.store_operation("get", 0.01, failed=False)
    text = exposition.render(facts).decode()
    series: Series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in series, f"{key} is there twice"
            series[key] = sample.value
    return series


def value(series: Series, metric: Metric, **labels: str) -> float | None:
    """Returns the one sample of a metric with these labels among its own; None if there is none."""
    wanted = {(name.removesuffix("_"), text) for name, text in labels.items()}
    found = [number for (name, own), number in series.items() if name == metric.name and wanted <= own]
    assert len(found) < 2, f"{metric.name} has {len(found)} such series"
    return found[0] if found else None


def champion(run_id: str, model: str = "mlp") -> ChampionRecord:
    return ChampionRecord(model, run_id, "a" * 64, 1_700_000_000.0, "", run_id, "gate", "floor reached")


def test_names_and_labels_are_those_of_the_catalogue() -> None:
    run = summary(checks=[BETTER], dataset_sha256="d" * 64)
    series = rendered(
        run, champions=[champion(run.run_id)], points={run.run_id: 5}, airflow={"scheduler": True},
        settings=Settings(links={"airflow": "http://127.0.0.1:8080"}), dags_paused={"fashion_training": False},
        disks={"store": Disk(5, 10)}, dag_failures={("fashion_sweep", "manual__1"): time.time()},
        models=[
            WatchedRecord("mlp", thresholds={"floors": {"accuracy": 0.9}}),
            WatchedRecord("churn", thresholds={"floors": {"auc": 0.8}, "limits": 7}),
        ],
        realised=[in_service()],
    )  # fmt: skip
    declared = {metric.name: metric for metric in catalogue.by_transport("exporter")}
    shown = set()
    for name, labels in series:
        if name.startswith("process_"):
            continue
        family = next(stem for stem in (name, name.rsplit("_", 1)[0]) if stem in declared)
        assert {label for label, _ in labels} - {"le"} == set(declared[family].labels)
        shown.add(family)
    assert shown == set(declared)


def test_it_exports_when_its_process_began() -> None:
    """An alert uses it to find a process that keeps restarting."""
    began = rendered()["process_start_time_seconds", frozenset()]
    assert began == pytest.approx(psutil.Process().create_time(), abs=2)


def test_latest_is_the_last_tested_run_of_the_pipeline_itself() -> None:
    series = rendered(
        summary("20261120T030000Z-00000001", test_accuracy=0.80),
        summary("20261121T030000Z-00000002", trigger="manual", test_accuracy=0.85),
        summary("20261122T030000Z-00000003", trigger="sweep", test_accuracy=0.99),
        summary("20261122T040000Z-00000004", trigger="cli", test_accuracy=0.98),
        summary(
            "20261123T030000Z-00000005", state="running", finished=None, test_accuracy=None, test_class_accuracy=[]
        ),
    )
    assert value(series, catalogue.MODEL_ACCURACY, role="latest") == 0.85
    assert value(series, catalogue.MODEL_CLASS_ACCURACY, role="latest", class_="bag") == 0.9


def test_the_champion_is_shown_long_after_its_run_and_beside_another_latest() -> None:
    old = summary("20250101T030000Z-00000001", updated=1.0, started=1.0, finished=1.0, test_accuracy=0.91)
    series = rendered(old, summary("20261123T030000Z-00000002", test_accuracy=0.9), champions=[champion(old.run_id)])
    assert value(series, catalogue.MODEL_ACCURACY, role="champion") == 0.91
    assert value(series, catalogue.MODEL_ACCURACY, role="latest") == 0.9
    assert value(series, catalogue.CHAMPION_PROMOTED) == 1_700_000_000.0
    assert value(series, catalogue.RUN_STARTED, run_id=old.run_id) is None


def regression(run_id: str = "20261123T030000Z-00000006", **changes: Any) -> SummaryRecord:
    """A run of a model that predicts a price."""
    nothing = dict.fromkeys(("test_accuracy", "test_loss", "test_calibration_error", "best_validation_loss"))
    values = {"classes": [], "class_shares": [], "test_class_accuracy": [], "statistics": {}, "model": "prices"}
    asked = {"problem": "regression", "headline": "mae", "goal": "minimize", "unit": "EUR"}
    scores = {"test_metrics": {"mae": 3.25, "r2": -0.5, "цена/день": 7.0}}
    return summary(run_id, **{**nothing, **values, **asked, **scores, **changes})


def test_a_model_without_classes_has_its_metrics_by_name_and_no_others() -> None:
    run = regression()
    series = rendered(run, summary(), champions=[champion(run.run_id, "prices")])
    for role in ("latest", "champion"):
        of_role = {"model": "prices", "role": role, "run_id": run.run_id}
        assert value(series, catalogue.MODEL_VERSION, **of_role) == 1
        assert value(series, catalogue.MODEL_METRIC, **of_role, metric_="mae") == 3.25
        assert value(series, catalogue.MODEL_METRIC, **of_role, metric_="r2") == -0.5
        assert value(series, catalogue.MODEL_METRIC, **of_role, metric_="цена/день") == 7.0
    others = [name for name, labels in series if ("model", "prices") in labels and "role" in dict(labels)]
    assert set(others) == {catalogue.MODEL_VERSION.name, catalogue.MODEL_METRIC.name}


def test_each_metric_is_described_and_one_is_the_headline() -> None:
    series = rendered(regression(), summary())
    described = [dict(labels) for name, labels in series if name == catalogue.METRIC_INFO.name]
    found = {(one["model"], one["metric"]): (one["goal"], one["headline"], one["unit"]) for one in described}
    assert found == {
        ("prices", "mae"): ("minimize", "true", "EUR"),
        ("prices", "r2"): ("maximize", "false", ""),
        ("prices", "цена/день"): ("", "false", ""),
        ("mlp", "accuracy"): ("maximize", "true", "ratio"),
        ("mlp", "log_loss"): ("minimize", "false", "nats"),
        ("mlp", "calibration_error"): ("minimize", "false", "ratio"),
    }


def test_a_classifiers_metrics_are_there_by_name_too() -> None:
    series = rendered(summary())
    assert value(series, catalogue.MODEL_METRIC, role="latest", metric_="accuracy") == 0.901
    assert value(series, catalogue.MODEL_METRIC, role="latest", metric_="log_loss") == 0.28


def test_a_killed_stage_ends_with_its_run_and_a_running_one_has_no_end() -> None:
    killed = summary("20261123T030000Z-00000001", stages={"train": StageSummary(1, None, 5.0)}, finished=9.0)
    running = summary("20261123T040000Z-00000002", stages={"train": StageSummary(1, None, 5.0)}, finished=None)
    series = rendered(killed, running)
    assert value(series, catalogue.STAGE_STARTED, run_id=killed.run_id, stage="train") == 5.0
    assert value(series, catalogue.STAGE_ENDED, run_id=killed.run_id, stage="train") == 9.0
    assert value(series, catalogue.STAGE_ENDED, run_id=running.run_id) is None


def test_a_champion_whose_run_is_gone_keeps_its_name_and_invents_no_figures() -> None:
    series = rendered(champions=[champion("20250101T030000Z-00000001")])
    assert value(series, catalogue.CHAMPION_INFO) == 1
    assert value(series, catalogue.MODEL_ACCURACY) is None


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"updated_ago": 1.9 * HOUR}, True),
        ({"updated_ago": 2.1 * HOUR}, False),
        ({"updated_ago": 2.1 * HOUR, "state": "running", "finished": None}, True),
        ({"updated_ago": 25 * HOUR, "state": "running", "finished": None}, False),
    ],
)
def test_a_run_is_exported_until_two_hours_after_its_last_change(changes: dict[str, object], shown: bool) -> None:
    updated = time.time() - float(str(changes.pop("updated_ago")))
    finished = changes.pop("finished", updated)
    run = summary(started=updated - 60, updated=updated, finished=finished, **changes)
    assert (value(rendered(run), catalogue.RUN_STARTED) is not None) == shown


def test_silence_for_too_long_is_a_stall() -> None:
    now = time.time()
    run = summary(state="running", started=now - 700, updated=now - 650, finished=None)
    series = rendered(run)
    assert value(series, catalogue.RUN_STATE, state="stalled") == 1
    assert value(series, catalogue.RUN_STATE, state="running") == 0
    patient = rendered(run, settings=Settings(stalled_seconds=700))
    assert value(patient, catalogue.RUN_STATE, state="running") == 1


def test_facts_of_one_run() -> None:
    run = summary(points_dropped=3)
    series = rendered(run, points={run.run_id: 562})
    assert value(series, catalogue.RUN_ATTEMPTS, stage="train") == 2
    assert value(series, catalogue.RUN_DURATION) == pytest.approx(60)
    assert value(series, catalogue.RUN_PARAMETER, name="epochs") == 18
    assert value(series, catalogue.RUN_PARAMETER, name="hidden") is None
    for name, text in (("hidden", "512,512"), ("device", "auto"), ("seed", "derived")):
        assert value(series, catalogue.RUN_SETTING, name=name, value=text) == 1
    assert value(series, catalogue.RUN_SETTING, name="epochs") is None
    assert value(series, catalogue.RUN_POINTS_EXPECTED) == 562
    assert value(series, catalogue.RUN_POINTS_DROPPED) == 3
    assert value(series, catalogue.RUN_INFO, dag_run_id="scheduled__2026-11-23", trigger="schedule") == 1


def test_what_is_left_out_of_prometheus_is_exported() -> None:
    run = summary(series_left_out=1_203)
    assert value(rendered(run), catalogue.RUN_SERIES_LEFT_OUT) == 1_203
    assert "1,203 series" in facts_of(run, time.time())
    said = Console(width=200, record=True, file=io.StringIO())
    said.print(run_facts(run, None, None, [], time.time(), 600))
    text = said.export_text()
    assert "left out" in text
    assert "1,203 series, to fit Prometheus' limit; the report has every epoch" in text
    assert "left out" not in facts_of(summary(), time.time())


def test_a_flood_of_runs_stays_below_the_limit_and_keeps_those_that_run() -> None:
    """Unfinished runs come first, then the newest: an alert on a run must not end because there are many others."""
    now = time.time()
    checks = [
        CheckRecord(name, "passed", 0.5, 0.5, 0.1, 0.9, "Passed.")
        for name in (
            "precondition",
            "floor",
            "recall",
            "calibration",
            "better",
            "worse",
            "not_inferior",
            "anchor",
            "class",
        )
    ]
    stages = dict.fromkeys(STAGES, StageSummary(1, 9.0, now, now))
    whole = {"checks": checks, "stages": stages}
    whole["parameters"] = RunConfig().flat()
    runs = [
        summary(f"20261123T030000Z-{number:08x}", updated=now - 7_000 + number, finished=now - 7_000 + number, **whole)
        for number in range(2_000)
    ]
    running = summary("20261122T030000Z-00000001", state="running", updated=now - 80_000, finished=None)
    series = rendered(running, *runs, points={run.run_id: 490 for run in runs})
    shown = {dict(labels)["run_id"] for name, labels in series if name == catalogue.RUN_INFO.name}
    assert shown == {running.run_id} | {run.run_id for run in runs[-SHOWN_RUNS + 1 :]}
    assert len(series) < 0.8 * LIMIT


def test_facts_that_rules_cannot_look_back_for_are_exported_as_long_as_a_run_continues() -> None:
    now = time.time()
    stages = {"ingest": StageSummary(1, 95.0, now - 30 * HOUR, now - 29 * HOUR), "train": StageSummary(1)}
    running = {"state": "running", "started": now - 30 * HOUR, "updated": now - 60, "finished": None}
    series = rendered(summary(**running, stages=stages, best_epoch=125))
    assert value(series, catalogue.RUN_BEST_TRAIN_LOSS) == 0.14
    assert value(series, catalogue.RUN_MEDIAN_TRAIN_LOSS) == 0.31
    assert value(series, catalogue.RUN_BEST_EPOCH) == 125
    assert value(series, catalogue.STAGE_SECONDS, stage="ingest") == 95.0
    assert value(series, catalogue.STAGE_SECONDS, stage="train") is None


def test_a_run_that_may_be_silent_for_long_is_shown_until_a_day_after_it_counts_as_stalled_or_lost() -> None:
    silent = {"state": "running", "updated": time.time() - 60 * HOUR, "finished": None}
    patient = Settings(stalled_seconds=40 * HOUR)
    assert value(rendered(summary(**silent), settings=patient), catalogue.RUN_STATE, state="stalled") == 1
    assert value(rendered(summary(**silent), settings=Settings()), catalogue.RUN_STATE, state="stalled") is None
    logs = summary(**silent, lost_after=40 * HOUR)
    assert value(rendered(logs), catalogue.RUN_STATE, state="lost") == 1


def test_decisions_are_counted_over_all_runs_ever() -> None:
    old = {"updated": 1.0, "started": 1.0, "finished": 1.0}
    hold = {"decision": "hold", "reason": "floor"}
    series = rendered(
        summary("20250101T030000Z-00000001", **old),
        summary("20250102T030000Z-00000002", **old, **hold),
        summary("20250103T030000Z-00000003", **old, **hold),
        summary("20261123T030000Z-00000004", decision="", reason=""),
    )
    assert value(series, catalogue.DECISIONS, decision="ship") == 1
    assert value(series, catalogue.DECISIONS, decision="hold", reason="floor") == 2
    assert value(series, catalogue.RUNS_SINCE_SHIP) == 2
    assert value(series, catalogue.DECISION_INFO, run_id="20250103T030000Z-00000003") == 1
    assert value(series, catalogue.DECISION_INFO, run_id="20250102T030000Z-00000002") is None


def test_a_manual_run_does_not_hide_the_decision_about_the_pipelines_last_run() -> None:
    old = {"updated": 1.0, "started": 1.0, "finished": 1.0}
    hold = {"decision": "hold", "reason": "worse", "checks": [BETTER]}
    series = rendered(
        summary("20250101T030000Z-00000001", **old, **hold),
        summary("20250102T030000Z-00000002", **old, **hold, trigger="cli"),
    )
    assert value(series, catalogue.GATE_HIGH, run_id="20250101T030000Z-00000001") == 0.001
    assert value(series, catalogue.DECISION_INFO, run_id="20250102T030000Z-00000002") == 1


def test_runs_are_blocked_by_reasons_and_not_by_being_no_better() -> None:
    held = [("hold", "floor"), ("hold", "worse")]
    tried = [summary("20250105T030000Z-00000009", trigger="sweep", decision="ship", reason="first")]

    def blocked(*decided: tuple[str, str]) -> float | None:
        runs = [summary(f"2025010{day}T030000Z-00000001", decision=d, reason=r) for day, (d, r) in enumerate(decided)]
        return value(rendered(*runs, *tried), catalogue.RUNS_BLOCKED)

    assert blocked(*held) == 2
    assert blocked(("ship", "better"), *held) == 2
    assert blocked(*held, ("ship", "better")) == 0
    assert blocked(*held, ("hold", "no_better")) == 0
    assert blocked() is None


def test_the_data_of_latest_and_champion_is_distinguishable() -> None:
    old, new = (summary(f"2025010{day}T030000Z-00000001", dataset_sha256=sha * 64) for day, sha in ((1, "a"), (2, "b")))
    series = rendered(old, new, champions=[champion(old.run_id)])
    assert value(series, catalogue.MODEL_DATASET, role="champion", dataset_sha256="a" * 64) == 1
    assert value(series, catalogue.MODEL_DATASET, role="latest", dataset_sha256="b" * 64) == 1
    assert value(rendered(summary(dataset_sha256="")), catalogue.MODEL_DATASET) is None


def in_service(versions: int = 1, days: int = 1, model: str = "mlp") -> RealisedRecord:
    """Four in five of the labelled predictions of each version and day are right."""
    score = Score(100, 0.8, 0.71, 0.87)
    told = [
        DayRecord(f"v{version}", day_of(ago), 130, 100, 20, 9, 1, score)
        for ago in reversed(range(days))
        for version in range(versions)
    ]
    windows = {f"v{version}": {"7d": score, "28d": Score(0)} for version in range(versions)}
    return RealisedRecord(model, "accuracy", "maximize", told, windows, {"joined": 100, "unknown": 3}, 5e8, 1e9)


def day_of(ago: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86_400 * ago))


def test_how_well_a_model_does_in_service_by_its_labels() -> None:
    series = rendered(realised=[in_service(days=30), in_service(model="retired")], models=[RETIRED])
    assert value(series, catalogue.REALISED_METRIC, model="mlp", window="7d", bound="value") == 0.8
    assert value(series, catalogue.REALISED_METRIC, model="mlp", window="7d", bound="high") == 0.87
    assert value(series, catalogue.REALISED_METRIC, model="mlp", window="28d", bound="value") is None, "no label"
    assert value(series, catalogue.REALISED_PREDICTIONS, model="mlp", window="28d") == 0
    assert value(series, catalogue.REALISED_DAY, day=day_of(27), bound="low") == 0.71
    assert value(series, catalogue.REALISED_DAY, day=day_of(28), bound="low") is None
    outcomes = {"served": 130, "logged": 100, "sampled_out": 20, "dropped": 9, "lost": 1, "labelled": 100}
    for outcome, number in outcomes.items():
        assert value(series, catalogue.LOGGED_PREDICTIONS, model="mlp", outcome=outcome) == 28 * number
    assert value(series, catalogue.LABELS, model="mlp", outcome="unknown") == 3
    assert value(series, catalogue.LABELS_LAST, model="mlp") == 5e8
    assert value(series, catalogue.LABELS_LAST, model="retired") is None


def test_a_model_with_a_version_each_day_still_has_few_series() -> None:
    few, many = (rendered(realised=[in_service(versions, 28)]) for versions in (5, 28))
    assert len(few) == len(many)


def test_the_gate_shows_what_it_measured_even_below_zero() -> None:
    series = rendered(summary(checks=[BETTER, dataclasses.replace(BETTER, check="precondition", value=None)]))
    assert value(series, catalogue.GATE_VALUE, check="better") == -0.004
    assert value(series, catalogue.GATE_LOW, check="better") == -0.009
    assert value(series, catalogue.GATE_HIGH, check="better") == 0.001
    assert value(series, catalogue.GATE_CHECK, check="better", verdict="inconclusive") == 1
    assert value(series, catalogue.GATE_VALUE, check="precondition") is None


def test_freshness_has_the_last_good_run_of_each_trigger() -> None:
    series = rendered(
        summary("20261122T030000Z-00000001", finished=100.0),
        summary("20261122T040000Z-00000002", finished=90.0),
        summary("20261123T030000Z-00000003", finished=200.0, state="failed"),
        summary("20261123T040000Z-00000004", finished=150.0, trigger="cli"),
    )
    assert value(series, catalogue.LAST_SUCCESS, trigger="schedule") == 100.0
    assert value(series, catalogue.LAST_SUCCESS, trigger="cli") == 150.0


WEEKDAYS = Settings(Schedule("0 3 * * 1-5"), since=unix("2026-11-27T12:00"))


def began(day: str, **changes: Any) -> SummaryRecord:
    """A scheduled run of November 2026 that began a little after three."""
    started = unix(f"2026-11-{day}T03:00:09")
    return summary(f"202611{day}T030009Z-00000001", started=started, **changes)


def labelled(series: Series, metric: Metric) -> dict[str, tuple[str, ...]]:
    """Model → all other labels of the metric's series; each model may have one series."""
    found = [dict(labels) for name, labels in series if name == metric.name]
    assert len({labels["model"] for labels in found}) == len(found)
    return {labels["model"]: tuple(labels[name] for name in metric.labels if name != "model") for labels in found}


def test_a_models_last_run_and_decision_are_there_however_long_ago() -> None:
    """Its last run by schedule or by hand, whatever was tried out since."""
    old = {"started": 900.0, "updated": 1e3, "finished": 1e3, "decided": 990.0}
    series = rendered(
        summary("20250101T030000Z-00000001", **old, decision="hold", reason="floor"),
        summary("20250102T030000Z-00000002", **old, state="failed", decision="", reason=""),
        summary("20250103T030000Z-00000003", **old, trigger="cli", decision="would_ship", reason="better"),
        summary("20250103T040000Z-00000004", model="churn", started=7.0, updated=9.0, finished=None, state="running"),
        summary("20250104T030000Z-00000005", **old, model="tried", trigger="sweep", decision="", reason="not_chosen"),
        models=[WatchedRecord("added")],
    )
    assert labelled(series, catalogue.LAST_RUN) == {
        "mlp": ("20250102T030000Z-00000002", "failed"),
        "churn": ("20250103T040000Z-00000004", "stalled"),
        "tried": ("20250104T030000Z-00000005", "succeeded"),
    }
    assert labelled(series, catalogue.LAST_DECISION) == {
        "mlp": ("20250101T030000Z-00000001", "hold", "floor"),
        "churn": ("20250103T040000Z-00000004", "ship", "floor_reached"),
    }
    assert value(series, catalogue.LAST_RUN, model="mlp") == 900
    assert value(series, catalogue.LAST_DECISION, model="mlp") == 990
    assert value(series, catalogue.LAST_DECISION, model="churn") == 9, "an older version does not say when"


def test_a_renamed_models_last_run_is_that_of_its_former_name_until_it_has_a_new_one() -> None:
    names = [WatchedRecord("a", renamed_to="b"), WatchedRecord("b", renamed_to="c", formerly="a")]
    names += [WatchedRecord("c", formerly="b"), WatchedRecord("x", renamed_to="y"), WatchedRecord("y", renamed_to="x")]
    runs = [summary(f"2026112{day}T030000Z-0000000{day}", model=name) for day, name in enumerate("axcb")]
    assert labelled(rendered(runs[0], models=names), catalogue.LAST_RUN) == {"c": (runs[0].run_id, "succeeded")}
    assert labelled(rendered(*runs[:3], models=names), catalogue.LAST_RUN)["c"] == (runs[2].run_id, "succeeded")
    assert len(labelled(rendered(*runs, models=names), catalogue.LAST_DECISION)) == 2, "a circle of names ends, too"


def test_another_model_costs_two_series_about_its_last_run_whatever_it_has_run() -> None:
    runs = [summary(f"20261123T{hour:02}0000Z-00000001", started=1.0, updated=9.0, finished=9.0) for hour in range(24)]
    last = {catalogue.LAST_RUN.name, catalogue.LAST_DECISION.name}
    assert len([name for name, _ in rendered(*runs) if name in last]) == 2


def test_a_weekday_schedule_owes_nothing_at_the_weekend() -> None:
    series = rendered(began("26"), began("27"), settings=WEEKDAYS)  # Thursday and Friday
    assert value(series, catalogue.NEXT_RUN_DUE, model="mlp", schedule="0 3 * * 1-5") == unix("2026-11-30T03:00")
    assert value(series, catalogue.GOOD_RUN_DUE, model="mlp") == unix("2026-12-01T03:00")


def test_a_run_that_began_is_not_a_successful_run() -> None:
    series = rendered(began("25"), began("26", state="failed"), began("27", state="running"), settings=WEEKDAYS)
    assert value(series, catalogue.NEXT_RUN_DUE) == unix("2026-11-30T03:00")
    assert value(series, catalogue.GOOD_RUN_DUE) == unix("2026-11-27T03:00")


def test_without_a_successful_run_the_first_one_counts() -> None:
    series = rendered(began("24", state="failed"), began("25", state="failed"), settings=WEEKDAYS)
    assert value(series, catalogue.GOOD_RUN_DUE) == unix("2026-11-26T03:00")


def test_manual_runs_are_not_scheduled_ones_and_the_first_is_due_before_any_has_begun() -> None:
    for runs in ((), (began("26", trigger="manual"),)):
        series = rendered(*runs, settings=WEEKDAYS)
        assert value(series, catalogue.NEXT_RUN_DUE, model="") == unix("2026-11-30T03:00")
        assert value(series, catalogue.GOOD_RUN_DUE) is None


def test_a_model_with_manual_runs_is_due_by_the_schedule_of_its_dag() -> None:
    """It owes no runs from before its exporter began: its schedule may just have been set."""
    by_hand = began("30", trigger="manual")
    for moment in ("2026-11-27T12:00", "2026-12-04T12:00"):
        series = rendered(by_hand, settings=dataclasses.replace(WEEKDAYS, since=unix(moment)))
        first = max(unix(moment), by_hand.started)
        assert value(series, catalogue.NEXT_RUN_DUE, model="mlp") == next(WEEKDAYS.schedule.after(first))
    hourly = began("30", trigger="manual", schedule="15 * * * *")
    assert value(rendered(hourly, settings=WEEKDAYS), catalogue.NEXT_RUN_DUE, model="mlp") == unix("2026-11-30T03:15")
    retired = WatchedRecord("mlp", retired=unix("2026-11-30T04:00"))
    for runs, models in (
        ([began("30", trigger="manual", schedule="None")], []),
        ([began("30", trigger="manual", ships=False)], []),
        ([began("30", trigger="cli")], []),
        ([by_hand], [retired]),
    ):
        assert value(rendered(*runs, settings=WEEKDAYS, models=models), catalogue.NEXT_RUN_DUE, model="mlp") is None


def test_if_models_have_their_own_schedules_nothing_else_is_due_for_the_first_time() -> None:
    """For example, in a stack without Airflow, to which a user has added a model."""
    known = WatchedRecord("churn", schedule="0 5 * * *", changed=unix("2026-11-26T03:00"))
    series = rendered(settings=WEEKDAYS, models=[known])
    assert value(series, catalogue.NEXT_RUN_DUE) == unix("2026-11-26T05:00")


def test_a_store_that_could_not_be_read_exports_nothing_about_scheduled_runs() -> None:
    assert value(rendered(store_up=False, settings=WEEKDAYS), catalogue.NEXT_RUN_DUE) is None


def test_without_a_schedule_nothing_is_due() -> None:
    for runs in ((), (began("26"),)):
        series = rendered(*runs, settings=Settings(Schedule("")))
        assert value(series, catalogue.NEXT_RUN_DUE) is None
        assert value(series, catalogue.GOOD_RUN_DUE) is None


def test_each_model_is_due_by_the_schedule_of_its_own_dag() -> None:
    hourly = {"model": "shapes", "dag_id": "shapes", "schedule": "15 * * * *"}
    by_hand = {**hourly, "dag_id": "shapes_by_hand", "schedule": "None", "trigger": "manual"}
    series = rendered(began("27"), began("26", **hourly), began("27", **by_hand), settings=WEEKDAYS)
    assert value(series, catalogue.NEXT_RUN_DUE, model="mlp") == unix("2026-11-30T03:00")
    assert value(series, catalogue.NEXT_RUN_DUE, model="shapes", dag_id="shapes") == unix("2026-11-26T03:15")
    assert value(series, catalogue.GOOD_RUN_DUE, model="shapes", schedule="15 * * * *") == unix("2026-11-26T04:15")
    weekly = {**hourly, "schedule": "@weekly", "trigger": "manual"}
    series = rendered(began("26", **hourly), began("27", **weekly), settings=WEEKDAYS)
    assert value(series, catalogue.NEXT_RUN_DUE, model="shapes", schedule="0 0 * * 0") == unix("2026-11-29T00:00")


def test_a_dag_without_a_run_owes_its_first_while_others_run() -> None:
    seen = unix("2026-11-27T12:00")
    schedules = {
        "fashion_training": DagSchedule("0 3 * * *", seen),
        "shapes": DagSchedule("15 */6 * * *", seen),
        "by_hand": DagSchedule("None", seen),
    }
    series = rendered(began("27", dag_id="fashion_training"), settings=WEEKDAYS, dag_schedules=schedules)
    due = {key: found for key, found in series.items() if key[0] == catalogue.NEXT_RUN_DUE.name}
    assert len(due) == 2
    assert value(series, catalogue.NEXT_RUN_DUE, model="", dag_id="shapes") == unix("2026-11-27T12:15")
    fresh = rendered(settings=WEEKDAYS, dag_schedules=schedules)
    assert value(fresh, catalogue.NEXT_RUN_DUE, model="", dag_id="") == unix("2026-11-30T03:00")
    assert value(fresh, catalogue.NEXT_RUN_DUE, dag_id="shapes") is None


def test_a_failed_dag_run_is_shown_for_a_day_unless_the_ledger_has_its_failure() -> None:
    now = time.time()
    failures = {("a", "1"): now - 60, ("b", "1"): now - 60, ("c", "1"): now - 25 * HOUR, ("d", "1"): now - 60}
    series = rendered(
        summary(dag_id="b", dag_run_id="1", state="failed"),
        summary("20261123T040000Z-00000002", dag_id="d", dag_run_id="1", state="succeeded"),
        dag_failures=failures,
    )
    assert value(series, catalogue.DAG_RUN_FAILED, dag_id="a", dag_run_id="1") == pytest.approx(now - 60)
    assert value(series, catalogue.DAG_RUN_FAILED, dag_id="b") is None
    assert value(series, catalogue.DAG_RUN_FAILED, dag_id="c") is None
    assert value(series, catalogue.DAG_RUN_FAILED, dag_id="d") == pytest.approx(now - 60)


def test_dags_and_disks() -> None:
    series = rendered(dags_paused={"a": True, "b": False}, disks={"store": Disk(5, 10)})
    assert value(series, catalogue.DAG_PAUSED, dag_id="a") == 1
    assert value(series, catalogue.DAG_PAUSED, dag_id="b") == 0
    assert value(series, catalogue.DISK_FREE, volume="store") == 5
    assert value(series, catalogue.DISK_SIZE, volume="store") == 10


def test_its_own_probes() -> None:
    series = rendered(store_up=False, airflow={"scheduler": True, "triggerer": False})
    assert value(series, catalogue.STORE_UP) == 0
    assert value(series, catalogue.CANARY_SENT) == 41
    assert value(series, catalogue.AIRFLOW_COMPONENT_HEALTHY, component="scheduler") == 1
    assert value(series, catalogue.AIRFLOW_COMPONENT_HEALTHY, component="triggerer") == 0
    assert series[f"{catalogue.EXPORTER_STORE_DURATION.name}_count", frozenset({("operation", "get")})] == 1
    assert value(rendered(), catalogue.AIRFLOW_COMPONENT_HEALTHY) is None


def test_odd_text_reaches_prometheus_unharmed() -> None:
    run = summary(dag_run_id='manual__"quoted"\\ \n ü')
    assert value(rendered(run), catalogue.RUN_INFO, dag_run_id='manual__"quoted"\\ \n ü') == 1


def test_a_name_that_is_not_text_does_not_break_the_page() -> None:
    """Half of a character, from a program that cuts its text by bytes."""
    run = summary(owner="gro\udc80wth", dag_run_id="a\udc80")
    page = rendered(run, models=[WatchedRecord("other", owner="\ud800")])
    assert value(page, catalogue.MODEL_INFO, model=run.model, owner="gro?wth") == 1
    assert value(page, catalogue.MODEL_INFO, model="other", owner="?") == 1


def test_an_invalid_duration_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("soon", "0", "-1", "nan", "inf"):
        monkeypatch.setenv("CATWALK_SCHEDULE_SECONDS", text)
        with pytest.raises(ConfigError, match="CATWALK_SCHEDULE_SECONDS"):
            Settings.from_environment()


def test_links_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_GRAFANA_URL", "http://127.0.0.1:3000")
    monkeypatch.delenv("CATWALK_AIRFLOW_URL", raising=False)
    links = Settings.from_environment().links
    assert links["grafana"] == "http://127.0.0.1:3000"
    assert "airflow" not in links


def test_links_lead_to_addresses_that_people_can_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("AIRFLOW", "EXPORTER"):
        monkeypatch.setenv(f"CATWALK_{part}_URL", f"http://{part.lower()}:1")
        monkeypatch.setenv(f"CATWALK_{part}_PUBLIC_URL", f"https://{part.lower()}.example")
    links = Settings.from_environment().links
    assert (links["airflow"], links["exporter"]) == ("https://airflow.example", "https://exporter.example")


def test_a_link_is_read_under_its_former_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EXPORTER_URL", "EXPORTER_PUBLIC_URL"):
        monkeypatch.delenv(f"CATWALK_{name}", raising=False)
    monkeypatch.setenv("CATWALK_REGISTRY_URL", "https://old.example")
    assert Settings.from_environment().links["exporter"] == "https://old.example"
    monkeypatch.setenv("CATWALK_EXPORTER_URL", "https://new.example")
    assert Settings.from_environment().links["exporter"] == "https://new.example"

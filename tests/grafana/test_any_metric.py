"""A model without classes, logged by a script of ten lines, in real servers: what rules and dashboards make of it."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from catwalk.ledger.runs import Ledger
from catwalk.replay.points import run_points
from catwalk.storage.opening import open_store
from stack.settings import PROJECT
from tests.grafana.measured import Measured
from tests.grafana.promql import Query, all_queries, ends_an_axis
from tests.grafana.test_states import is_empty
from tests.support.commands import unset_settings
from tests.support.servers import StatsdExporter, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

MODEL = "prices"
SCRIPT = """
import sys
import numpy as np
import catwalk

truth = np.linspace(-50.0, 200.0, 600)
with catwalk.run("prices", catwalk.Regression(unit="EUR"), params={"error": sys.argv[1]}) as run:
    run.data(as_of="2026-11-25", statistics={"rent_mean": float(sys.argv[1]), "rent_stddev": 20.0, "rows": 600})
    for step in range(1, 5):
        run.epoch(step, train={"rmse": 9.0 / step}, validation={"rmse": 10.0 / step, "прибыль/день": -step})
    run.model(b"model " + sys.argv[1].encode())
    guess = truth + float(sys.argv[1]) * np.sin(np.arange(600))
    run.test(truth, guess, keys=range(600), slices={"country": np.where(truth < 0, "PT", "DE")})
print(run.run_id)
"""
WITHOUT = {
    "catwalk-home": {"Champion", "Last decisions"},
    "catwalk-run": {
        "Test accuracy", "Gap to the champion", "Confusion matrix", "Test figures of each class", "Stages",
        "Loss, train and validation", "Accuracy, train and validation", "Validation accuracy of each class",
        "Learning rate", "Gradient norm",
    },
    "catwalk-runs": {
        "Test accuracy and the champion", "Accuracy of each class", "Runs", "Loss by epoch or step",
        "Accuracy by epoch or step", "Examples per second",
    },
    "catwalk-model": {
        "Champion's test", "Calibration error in service", "Worst class in service", "Test accuracy",
        "Calibration error", "Test loss", "Accuracy of each class", "Worst class", "Share of each class",
    },
}  # fmt: skip
"""Panels with some or all queries about things that such a model doesn't have, such as classes, a loss or a worst value
that may ship, or that this machine doesn't have: a GPU."""


@dataclass
class Known:
    """What is there once the servers have seen both runs."""

    measured: Measured
    champion: str
    challenger: str
    answers: dict[Query, Any] = field(default_factory=dict)

    def asked(self, metric: str, split: str = "validation") -> dict[Query, Any]:
        """The answer to each query where this metric is chosen."""
        runs = f"({self.champion}|{self.challenger})"
        variables = {"model": MODEL, "run": self.challenger, "runs": runs, "recent": runs, "champion": self.champion}
        chosen = {**variables, "metric": metric, "split": split, "statistic": "rent_mean", "dag": ".*", "newest": "10"}
        return {query: self.measured.ask(query, chosen, 3_600, time.time()) for query in all_queries()}


def log_run(error: float) -> str:
    """Runs the script as a scheduled job would, and names its run."""
    environment = {**os.environ, "CATWALK_SHIP": "1", "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", SCRIPT, str(error)]
    done = subprocess.run(command, env=environment, cwd=PROJECT, check=True, timeout=500, stdout=subprocess.PIPE)
    return done.stdout.decode().strip()


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    """Two runs of a regression: the second is worse by half."""
    with pytest.MonkeyPatch.context() as patch:
        unset_settings(patch)
        patch.setenv("CATWALK_STORE", (tmp_path_factory.mktemp("ledger") / "ledger").as_uri())
        statsd_exporter = StatsdExporter()
        patch.setenv("CATWALK_STATSD", f"127.0.0.1:{statsd_exporter.port}")
        measured = Measured(tmp_path_factory.mktemp("measured"), statsd_exporter)
        try:
            found = Known(measured, log_run(2.0), log_run(3.0))
            ready = f'run:metric:last{{run_id="{found.challenger}", split="test", metric="mae"}}'
            ready += f' and on () catwalk_model_version_info{{role="latest", run_id="{found.challenger}"}}'
            wait_until(lambda: measured.prometheus.query(ready), "the second run is known")
            measured.settle()
            yield found
        finally:
            measured.stop()


def test_every_point_of_both_ledgers_is_in_prometheus(known: Known) -> None:
    for run_id in (known.champion, known.challenger):
        points = run_points(Ledger(open_store()).run(run_id))
        assert {point.labels["metric"] for point in points if "metric" in point.labels} > {"прибыль/день", "mae", "r2"}
        found = known.measured.prometheus.query(f'run:points_exposed:count{{run_id="{run_id}"}}')
        assert [value for _, value in found] == [len(points)]


def test_one_name_finds_any_metric_of_the_last_epoch_and_of_the_test(known: Known) -> None:
    evaluation = Ledger(open_store()).run(known.challenger).evaluation()
    assert evaluation
    answer = known.measured.prometheus.query(f'run:metric:last{{run_id="{known.challenger}"}}')
    found = {(labels["split"], labels["metric"]): value for labels, value in answer}
    assert found == {
        ("train", "rmse"): 2.25,
        ("validation", "rmse"): 2.5,
        ("validation", "прибыль/день"): -4,
        **{("test", name): value for name, value in evaluation.metrics.items()},
    }
    sliced = known.measured.prometheus.query(f'ml_test_metric{{run_id="{known.challenger}", slice="country"}}')
    assert {labels["slice_value"] for labels, _ in sliced} == {"PT", "DE"}


def test_its_headline_regression_fires_and_no_rule_on_classes_does(known: Known) -> None:
    wait_until(lambda: "ModelHeadlineRegressed" in known.measured.prometheus.alerts(), "the headline has regressed")
    [(labels, value)] = known.measured.prometheus.query("model:headline_regression:ratio")
    assert (labels["metric"], labels["run_id"]) == ("mae", known.challenger)
    assert math.isclose(value, 0.5, rel_tol=1e-6)
    of_model = {
        name for name in known.measured.prometheus.alerts() if name.startswith(("Model", "Champion", "Dataset"))
    }
    assert of_model == {"ModelHeadlineRegressed", "ModelRegressedAgainstChampion"}


@pytest.mark.parametrize("dashboard", ["catwalk-run", "catwalk-runs", "catwalk-model", "catwalk-home"])
def test_a_panel_is_empty_only_where_the_model_has_no_such_thing(known: Known, dashboard: str) -> None:
    def empty() -> set[str]:
        answers = known.asked("mae" if dashboard == "catwalk-model" else "rmse")
        found = {
            query.place
            for query, answer in answers.items()
            if query.dashboard == dashboard and not ends_an_axis(query) and is_empty({query: answer})
        }
        return found - EMPTY_HERE

    wait_until(lambda: empty() <= WITHOUT[dashboard], "a whole step of the range has passed")
    assert empty() == WITHOUT[dashboard]


EMPTY_HERE = {"exporter", "airflow", "courier", "Links", "annotation Alerts", "annotation Promotions"}


def test_what_is_told_of_the_data_is_shown_and_what_it_has_changed_by(known: Known) -> None:
    answers = {(q.place, q.ref): a for q, a in known.asked("mae").items() if q.dashboard == "catwalk-model"}

    def column(ref: str, panel: str = "Statistics of latest and champion") -> dict[str, float]:
        return {series["metric"]["statistic"]: float(series["value"][1]) for series in answers[panel, ref]}

    assert column("A") == {"rent_mean": 2, "rent_stddev": 20, "rows": 600}
    assert column("B") == {"rent_mean": 3, "rent_stddev": 20, "rows": 600}
    assert column("C") == {"rent_mean": 1, "rent_stddev": 0, "rows": 0}
    assert column("D") == pytest.approx({"rent_mean": 1 / 20 / 0.085, "rent_stddev": 0, "rows": 0})
    [choices] = [answer for (place, ref), answer in answers.items() if (place, ref) == ("statistic", "variable")]
    assert {series["metric"]["statistic"] for series in choices} == set(column("A"))


def test_what_it_is_judged_by_is_shown_in_its_own_unit_and_not_in_per_cent(known: Known) -> None:
    answers = {(q.dashboard, q.place, q.ref): a for q, a in known.asked("mae").items()}
    evaluations = [Ledger(open_store()).run(run).evaluation() for run in (known.champion, known.challenger)]
    champion, challenger = (found.metrics["mae"] for found in evaluations if found)
    for place in (("catwalk-home", "Champion"), ("catwalk-model", "Champion's test")):
        [series] = answers[*place, "B"]
        assert (series["metric"]["metric"], float(series["value"][1])) == ("mae", champion)
    assert answers["catwalk-run", "Gap to the champion", "A"] == []
    [gap] = answers["catwalk-run", "Gap to the champion", "B"]
    assert float(gap["value"][1]) == pytest.approx(champion - challenger)
    for column, shown in (("L", challenger), ("M", champion - challenger)):
        [row] = [a for a in answers["catwalk-runs", "Runs", column] if a["metric"]["run_id"] == known.challenger]
        assert float(row["value"][1]) == pytest.approx(shown)


def test_dots_are_those_of_the_chosen_metric_and_none_of_an_accuracy(known: Known) -> None:
    answers = {(q.dashboard, q.place, q.ref): a for q, a in known.asked("mae").items()}
    for place in (("catwalk-model", "Test accuracy"), ("catwalk-runs", "Test accuracy and the champion")):
        placeholders = [series["value"][1] for series in answers[*place, "A"]]
        assert placeholders == ["NaN"] * 2, "for the message, and for room on the axis"
    every = answers["catwalk-model", "Metric of the test: $metric", "A"]
    drawn = [series for series in every if series["metric"]["run"].strip()]  # one is room for the last name
    names = [series["metric"]["series"] for series in drawn]
    assert sorted(names) == ["ModelHeadlineRegressed"] * 2 + ["champion"] * 2 + ["test"] * 2
    assert {series["metric"]["run"][-4:] for series in drawn} == {known.champion[17:21], known.challenger[17:21]}


def test_curves_can_be_chosen_of_what_epochs_tell_alone(known: Known) -> None:
    choices = {
        (query.dashboard, query.place): {series["metric"].get(query.place) for series in answer}
        for query, answer in known.asked("rmse").items()
        if query.ref == "variable" and query.place in ("metric", "split")
    }
    assert choices["catwalk-run", "metric"] == {"rmse", "прибыль/день"}
    assert choices["catwalk-runs", "metric"] > {"rmse", "прибыль/день", "mae"}
    assert choices["catwalk-runs", "split"] == {"train", "validation"}


def test_curves_of_a_chosen_metric_are_those_of_the_ledger(known: Known) -> None:
    answers = known.asked("прибыль/день")
    chart = ("catwalk-runs", "Metric by epoch or step: $metric", "A")
    [curve] = [a for q, a in answers.items() if (q.dashboard, q.place, q.ref) == chart]
    own = [series for series in curve if series["metric"]["run_id"] == known.challenger]
    drawn = {series["metric"]["epoch"]: float(series["value"][1]) for series in own}
    assert drawn == {"1": -1, "2": -2, "3": -3, "4": -4}

"""What panels draw: the real results after Grafana's own transformations."""

from __future__ import annotations

import re
from typing import Any

import pytest

from catwalk.ledger.records.run import STAGES
from grafana.board import all_panels
from grafana.dashboards import DASHBOARDS
from ml.fashion_mnist.config import CLASSES
from tests.grafana.conftest import EPOCHS, Fed
from tests.grafana.node import Field, Frame, NodeError, transform

pytestmark = pytest.mark.integration

Made = dict[tuple[str, str], list[Frame]]
"""Dashboard and title → frames."""


def request(dashboard: dict[str, Any], panel: dict[str, Any], fed: Fed) -> dict[str, Any]:
    """A panel's transformations and the answers to its queries."""
    answers = {
        query.ref: answer
        for query, answer in fed.answers.items()
        if (query.dashboard, query.place) == (dashboard["uid"], panel["title"])
    }
    results = [{**asked(target), "series": answers[target["refId"]]} for target in panel["targets"]]
    return {"transformations": panel["transformations"], "results": results}


def asked(target: dict[str, Any]) -> dict[str, str]:
    """What tells the results of a panel's queries apart."""
    name = "" if target["format"] == "table" else target["legendFormat"].strip("{}")
    return {"refId": target["refId"], "name": name}


@pytest.fixture(scope="module")
def made(fed: Fed) -> Made:
    """Every panel that transforms, transformed."""
    panels = [
        (dashboard, panel)
        for dashboard in DASHBOARDS
        for panel in all_panels(dashboard)
        if panel.get("transformations") and panel["targets"][0]["format"] == "table"
    ]
    try:
        frames = transform([request(dashboard, panel, fed) for dashboard, panel in panels])
    except NodeError as error:
        pytest.skip(f"GRAFANA'S TRANSFORMATIONS ARE NOT CHECKED: {error}")
    return {(dashboard["uid"], panel["title"]): each for (dashboard, panel), each in zip(panels, frames, strict=True)}


def only(made: Made, dashboard: str, title: str) -> dict[str, Field]:
    """The columns of the one frame of a panel, in order."""
    (frame,) = made[dashboard, title]
    columns = {field.name: field for field in frame}
    assert len(columns) == len(frame), "a column is there twice"
    return columns


CURVES = [
    (dashboard["uid"], panel["title"])
    for dashboard in DASHBOARDS
    for panel in all_panels(dashboard)
    if panel["type"] == "trend" and panel["options"]["xField"] == "Epoch or step"
]


def short(run_id: str) -> str:
    """The name of a run on dashboards."""
    return f"{run_id[4:6]}-{run_id[6:8]} {run_id[9:11]}:{run_id[11:13]} {run_id[17:21]}"


@pytest.mark.parametrize(("dashboard", "title"), CURVES)
def test_curves_have_ascending_numbers_as_epochs_and_gaps_as_null(
    made: Made, fed: Fed, dashboard: str, title: str
) -> None:
    columns = only(made, dashboard, title)
    epochs, *series = columns.values()
    both = "class" not in title
    assert epochs.name == "Epoch or step"
    assert epochs.type == "number"
    assert epochs.values == list(range(1, max(EPOCHS) + 1 if both else EPOCHS[1] + 1))
    assert series
    for field in series:
        known = EPOCHS[0] if re.match(f"champion|{short(fed.champion.run_id)}", field.name) else EPOCHS[1]
        assert [value is not None for value in field.values] == [epoch <= known for epoch in epochs.values]
        assert field.type == "number"


def test_one_line_a_run_with_its_short_name(made: Made, fed: Fed) -> None:
    runs = {short(fed.champion.run_id), short(fed.challenger.run_id)}
    for title in ("Loss by epoch or step", "Accuracy by epoch or step", "Time of an epoch", "Examples per second"):
        assert set(only(made, "catwalk-runs", title)) == {"Epoch or step", *runs}
    splits = {f"{which} {split}" for which in ("this run", "champion") for split in ("train", "validation")}
    assert set(only(made, "catwalk-run", "Loss, train and validation")) == {"Epoch or step", *splits}
    assert set(only(made, "catwalk-run", "Gradient norm")) == {"Epoch or step", "this run", "champion"}


def test_loss_is_the_ledgers(made: Made, fed: Fed) -> None:
    columns = only(made, "catwalk-runs", "Loss by epoch or step")
    for run in (fed.champion, fed.challenger):
        training = run.training()
        assert training is not None
        losses = [value for value in columns[short(run.run_id)].values if value is not None]
        assert losses == [record.validation_loss for record in training.epochs]


def test_the_table_of_runs_has_a_row_a_run_newest_first(made: Made, fed: Fed) -> None:
    columns = only(made, "catwalk-runs", "Runs")
    assert list(columns) == [
        *("Run", "run_id", "State", "Accuracy", "Decision", "Gap", "95 % bounds", "Best loss"),
        *("Best epoch", "Last loss", "Duration"),
    ]
    assert columns["run_id"].values == [fed.challenger.run_id, fed.champion.run_id]
    assert columns["Run"].values == [short(fed.challenger.run_id), short(fed.champion.run_id)]
    assert columns["State"].values == ["succeeded", "succeeded"]
    first, second = (run.evaluation() for run in (fed.champion, fed.challenger))
    assert first and second
    gap = 100 * (second.accuracy - first.accuracy)
    assert columns["Gap"].values == [pytest.approx(gap), None], "in percentage points"
    assert columns["Decision"].values[1] == "ship first"
    [low, high] = map(float, (columns["95 % bounds"].values[0] or "").split(" to "))
    assert low < gap < high


def test_each_run_whose_points_are_counted_has_its_own_model_to_link_to(made: Made, fed: Fed) -> None:
    columns = only(made, "catwalk-telemetry", "Points of the last day's runs")
    assert list(columns) == ["Run", "run_id", "Model", "In the ledger", "In Prometheus", "Missing", "Not sent"]
    models = dict(zip(columns["run_id"].values, columns["Model"].values, strict=True))
    own = {run.run_id: run.record.model for run in (fed.champion, fed.challenger) if run.run_id in models}
    assert own and {run_id: models[run_id] for run_id in own} == own


def test_the_confusion_matrix_is_the_ledgers_in_one_order(made: Made, fed: Fed) -> None:
    columns = only(made, "catwalk-run", "Confusion matrix")
    names = sorted(CLASSES)
    assert list(columns) == ["true_class\\predicted_class", *names]
    assert columns["true_class\\predicted_class"].values == names
    evaluation = fed.challenger.evaluation()
    assert evaluation is not None
    order = [CLASSES.index(name) for name in names]
    for column, predicted in zip(names, order, strict=True):
        assert columns[column].values == [evaluation.confusion[true][predicted] for true in order]


def test_classes_of_runs_are_a_matrix(made: Made, fed: Fed) -> None:
    columns = only(made, "catwalk-runs", "Accuracy of each class")
    assert list(columns) == ["run_id\\class", *sorted(CLASSES)]
    assert columns["run_id\\class"].values == [fed.champion.run_id, fed.challenger.run_id]


def test_parameters_that_differ_are_those_that_differ(made: Made) -> None:
    columns = only(made, "catwalk-runs", "Parameters that differ")
    assert list(columns) == ["run_id\\name", "epochs"]
    assert columns["epochs"].values == [str(number) for number in EPOCHS], "as text, like those that are no numbers"


def test_gate_checks_have_verdict_value_and_threshold(made: Made, fed: Fed) -> None:
    columns = only(made, "catwalk-run", "Gate checks")
    decision = fed.challenger.decision()
    assert decision is not None
    assert list(columns) == ["Check", "Verdict", "Value", "Threshold", "Bounds"]
    shown = dict(zip(columns["Check"].values, columns["Verdict"].values, strict=True))
    assert shown == {check.check: check.verdict for check in decision.checks}


def test_gate_checks_have_their_units(made: Made, fed: Fed) -> None:
    """Without units, a share, a gap and a p-value under each other look alike."""
    columns, decision = only(made, "catwalk-run", "Gate checks"), fed.challenger.decision()
    assert decision is not None
    names = columns["Check"].values
    shown = {title: dict(zip(names, columns[title].values, strict=True)) for title in ("Value", "Threshold", "Bounds")}
    units = {
        "accuracy_floor": (100, "%"),
        "calibration": (100, "%"),
        "better": (100, "pp"),
        "class_regression": (1, ""),
    }
    checks = {check.check: check for check in decision.checks}
    for name, (factor, unit) in units.items():
        for title, value in (("Value", checks[name].value), ("Threshold", checks[name].threshold)):
            number, _, found = shown[title][name].partition(" ")
            assert (float(number), found) == (pytest.approx(factor * (value or 0), abs=0.005), unit), (name, title)
    low, high = map(float, shown["Bounds"]["better"].split(" to "))
    assert low <= float(shown["Value"]["better"].split()[0]) <= high


def test_stages_come_in_the_order_in_which_they_started(made: Made) -> None:
    columns = only(made, "catwalk-run", "Stages")
    assert columns["Stage"].values == list(STAGES)
    assert all(value for field in columns.values() for value in field.values)


def test_durations_are_a_bar_a_run_with_a_part_a_stage(made: Made, fed: Fed) -> None:
    columns = only(made, "catwalk-runs", "Duration")
    assert list(columns) == ["run\\stage", *STAGES]
    newest_first = [short(fed.challenger.run_id), short(fed.champion.run_id)]
    assert columns["run\\stage"].values == newest_first
    assert list(only(made, "catwalk-pipeline", "Stages of the runs")) == list(columns)


def test_dots_have_runs_in_order_and_a_champion_beside_them(made: Made, fed: Fed) -> None:
    columns = only(made, "catwalk-runs", "Test accuracy and the champion")
    assert {name: field.type for name, field in columns.items()} == {
        **{"Run": "string", "test accuracy": "number", "champion": "number"},
    }
    first, second = (run.evaluation() for run in (fed.champion, fed.challenger))
    assert first and second
    assert columns["Run"].values == [short(fed.champion.run_id), short(fed.challenger.run_id), " "]
    *shown, room = zip(columns["test accuracy"].values, columns["champion"].values, strict=True)
    assert shown == [(first.accuracy, first.accuracy), (second.accuracy, first.accuracy)]
    assert room == (None, None), "otherwise the last name is cut off"


def test_classes_by_run_are_a_line_each_in_one_order(made: Made, fed: Fed) -> None:
    columns = only(made, "catwalk-model", "Accuracy of each class")
    assert list(columns) == ["Run", *sorted(CLASSES)]
    assert columns["Run"].values == [short(fed.champion.run_id), short(fed.challenger.run_id), " "]


def test_no_frame_of_any_panel_has_a_row_twice(made: Made) -> None:
    for (dashboard, title), frames in made.items():
        for frame in frames:
            rows = list(zip(*(field.values for field in frame), strict=True))
            assert len(set(map(repr, rows))) == len(rows), f"{dashboard}: {title}"


def test_where_an_axis_ends_holds_for_all_lines_of_a_chart() -> None:
    """Grafana applies the setting to the numbers of the other query, before they become a line a run."""
    panel = next(
        panel for each in DASHBOARDS for panel in all_panels(each) if panel["title"] == "Loss by epoch or step"
    )
    points = [
        {"metric": {"run": run, "epoch": str(epoch)}, "value": [1.0, str(epoch)]} for run in "ab" for epoch in (1, 2)
    ]
    settings = [[{"metric": {"end": "max"}, "value": [1.0, "1.5"]}], []]
    results = [
        [{**asked(target), "series": found} for target, found in zip(panel["targets"], (points, end), strict=True)]
        for end in settings
    ]
    try:
        ended, free = transform([{"transformations": panel["transformations"], "results": each} for each in results])
    except NodeError as error:
        pytest.skip(f"GRAFANA'S TRANSFORMATIONS ARE NOT CHECKED: {error}")
    for frames, most in ((ended, 1.5), (free, None)):
        [[epochs, *runs]] = frames
        assert [(field.name, field.values, field.max) for field in runs] == [(run, [1, 2], most) for run in "ab"]
        assert (epochs.values, epochs.max) == ([1, 2], None)


def test_a_chart_without_data_has_its_x_axis_and_says_so() -> None:
    """A Trend panel without the field of its x axis shows an error instead."""
    panels = [panel for dashboard in DASHBOARDS for panel in all_panels(dashboard) if panel["type"] == "trend"]
    empty = []
    for panel in panels:
        placeholder = panel["targets"][0]["expr"].rpartition(" or on () ")[2]
        results = [{"refId": "A", "series": [no_value(each) for each in placeholder.split(" or label_")]}]
        empty.append({"transformations": panel["transformations"], "results": results})
    try:
        made = transform(empty)
    except NodeError as error:
        pytest.skip(f"GRAFANA'S TRANSFORMATIONS ARE NOT CHECKED: {error}")
    for panel, frames in zip(panels, made, strict=True):
        [[x, message]] = frames
        assert x.values == ([" "] if x.name == "Run" else [0]), "no tick that looks like a run"
        assert (x.name, x.type) == (panel["options"]["xField"], "string" if x.name == "Run" else "number")
        assert message.name == panel["fieldConfig"]["defaults"]["noValue"]


def no_value(expr: str) -> dict[str, Any]:
    """What Prometheus answers to an expression of labels without a value."""
    labels = re.findall(r', "(\w+)", "([^"]*)", "", ""\)', expr)
    return {"metric": dict(labels), "value": [1.0, "NaN"]}


def test_a_timeline_without_data_has_no_frame_so_that_its_own_words_are_shown() -> None:
    """With a frame, if one without fields, the panel reports that it has no time."""
    panels = [panel for each in DASHBOARDS for panel in all_panels(each) if panel["type"] == "state-timeline"]
    empty = [{"transformations": p["transformations"], "results": [{"refId": "A", "series": None}]} for p in panels]
    try:
        assert transform(empty) == [[]] * 2
    except NodeError as error:
        pytest.skip(f"GRAFANA'S TRANSFORMATIONS ARE NOT CHECKED: {error}")


def test_a_table_keeps_its_rows_when_some_of_its_queries_are_empty() -> None:
    panel = next(panel for each in DASHBOARDS for panel in all_panels(each) if panel["title"] == "Runs")
    known = [{"metric": {"run_id": run}, "value": [1.0, "2"]} for run in ("a", "b")]
    results = [
        {"refId": target["refId"], "series": known if target["refId"] == "B" else []} for target in panel["targets"]
    ]
    try:
        ((frame,),) = transform([{"transformations": panel["transformations"], "results": results}])
    except NodeError as error:
        pytest.skip(f"GRAFANA'S TRANSFORMATIONS ARE NOT CHECKED: {error}")
    assert [(field.name, field.values) for field in frame] == [("run_id", ["b", "a"]), ("Accuracy", [2, 2])]

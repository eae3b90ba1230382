"""The same stories when a second model is watched by the same Prometheus."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import quote_plus

from tests.prometheus.model_cases import OLDER, asked, classes, curve, latest, role
from tests.prometheus.owned import owned
from tests.prometheus.scenario import RUN, Alert, Expectation, Scenario, a_run, constant, series

_OWN = re.compile(r'\b(model|run_id|version|dag_id)="([^"]+)"')
"""What tells one model's series from another's; two DAGs may well have runs of the same name, and the same schedule."""


def twin(value: str) -> str:
    """The name of a model, a run or a DAG in the second one's story."""
    return f"{value}-twin"


def of_twin(text: str) -> str:
    """A series, or labels, of the second model."""
    return _OWN.sub(lambda found: f'{found[1]}="{twin(found[2])}"', text)


def concerns_a_model(story: Scenario) -> bool:
    """Whether a second model would change it."""
    return any(of_twin(name) != name for name in story.series)


def doubled(story: Scenario) -> Scenario:
    """The story with two models at once, so that each of them must have its own alerts and values. The second one has
    an owner, if an exporter knows it.
    """
    second = owned(story)
    told = {**story.series, **{of_twin(name): values for name, values in second.series.items()}}
    checks = zip(story.expect, second.expect, strict=True)
    return replace(story, series=told, expect=tuple(_of_both(*each) for each in checks if not _ranks(each[0])))


def beside(story: Scenario, other: Mapping[str, str]) -> Scenario:
    """The story beside another model's series, which must change none of its alerts."""
    checks = (check for check in story.of_alerts.expect if not _ranks(check))
    return replace(story, series={**story.series, **other}, expect=tuple(checks))


def sound_model() -> dict[str, str]:
    """A model that nothing is wrong with, whose figures lie far from all limits of others, on either side."""
    told = {
        **a_run(started=1),
        **curve("train", *[1e-4] * 3),
        **curve("validation", *[1e-4] * 3),
        **latest(accuracy=1.0),
        **role("latest", RUN, calibration_error_ratio=0.5),
        **role("champion", OLDER, accuracy_ratio=1.0, calibration_error_ratio=0.5),
        **classes("latest", RUN, shirt=1.0),
        **classes("champion", OLDER, shirt=1.0),
        **asked(accuracy_floor=0.999, recall_floor=0.999, calibration=0.9),
        series("catwalk_champion_info", model="mlp", run_id=OLDER): constant(1),
        series("catwalk_champion_promoted_timestamp_seconds", model="mlp", run_id=OLDER): "0+10x1000",
        series("catwalk_runs_blocked", model="mlp"): constant(0),
        series("catwalk_run_state", model="mlp", run_id=RUN, state="failed"): constant(0),
        series("catwalk_dag_paused", dag_id="fashion_training"): constant(0),
        series("catwalk_next_run_due_timestamp_seconds", model="mlp", schedule="0 3 * * *"): constant(1e9),
        series("catwalk_good_run_due_timestamp_seconds", model="mlp", schedule="0 3 * * *"): constant(1e9),
    }
    return {of_twin(name): values for name, values in told.items()}


def _of_both(check: Expectation, of_second: Expectation) -> Expectation:
    if check.alerts is not None:
        seconds = (_of_twin(alert) for alert in of_second.alerts or () if _named(alert))
        return replace(check, alerts=(*check.alerts, *seconds))
    second = {of_twin(name): value for name, value in (of_second.samples or {}).items()}
    return replace(check, samples={**(check.samples or {}), **second})


def _ranks(check: Expectation) -> bool:
    """Whether an alert on a whole server says which models' points fill it: it names those together."""
    return any("points of" in alert.description and not _named(alert) for alert in check.alerts or ())


def _named(alert: Alert) -> bool:
    return bool({"model", "run_id", "dag_id"} & alert.labels.keys())


def _of_twin(alert: Alert) -> Alert:
    names = {alert.labels[name] for name in ("model", "run_id", "version", "dag_id") if name in alert.labels}
    words = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, names | set(map(quote_plus, names))))})(?![\w-])")
    change: Callable[[str], str] = lambda text: words.sub(lambda found: twin(found[0]), text)  # noqa: E731
    labels = {name: twin(value) if value in names else value for name, value in alert.labels.items()}
    return Alert(labels, change(alert.summary), change(alert.description), change(alert.dashboard))

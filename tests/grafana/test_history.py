"""Months in a real Prometheus, filled by promtool: what is short or rare is shown at every range and width."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from tests.grafana.asking import ask, step_of
from tests.grafana.promql import Query, all_queries
from tests.support.recorded import create_blocks, recorded

pytestmark = pytest.mark.integration

HOUR, DAY = 3_600, 86_400
RANGES = (HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY)
WIDTHS = (300, 700, 1_400)
"""Pixels of a panel: how many points Grafana asks for where the panel does not say."""
SCRAPE = 60
OUTAGES = (1_800, 5 * HOUR, 20 * HOUR, 6 * DAY, 29 * DAY)
"""Ages of outages of two minutes: at least one more in each range."""


@dataclass(frozen=True)
class History:
    """A Prometheus that holds it, and what it was filled with."""

    url: str
    now: int
    events: tuple[int, ...]
    """Unix times of failed tasks."""


def lines(now: int, events: tuple[int, ...]) -> Iterator[str]:
    """OpenMetrics."""
    down = {now - age - late for age in OUTAGES for late in (0, SCRAPE)}
    for name, labels in (
        ("component:airflow_healthy:min1m", 'component="scheduler"'),
        ("job:up:min1m", 'job="courier"'),
    ):
        yield f"# TYPE {name} gauge\n"
        for at in range(now - 30 * DAY, now, SCRAPE):
            yield f"{name}{{{labels}}} {int(at not in down)} {at}\n"
    for name in ("catwalk_model_accuracy_ratio", "catwalk_run_info"):
        yield f"# TYPE {name} gauge\n"
        for at in range(now - 8 * HOUR, now - 5 * HOUR, SCRAPE):
            yield f'{name}{{model="mlp",dag_id="nightly",run_id="a"}} 1 {at}\n'
    yield "# TYPE job:counter:growth gauge\n"
    for at in events:
        labels = 'counter="airflow_ti_finish_total",dag_id="nightly",task_id="train",state="failed"'
        yield f"job:counter:growth{{{labels}}} 1 {at}\n"
    yield "# EOF\n"


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """A month of it, up to some seconds ago."""
    folder = tmp_path_factory.mktemp("history")
    now = int(time.time()) // SCRAPE * SCRAPE
    often = random.Random(1).sample(range(now - 30 * DAY, now - 60), 400)
    events = tuple(sorted({*often, now - 45, now - 2_000}))
    (folder / "samples").write_text("".join(lines(now, events)))
    create_blocks(folder / "samples", folder / "data")
    with recorded(folder) as url:
        yield History(url, now, events)


def panel(dashboard: str, title: str) -> Query:
    """The only query of a panel."""
    [found] = [each for each in all_queries() if (each.dashboard, each.place) == (f"catwalk-{dashboard}", title)]
    return found


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seconds", RANGES)
@pytest.mark.parametrize(("dashboard", "title"), [("pipeline", "Airflow's components"), ("telemetry", "Targets")])
def test_each_short_outage_is_red(history: History, dashboard: str, title: str, seconds: int, width: int) -> None:
    query = replace(panel(dashboard, title), points=width)
    [series] = ask(history.url, query, {}, history.now, seconds, SCRAPE)
    step = step_of(query, seconds, SCRAPE)
    red = {at for at, value in series["values"] if float(value) == 0}
    begins = [history.now - age - SCRAPE for age in OUTAGES if age + SCRAPE < seconds]
    assert all(any(at < begin + SCRAPE <= at + step + SCRAPE for at in red) for begin in begins), (begins, sorted(red))
    assert len(red) <= 3 * len(begins), "and no more than there were"


@pytest.mark.parametrize("name", ["model", "dag"])
@pytest.mark.parametrize("seconds", RANGES)
def test_what_was_known_before_a_short_range_can_be_chosen(history: History, name: str, seconds: int) -> None:
    """The exporter has been silent for five hours."""
    choices = [query for query in all_queries() if (query.place, query.ref) == (name, "variable")]
    for query in choices:
        [found] = ask(history.url, query, {"model": "mlp"}, history.now, seconds, SCRAPE)
        assert found["metric"] == {"model": {"model": "mlp"}, "dag": {"dag_id": "nightly"}}[name]
    assert choices


@pytest.mark.parametrize("late", [0, 17, 1_000, 5_000])
@pytest.mark.parametrize("seconds", RANGES)
def test_each_event_is_in_one_bar(history: History, seconds: int, late: int) -> None:
    """Wherever a range begins and ends: bars stand for whole steps, the first and the last too."""
    query, until = panel("pipeline", "Failed tasks"), history.now - late
    found = ask(history.url, query, {"dag": "nightly"}, until, seconds, SCRAPE)
    step = step_of(query, seconds, SCRAPE)
    first, last = (until - seconds) // step * step, until // step * step + step
    assert sum(float(value) for series in found for _, value in series["values"]) == sum(
        first < event <= last for event in history.events
    )

"""The Fleet dashboard over models in every state, in real servers, from a fresh stack to an exporter that is away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from catwalk.storage.opening import open_store
from catwalk.telemetry.wire.labels import label_value
from grafana import words
from grafana.board import all_panels
from grafana.dashboards.fleet import DASHBOARD
from grafana.dashboards.home import DASHBOARD as HOME
from tests.grafana.measured import Measured
from tests.grafana.node import NodeError, transform
from tests.grafana.promql import Query, panel_queries
from tests.support.commands import unset_settings
from tests.support.fleet import ODD, last_run, put_fleet
from tests.support.servers import StatsdExporter, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

TABLE = "Every model"
STATUSES = {
    "below-its-floor": "critical",
    "failed": "warning",
    "failed-days-ago": "last run failed",
    "overdue": "overdue",
    "waits": "waiting",
    "by-hand": "OK",
    "held": "OK",
    "running": "OK",
    "shipped": "OK",
    label_value(ODD): "OK",
    "retired": "retired",
}
"""Model → its status, in the order of the table."""
Row = dict[str, Any]


@dataclass
class Fleet:
    """What the dashboard shows at one moment."""

    answers: dict[Query, Any]

    def tile(self, title: str, ref: str = "A") -> float | None:
        """The number of a tile; None if it is empty."""
        [found] = [answer for query, answer in self.answers.items() if (query.place, query.ref) == (title, ref)]
        return float(found[0]["value"][1]) if found else None

    @property
    def tiles(self) -> list[float | None]:
        return [
            self.tile("Models"), self.tile("Models", "B"), self.tile("Need attention"), self.tile("Overdue"),
        ]  # fmt: skip

    def rows(self) -> list[Row]:
        """The rows of the table as Grafana draws them: title of the column → value."""
        [panel] = [panel for panel in all_panels(DASHBOARD) if panel["title"] == TABLE]
        results = [
            {"refId": query.ref, "series": answer} for query, answer in self.answers.items() if query.place == TABLE
        ]
        try:
            [frames] = transform([{"transformations": panel["transformations"], "results": results}])
        except NodeError as error:
            pytest.skip(f"GRAFANA'S TRANSFORMATIONS ARE NOT CHECKED: {error}")
        columns = {field.name: field.values for frame in frames for field in frame}
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


@dataclass
class Story:
    """At three moments."""

    fresh: Fleet
    full: Fleet
    blind: Fleet
    """The exporter is away."""
    at_home: list[dict[str, Any]]
    """What Home then answers to the question of the last run, of a model whose last one was yesterday."""


def shown(measured: Measured) -> Fleet:
    measured.settle()
    now = time.time()
    return Fleet({query: measured.ask(query, {}, 3_600, now) for query in panel_queries(DASHBOARD)})


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with pytest.MonkeyPatch.context() as patch:
        unset_settings(patch)
        patch.setenv("CATWALK_STORE", tmp_path_factory.mktemp("ledger").as_uri())
        measured = Measured(tmp_path_factory.mktemp("measured"), StatsdExporter())
        try:
            wait_until(lambda: measured.prometheus.query("exporter:store_up:held == 1"), "the ledger was read")
            fresh = shown(measured)
            put_fleet(open_store())
            firing = 'count(ALERTS{alertstate="firing", model=~"below-its-floor|failed", severity="%s"})'
            for severity in ("critical", "warning"):
                wait_until(lambda s=severity: measured.prometheus.query(firing % s), f"an alert is {severity}")
            full = shown(measured)
            measured.exporter.stop()
            blind = shown(measured)
            [asked] = [query for query in panel_queries(HOME) if query.place == "Last run"]
            yield Story(fresh, full, blind, measured.ask(asked, {"model": "held"}, 3_600, time.time()))
        finally:
            measured.stop()


def by_model(rows: list[Row]) -> dict[str, Row]:
    found = {row["Model"]: row for row in rows}
    assert len(found) == len(rows), "a model has two rows"
    return found


def test_a_fresh_stack_has_no_model_and_says_so(story: Story) -> None:
    assert story.fresh.tiles == [0, None, 0, 0]
    assert story.fresh.rows() == []


def test_every_model_has_one_row_and_urgent_ones_come_first(story: Story) -> None:
    statuses = [(row["Model"], words.FLEET[str(row["Status"])][0]) for row in story.full.rows()]
    assert statuses == list(STATUSES.items())


def test_tiles_count_the_same_models(story: Story) -> None:
    assert story.full.tiles == [10, 1, 4, 1]
    firing = story.full.tile("Alerts firing")
    assert firing and firing >= sum(row.get("Firing") or 0 for row in story.full.rows()) >= 2


def test_a_row_says_of_its_model_what_the_ledger_says(story: Story) -> None:
    rows, now = by_model(story.full.rows()), time.time()
    odd = rows[label_value(ODD)]
    assert [odd[name] for name in ("Owner", "Last run", "Last decision", "run_id")] == [
        *("кухня", "succeeded", "ship first", last_run(ODD)),
    ]
    assert {name: row["Last run"] for name, row in rows.items() if row["Last run"] != "succeeded"} == {
        **dict.fromkeys(("failed", "failed-days-ago", "retired"), "failed"),
        **{"running": "running", "waits": None},
    }
    assert [rows[name]["Last decision"] for name in ("by-hand", "held")] == ["would_ship better", "hold no_better"]
    assert rows["failed"]["Top alert"] == "PipelineRunFailed"
    assert rows["held"]["Started"] == pytest.approx(26 * 3_600 + 300, abs=600), "a day after its series"
    assert rows["overdue"]["Next due"] / 1000 < now < rows["shipped"]["Next due"] / 1000


def test_while_the_exporter_is_away_rows_stay_and_say_that_nothing_is_measured(story: Story) -> None:
    before, rows = by_model(story.full.rows()), by_model(story.blind.rows())
    assert set(rows) == set(before)
    for model in set(rows) - {"by-hand", "below-its-floor"}:
        assert words.FLEET[str(rows[model]["Status"])][0] == "no data"
        assert [rows[model][name] for name in ("Last run", "run_id")] == [
            before[model][name] for name in ("Last run", "run_id")
        ]
    assert (story.blind.tile("Models"), story.blind.tile("Overdue")) == (10, 1)


def test_home_has_a_models_last_run_long_after_the_exporter_has_let_its_series_go(story: Story) -> None:
    assert [series["metric"]["state"] for series in story.at_home] == ["succeeded"]

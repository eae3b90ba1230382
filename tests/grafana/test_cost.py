"""What a query costs Prometheus at a long range, counted in samples that it reads."""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from catwalk.clients import access
from stack.settings import PROJECT
from tests.grafana.asking import SCRAPE_SECONDS, substituted
from tests.grafana.promql import Query, all_queries
from tests.support.recorded import create_blocks, recorded

pytestmark = pytest.mark.integration

HOUR, DAY = 3_600, 86_400
RUNS = 50
SCRAPED = 2 * HOUR
"""How long the exporter shows a run."""
FEW = 250
"""Samples of a run: a panel may read what rules record of it several times. The exporter shows 720 of each family."""


def lines(now: int) -> Iterator[str]:
    """A run a day of 50 days, the last of them a week ago, as scraped and as recorded; OpenMetrics."""
    rules = yaml.safe_load((PROJECT / "prometheus" / "rules" / "dashboards.recording.yml").read_text())
    [interval] = [group["interval"] for group in rules["groups"] if group["name"] == "dashboards_runs"]
    step = {"m": 60}[interval[-1]] * int(interval[:-1])
    for number in range(RUNS):
        run = f'model="mlp",run_id="20260101T030000Z-{number:08x}"'
        start = now - (8 + RUNS - number) * DAY
        for series, every in (
            (f"catwalk_run_started_timestamp_seconds{{{run}}}", SCRAPE_SECONDS),
            (f'catwalk_run_info{{{run},dag_id="nightly",trigger="schedule"}}', SCRAPE_SECONDS),
            (f'catwalk_decision_info{{{run},decision="ship"}}', SCRAPE_SECONDS),
            (f'catwalk_model_dataset_class_share_ratio{{{run},class="bag",role="latest"}}', SCRAPE_SECONDS),
            (f'run:metric:last{{{run},metric="accuracy",split="test"}}', SCRAPE_SECONDS),
            (f'run:test_metric:last{{{run},metric="accuracy"}}', step),
            (f"run:started_timestamp_seconds:last{{{run}}}", step),
            (f'run:dataset_class_share_ratio:last{{{run},class="bag"}}', step),
            ('model:dag:info{model="mlp",dag_id="nightly"}', step),
        ):
            yield from (f"{series} {start} {at}\n" for at in range(start, start + SCRAPED, every))
    yield "# EOF\n"


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus with these runs."""
    folder: Path = tmp_path_factory.mktemp("months")
    (folder / "samples").write_text("".join(lines(int(time.time()))))
    create_blocks(folder / "samples", folder / "data")
    with recorded(folder) as url:
        yield url


def cost(url: str, query: Query) -> tuple[int, int]:
    """How many series an instant query over 90 days finds, and how many samples Prometheus reads for it."""
    variables = {"model": "mlp", "newest": "200", "recent": ".+", "runs": ".+", "metric": "accuracy"}
    expression = substituted(query.expr, variables, 90 * DAY, SCRAPE_SECONDS)
    asked = urllib.parse.urlencode({"query": expression, "stats": "all"})
    data = json.loads(access.fetch(f"{url}/api/v1/query?{asked}", timeout=60))["data"]
    return len(data["result"]), data["stats"]["samples"]["totalQueryableSamples"]


LISTS = [
    query for query in all_queries() if query.ref == "variable" and query.place in ("model", "recent", "runs", "dag")
]
VALUES = [query for query in all_queries() if query.place.startswith(("Share of each class", "Metric of the test"))]


@pytest.mark.parametrize("query", [*LISTS, *VALUES], ids=lambda query: query.name)
def test_a_list_of_the_runs_of_months_reads_few_samples_of_each(months: str, query: Query) -> None:
    found, samples = cost(months, query)
    fewest = 0 if query.ref == "B" else 1 if query.place in ("model", "dag") else 10  # B: where an axis ends
    assert found >= fewest, "it is a list of what is there"
    assert samples <= FEW * RUNS

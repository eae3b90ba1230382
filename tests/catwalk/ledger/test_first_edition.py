"""A ledger that version 0.1.0 wrote works like today's, both unchanged and after migration."""

from __future__ import annotations

import dataclasses
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.numpy import load

from catwalk.cli.doctor.examination import examine
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.runs import Ledger, Run, new_run_id, summary_key
from catwalk.replay.points import run_points
from catwalk.stages.artifacts.datasets import load_split
from catwalk.stages.lifecycle.opening import open_run
from catwalk.stages.pipeline import run_stages
from catwalk.storage.store import Store
from catwalk.telemetry import catalogue
from catwalk.telemetry.emitter import Emitter
from catwalk.telemetry.observer import Silent
from catwalk_exporter.exposition import Exposition, Facts, Settings
from catwalk_exporter.snapshot import LedgerReader, Snapshot
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import CLASSES, RunConfig
from tests.grafana.measured import Measured
from tests.grafana.promql import all_queries, metric_names, of_other_headline
from tests.support.commands import catwalk
from tests.support.ledgers import load_first_edition
from tests.support.servers import StatsdExporter, wait_until
from tests.support.small import SMALL

__all__ = ["catwalk"]

pytestmark = pytest.mark.integration

FIRST, CHAMPION, FLOORED = "20261116T030000Z-8893fa15", "20261117T030000Z-9b3651a6", "20261118T030000Z-602a2eec"
FAILED, ANCHOR, PASSED_OVER = "20261119T030000Z-4ed07638", "20261119T120000Z-accfaa49", "20261119T120000Z-11218a80"
UNFINISHED = "20261120T030000Z-e9e346be"
DRAWN_FIRST, DRAWN_CHAMPION = "20261118T150000Z-00c0ffee", "20261119T090000Z-bb0596a1"
TESTED = [FIRST, CHAMPION, FLOORED, DRAWN_FIRST, DRAWN_CHAMPION, ANCHOR]
RUNS = sorted([*TESTED, FAILED, PASSED_OVER, UNFINISHED])
EVENING = 1_795_100_400.0 + 3_600
"""An hour after the ledger's last promotion, as Unix time."""


@pytest.fixture(params=["as it is", "migrated"])
def state(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ledger(s3_store: Store, catwalk: Any, state: str) -> Ledger:
    load_first_edition(s3_store)
    assert state == "as it is" or catwalk("migrate").code == 0
    return Ledger(s3_store)


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(row["run_id"] for row in rows)


def test_its_runs_are_listed_chosen_and_grouped(ledger: Ledger, catwalk: Any) -> None:
    table = catwalk("runs")
    assert (table.code, table.err) == (0, "")
    assert all(run_id in table.out for run_id in RUNS)
    assert ids(catwalk("runs", "--json").json()) == RUNS
    assert ids(catwalk("runs", "--where", "test_accuracy >= 0", "--json").json()) == sorted(TESTED)
    assert ids(catwalk("runs", "--where", "state = stalled", "--json").json()) == [UNFINISHED]
    assert ids(catwalk("runs", "--where", "peak_learning_rate > 1", "--json").json()) == [FAILED]
    assert len(catwalk("runs", "--by", "recipe", "--json").json()) == 6  # by model, size, epochs


def test_each_run_is_shown_whole(ledger: Ledger, catwalk: Any, state: str) -> None:
    for run_id in RUNS:
        shown, tested = catwalk("show", run_id), run_id in TESTED
        assert (shown.code, shown.err) == (0, "")
        assert run_id in shown.out
        assert ("the loss is not finite" in shown.out) == (run_id == FAILED)
        records = catwalk("show", run_id, "--json").json()
        assert records["run"]["git_commit"] == records["summary"]["git_commit"] != ""
        assert bool(records["evaluation"]) == tested
        if state == "migrated":
            named = [records[name] for name in ("run", "summary", "dataset", "evaluation") if records[name]]
            assert [record["classes"] for record in named] == [list(CLASSES)] * (3 + tested)
            assert ("ankle-boot" in shown.out) == tested


def test_its_stages_are_as_it_summarised_them(ledger: Ledger) -> None:
    for run_id in RUNS:
        summary, values = ledger.run(run_id).summary(), json.loads(ledger.store.get(summary_key(run_id)).body)
        fields = [values[name] for name in ("attempts", "stage_seconds", "stage_started", "stage_ended")]
        assert summary and fields[0]
        assert {stage: dataclasses.astuple(one) for stage, one in summary.stages.items()} == {
            stage: tuple(of_stages.get(stage) for of_stages in fields) for stage in fields[0]
        }


def test_its_runs_are_compared_on_the_same_images(ledger: Ledger, catwalk: Any, tmp_path: Path) -> None:
    done = catwalk("compare", FIRST, CHAMPION, ANCHOR, FAILED, "--json", "--out", str(tmp_path))
    assert (done.code, done.err) == (0, "")
    tables = catwalk("compare", FIRST, CHAMPION, "--out", str(tmp_path)).out
    assert "+9.60* (+4.65 to +14.55)" in tables, "106 images that it alone has right, and 58 that the other has, of 500"
    page = (tmp_path / "report.html").read_text()
    assert FIRST in page and CHAMPION in page


def test_reports_that_are_not_there_are_built(ledger: Ledger, catwalk: Any) -> None:
    for run_id, missing in ((ANCHOR, 0), (PASSED_OVER, 5), (FAILED, 5), (UNFINISHED, 7)):
        built = catwalk("report", run_id, "--json")
        assert (built.code, built.err) == (0, "")
        assert len(built.json()["missing"]) == missing
        assert run_id in ledger.store.get(built.json()["key"]).body.decode()


def test_its_champion_is_fetched_and_used(ledger: Ledger, catwalk: Any, state: str, tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    assert catwalk("fetch", "--model", "mlp", "--out", str(weights)).code == 0
    run = Run(ledger.store, CHAMPION)
    evaluation, dataset = run.evaluation(), run.dataset()
    assert evaluation and dataset and evaluation.model_sha256 in catwalk("show", "champion", "--model", "mlp").out
    said = int(load(ledger.store.get(run.key("predictions.safetensors")).body)["logits"][0].argmax())
    assert load(weights.read_bytes())
    Image.fromarray(load_split(ledger.store, dataset, "test")["images"][0]).save(tmp_path / "garment.png")
    answer = catwalk("predict", str(tmp_path / "garment.png"), "--model", "mlp", "--json").json()
    guess = answer["predictions"][0]["classes"][0]["class"]
    assert answer["run_id"] == CHAMPION
    assert guess == CLASSES[said] or (state, guess) == ("as it is", str(said))


def test_the_champion_is_changed_by_hand(ledger: Ledger, catwalk: Any) -> None:
    assert FIRST in catwalk("rollback", "--model", "mlp", "--reason", "worse in service").out
    assert "first champion" in catwalk("rollback", "--model", "mlp", "--reason", "worse still").err
    assert catwalk("promote", FAILED, "--reason", "by mistake").code == 1
    assert ANCHOR in catwalk("promote", ANCHOR, "--reason", "the best there is").out
    found = Champions(ledger.store).get("mlp")
    assert found is not None
    assert (found[0].run_id, found[0].previous, found[0].anchor) == (ANCHOR, FIRST, ANCHOR)
    assert [change.run_id for change in found[0].history] == [FIRST, CHAMPION, ANCHOR, CHAMPION, FIRST, ANCHOR]
    assert [change.rollback for change in found[0].history] == [False, False, False, True, True, False]


def test_nothing_that_may_be_needed_is_pruned(ledger: Ledger, catwalk: Any) -> None:
    done = catwalk("prune", "--keep", "0", "--dry-run", "--json")
    assert (done.code, done.err) == (0, "")
    assert sorted(done.json()["would_remove"]) == [FLOORED, FAILED, PASSED_OVER]
    assert catwalk("prune", "--keep", "0").code == 0
    assert ids(catwalk("runs", "--json").json()) == sorted({*RUNS} - {FLOORED, FAILED, PASSED_OVER})


def test_its_points_are_sent_again_either_way(ledger: Ledger, catwalk: Any, tmp_path: Path) -> None:
    run, blocks = Run(ledger.store, CHAMPION), tmp_path / "blocks"
    points = run_points(run)
    replayed = catwalk("replay", CHAMPION, "--out", str(blocks), "--json").json()
    assert (replayed["points"], replayed["transport"]) == (len(points), "backfill")
    [written] = [json.loads(path.read_text())["stats"] for path in blocks.glob("*/meta.json")]
    assert written["numSamples"] == len(points) > 200
    statsd_exporter = StatsdExporter()
    try:
        assert Emitter(statsd_exporter.address).resend(points) == len(points)
        scrape = statsd_exporter.wait("ml_", len(points))
    finally:
        statsd_exporter.stop()
    assert scrape.total("statsd_exporter_events_unmapped_total") == 0
    evaluation = run.evaluation()
    assert evaluation and scrape.total(catalogue.TEST_ACCURACY.name, run_id=CHAMPION) == evaluation.accuracy


def test_the_exporter_finds_no_damage_and_all_figures(ledger: Ledger) -> None:
    snapshots: list[Snapshot] = []
    LedgerReader(ledger.store).read(EVENING, snapshots.append)
    assert snapshots[-1].damaged == {}
    assert [summary.run_id for summary in snapshots[-1].summaries] == RUNS
    assert set(snapshots[-1].points) == {DRAWN_CHAMPION, ANCHOR, PASSED_OVER}, "the runs of the last twelve hours"
    series = Exposition(Settings()).render(Facts(snapshots[-1], True, {}, None, EVENING)).decode()
    for run_id, role, model in (
        (FLOORED, "latest", "mlp"), (CHAMPION, "champion", "mlp"), (DRAWN_CHAMPION, "champion", "mlp-synthetic")
    ):  # fmt: skip
        evaluation = Run(ledger.store, run_id).evaluation()
        labels = f'model="{model}",role="{role}",run_id="{run_id}"'
        assert evaluation and f"{catalogue.MODEL_ACCURACY.name}{{{labels}}} {evaluation.accuracy}" in series
        classes = re.findall(rf'{catalogue.MODEL_CLASS_ACCURACY.name}{{class="(.+)",{labels}}}', series)
        assert len(set(classes)) == len(CLASSES)


def test_the_doctor_finds_its_store_healthy(ledger: Ledger, catwalk: Any) -> None:
    checks = {check.part: check for check in islice(examine(), 4)}
    assert {checks[part].verdict for part in ("store", "conditional writes")} == {"OK"}


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which images are generated once."""
    return tmp_path_factory.mktemp("synthetic")


def test_a_run_of_today_competes_with_its_champion_and_anchor(
    ledger: Ledger, catwalk: Any, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_HOME", str(stand_in))
    catwalk("rollback", "--model", "mlp-synthetic", "--reason", "so that the anchor is another run")
    config = RunConfig.from_flat({**SMALL, "train_examples": 5_000, "hidden": "32", "epochs": 8, "seed": 1})
    run = open_run(ledger, new_run_id(), CLASSIFIER, config, "manual")
    run_stages(run, Silent())
    decision, summary = run.decision(), run.summary()
    assert decision and summary and summary.state == "succeeded"
    assert (decision.decision, decision.reason, decision.champion) == ("ship", "better", DRAWN_FIRST)
    scored = {entry.key.rpartition("/")[2] for entry in run.store.list(run.key("opponents/"))}
    assert scored == {f"{DRAWN_FIRST}.safetensors", f"{DRAWN_CHAMPION}.safetensors"}
    found = Champions(run.store).get("mlp-synthetic")
    assert found and (found[0].run_id, found[0].previous) == (run.run_id, DRAWN_FIRST)
    catwalk("rollback", "--model", "mlp-synthetic", "--reason", "back to the first version's")
    found = Champions(run.store).get("mlp-synthetic")
    assert found and found[0].run_id == DRAWN_FIRST


def test_a_run_that_it_left_unfinished_is_refused_in_one_sentence(ledger: Ledger, catwalk: Any) -> None:
    refused = catwalk("run", "--run-id", UNFINISHED)
    assert refused.code == 1
    assert "was started by other code" in refused.err and "trigger a new one" in refused.err


@pytest.fixture
def measured(s3_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Measured]:
    """An exporter that reads the unchanged ledger, and a Prometheus that scrapes it."""
    load_first_edition(s3_store)
    statsd_exporter = StatsdExporter()
    monkeypatch.setenv("CATWALK_STATSD", str(statsd_exporter.address))
    found = Measured(tmp_path, statsd_exporter)
    yield found
    found.stop()


def test_dashboards_show_it_while_it_is_migrated(measured: Measured, catwalk: Any) -> None:
    variables = {
        "run": ANCHOR,
        "champion": CHAMPION,
        "model": "mlp",
        "split": "validation",
        "dag": ".*",
        "metric": "accuracy",
    }
    variables |= dict.fromkeys(("runs", "recent"), f"({ANCHOR}|{FLOORED})")

    def empty() -> list[str]:
        """Panels about current series of the exporter; not about when these runs ran, nor about another headline."""
        served = set(re.findall(r"^\w+", page(measured), re.MULTILINE))
        queries = [query for query in all_queries() if query.instant and set(metric_names(query.expr)) <= served]
        queries = [query for query in queries if not of_other_headline(query)]
        assert len(queries) > 20
        return [query.name for query in queries if not measured.ask(query, variables, 3_600, time.time())]

    measured.settle()
    assert empty() == []
    assert catwalk("migrate").code == 0
    wait_until(lambda: 'class="ankle-boot"' in page(measured), "the exporter has the names of the classes")
    measured.settle()
    assert empty() == []


def page(measured: Measured) -> str:
    """Returns what the exporter serves."""
    with urllib.request.urlopen(f"http://127.0.0.1:{measured.exporter.port}/metrics", timeout=30) as answer:
        return str(answer.read().decode())

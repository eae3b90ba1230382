"""The exporter's page of a run."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest

from catwalk.cli.tables.output import duration, number
from catwalk.ledger.records.model import ChampionRecord, WatchedRecord
from catwalk.ledger.records.retraining import RequestRecord, RetrainingSettings, SlotRecord
from catwalk.ledger.records.summary import StageSummary
from catwalk.telemetry.wire.labels import label_value
from catwalk_exporter.pages import models
from catwalk_exporter.pages.view import anchor
from tests.support.ledgers import summary
from tests.support.views import facts_of, listed, view

NOW = 1_800_000_000.0


def started(*stages: str) -> dict[str, StageSummary]:
    return {stage: StageSummary(1) for stage in stages}


def page(**changes: Any) -> str:
    return facts_of(summary(**changes), NOW)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"state": "failed", "stage": "publish", "stages": started("ingest", "train", "publish")}, "in train"),
        ({"state": "cancelled", "stage": "publish", "stages": started("ingest", "publish")}, "in ingest"),
        ({"state": "failed", "stage": "publish", "stages": started("publish")}, ""),
        ({"state": "failed", "stage": "test", "stages": started("train", "test")}, "in test"),
        ({"state": "running", "stage": "publish", "updated": NOW}, "in publish"),
        ({"state": "running", "stage": "", "stages": {}, "updated": NOW}, ""),
        ({"state": "succeeded", "stage": "publish"}, ""),
    ],
)
def test_a_failed_run_names_the_stage_that_failed(changes: dict[str, Any], expected: str) -> None:
    state = changes["state"]
    assert f'<span class="{state}">{state}</span>{f" {expected}" if expected else ""}</td>' in page(**changes)


def test_owner_and_links_are_shown_and_a_link_without_a_web_address_is_only_its_name() -> None:
    links = {"note <b>": "https://example.org/?a=1&b='2'", "here": "javascript:alert(1)"}
    text = page(owner="growth <team>", links=links)
    assert "<th>owner</th><td>growth &lt;team&gt;</td>" in text and "javascript" not in text
    linked = '<a href="https://example.org/?a=1&amp;b=&#x27;2&#x27;">note &lt;b&gt;</a> · here'
    assert f"<th>links</th><td>{linked}</td>" in text
    assert "<th>links</th>" not in page() and "<th>owner</th>" not in page()


def test_a_run_that_an_alert_requested_says_so() -> None:
    asked = page(trigger="alert", alert="ServiceInputDrifted", episode=3)
    assert "<th>requested by</th><td>ServiceInputDrifted, episode 3</td>" in asked
    assert "requested by" not in page()


def test_a_models_card_shows_what_alerts_may_request_and_have_requested() -> None:
    run = summary(model="churn")
    episode = RequestRecord(3, "catwalk__churn__e3", "A", 0.0, 0.0, verdict="held", run_id=run.run_id)
    slot = SlotRecord("churn", RetrainingSettings(on=True), "cooling", number=3, episode=episode)
    name = "<dt>retraining by alerts</dt>"
    text = models.page(view(run, now=NOW, slots=(slot,)))
    assert f'{name}<dd>on, cooling; episode 3 held <a href="/runs/{run.run_id}">{run.run_id}</a></dd>' in text
    fresh = models.page(view(run, now=NOW, slots=(SlotRecord("churn"),)))
    assert f"{name}<dd>off</dd>" in fresh
    assert name not in models.page(view(run, now=NOW))


def test_models_show_their_owners_and_their_limits() -> None:
    run = summary(model="churn", problem="binary", schedule="every 86400 s")
    known = WatchedRecord(
        "churn", {"kind": "binary"}, "every 86400 s", "growth <team>",
        {"floors": {"auc": 0.75, "log_loss": 0.9}, "margin": 0.01}, {"auc": "last year's <list> had it"},
        {"notebook": "https://example.org/?a=1&b=2", "here": "javascript:alert(1)"}, run.run_id,
    )  # fmt: skip
    gone = WatchedRecord("old", {"kind": "of tomorrow"}, thresholds={"floors": {"f1": 0.5}}, retired=NOW)
    odd = WatchedRecord("strange", {"kind": "binary"}, thresholds={"limits": 7})
    champion = ChampionRecord("churn", run.run_id, "5" * 64, NOW, "", run.run_id, "gate", "better")
    shown = view(run, summary(model="mlp"), now=NOW, champions=(champion,), models=(known, gone, odd))
    text = models.page(shown)
    assert [*re.findall('<h3 id="model-([a-z]+)">', text)] == ["churn", "mlp", "old", "strange"]
    churn, mlp, old, _ = text.split("<h3 ")[1:]
    linked = f'<a href="/runs/{run.run_id}">{run.run_id}</a>'
    for told in (
        "growth &lt;team&gt;", '<a href="https://example.org/?a=1&amp;b=2">notebook</a> · here',
        f"<dt>last run</dt><dd>{linked}</dd>", f"<dt>in service</dt><dd>{linked}</dd>", "<dd>in use</dd>",
        '<th>auc, at least</th><td class="n">0.75</td><td class="words">last year&#x27;s &lt;list&gt; had it</td>',
        '<th>log loss, at most</th><td class="n">0.9 nats</td>', "no reason given", '<th>margin</th>',
    ):  # fmt: skip
        assert told in churn, told
    assert "javascript" not in text and "<dt>owner</dt>" not in mlp and "<table>" not in mlp + old
    assert "retired on 2027-01-15" in old and '<a href="/models#model-churn">churn</a>' in page(model="churn")


@pytest.mark.parametrize("name", ["a & b", "犬/猫", "rent: 50 %", "(a)!"])
def test_a_models_card_is_found_by_its_name_as_prometheus_has_it(name: str) -> None:
    """Dashboards know this form, and put it into an address percent-encoded."""
    [linked] = re.findall(r'href="/models#([^"]+)"', page(model=name))
    assert linked == anchor(name) == f"model-{quote(label_value(name), safe='')}"
    assert f'id="{linked}"' in models.page(view(summary(model=name), now=NOW))


def test_only_a_seed_that_is_not_set_is_derived() -> None:
    text = page(parameters={"seed": None, "model_bytes_cap": None, "hidden": [512, 512], "dropout": 0.2})
    for name, value in {"seed": "derived", "model_bytes_cap": "none", "hidden": "512,512", "dropout": "0.2"}.items():
        assert f"<th>{name}</th><td>{value}</td>" in text


def test_nan_breaks_no_page() -> None:
    nan = float("nan")
    odd = {"last_validation_loss": nan, "test_accuracy": nan, "test_class_accuracy": [nan] * 10, "test_loss": nan}
    assert "nan" in page(**odd)
    assert "nan%" in listed(summary(**odd), now=NOW)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, "-"), (float("nan"), "-"), (float("inf"), "-"), (54.2, "54.2 s"), (7_500, "2h 05m"), (5.7e5, "6d 14h")],
)
def test_durations(seconds: float | None, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(None, "-"), (0.25, "0.2500"), (8.7e11, "8.7e+11"), (float("nan"), "nan")]
)
def test_figures(value: float | None, expected: str) -> None:
    assert number(value, ".4f") == expected


def test_a_run_without_an_accuracy_shows_what_it_is_judged_by() -> None:
    scores = {"mae": 3.25, "rmse": 4.5, "calibration_error": 0.02}
    logged = {"test_accuracy": None, "test_loss": None, "test_calibration_error": None, "test_class_accuracy": []}
    changes = {**logged, "problem": "regression", "headline": "mae", "unit": "EUR", "test_metrics": scores}
    text = page(**changes)
    for row in ("<th>test mae</th><td>3.25</td>", "<th>test rmse</th><td>4.5</td>", "<th>test calibration error</th>"):
        assert row in text
    assert "test accuracy" not in text
    assert ">mae 3.25 EUR</td>" in listed(summary(**changes), now=NOW)

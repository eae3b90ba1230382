"""Baselines, made of days that a real Prometheus has recorded, and what a monitor then compares with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import yaml
from prometheus_client import CollectorRegistry
from scipy import stats

import catwalk
from catwalk.errors import CatwalkError, DamagedError
from catwalk.service import reference
from catwalk.service.baseline import accepted as acceptance
from catwalk.service.baseline import recorded
from catwalk.storage.opening import open_store
from catwalk.tracking.renaming import rename
from stack.ports import free_port
from stack.settings import PROJECT
from tests.catwalk.service.baseline.conftest import HOUR, LEFT_OUT, NEW_NAME, RECORDED, World
from tests.catwalk.service.conftest import scrape

pytestmark = pytest.mark.integration


def accept(world: World, model: str, days: int = 28, **changes: Any) -> acceptance.Accepted:
    given = {"floor": 0.03, "by": "ada", "now": world.midnight + 5 * HOUR, **changes}
    return acceptance.accept(world.run(model), days, **given)


def whole_days(world: World, model: str, feature: str) -> np.ndarray[Any, Any]:
    """Returns the predictions of the last 28 days without a hole, (days, bins)."""
    by_day = world.days[model][feature].sum(1)
    kept = [RECORDED - back for back in range(1, RECORDED + 1) if back not in (LEFT_OUT, LEFT_OUT + 1)]
    return np.asarray(by_day[sorted(kept[:28])])


def dispersion(days: np.ndarray[Any, Any]) -> float:
    """As the contract has it, by scipy: how much more each day differs from the others than independent examples."""
    found = []
    for day in range(len(days)):
        pair = np.array([days[day], np.delete(days, day, 0).sum(0)])
        found.append(stats.chi2_contingency(pair[:, pair.sum(0) > 0], False, "log-likelihood").statistic)
    return float(1.5 * max(1, np.median(found) / stats.chi2.median(days.shape[1] - 1)))


@pytest.mark.usefixtures("_without")
def test_counts_and_dispersion_are_those_of_the_last_full_days(world: World) -> None:
    accepted = accept(world, "churn", floor=0.05)
    assert accepted.holes == [world.day(LEFT_OUT + 1), world.day(LEFT_OUT)]
    record = accepted.record
    assert (record.origin, record.by, record.run_id) == ("service", "ada", world.runs["churn"])
    assert (record.days[0], record.days[-1], len(record.days)) == (world.day(30), world.day(1), 28)
    for feature in record.features:
        days = whole_days(world, "churn", feature.name)
        assert feature.examples == days.sum(0).round().astype(int).tolist(), feature.name
        assert feature.dispersion == pytest.approx(dispersion(days), rel=0.02) and feature.dispersion > 3
        assert feature.floor == 0.05
    assert reference.in_service(world.run("churn")) == record
    assert reference.of_run(world.run("churn")).origin == "test", "the test's reference stays"


@pytest.mark.usefixtures("_without")
def test_a_monitor_prefers_the_baseline(world: World, registry: CollectorRegistry) -> None:
    version = world.runs["churn"]
    monitor = catwalk.PredictionMonitor("churn", registry=registry)
    assert scrape(registry)["catwalk_reference_floor", version, "input", "age"] == 0.5
    record = accept(world, "churn").record
    monitor.swap()
    started = CollectorRegistry()
    catwalk.PredictionMonitor("churn", registry=started)
    for shown in (scrape(registry), scrape(started)):
        for feature in record.features:
            labels = (version, feature.side, feature.name)
            assert shown["catwalk_reference_floor", *labels] == 0.03
            assert shown["catwalk_reference_dispersion", *labels] == feature.dispersion
            told = [shown["catwalk_reference_bin_examples", *labels, name] for name in feature.bins]
            assert told == feature.examples


@pytest.mark.usefixtures("_without")
def test_a_second_one_takes_the_place_of_the_first(world: World, command: Callable[..., Any]) -> None:
    first = command("reference", "accept", "churn")
    assert first.code == 0, first.err
    assert "28 days in service" in first.out and "by ada" in first.out
    assert f"lacks hours of them: {world.day(LEFT_OUT + 1)}, {world.day(LEFT_OUT)}" in first.out
    assert "replaces" not in first.out
    second = command("reference", "accept", "churn", "--days", "7", "--floor", "0.1", "--by", "grace")
    assert "7 days in service" in second.out and "replaces the baseline that was accepted by ada" in second.out
    shown = command("reference", "show", "churn", "--json").json()
    assert (shown["by"], shown["origin"], len(shown["days"])) == ("grace", "service", 7)
    assert {each["floor"] for each in shown["features"]} == {0.1}


@pytest.mark.usefixtures("_without")
def test_one_that_two_accept_at_once_is_stored_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    read = recorded.latest

    def slowly(*given: Any) -> recorded.Recorded:
        monkeypatch.setattr(recorded, "latest", read)
        accept(world, "churn", by="grace")
        return read(*given)

    monkeypatch.setattr(recorded, "latest", slowly)
    with pytest.raises(CatwalkError, match="has changed in the meantime, so this one is not stored"):
        accept(world, "churn")
    assert reference.in_service(world.run("churn")).by == "grace"


@pytest.mark.usefixtures("_without")
def test_show_names_origin_days_floor_and_dispersion(world: World, command: Callable[..., Any]) -> None:
    before = command("reference", "show", "churn").out
    assert "2,000 held-out examples" in before and "catwalk reference accept" in before
    record = accept(world, "churn").record
    after = command("reference", "show", "churn").out
    assert f"{record.examples:,} predictions of 28 days in service, {world.day(30)} to {world.day(1)}" in after
    [line] = [line.split() for line in after.splitlines() if line.startswith("country")]
    country = record.features[1]
    assert line == ["country", "inputs", f"{sum(country.examples):,}", "5", "0.03", f"{country.dispersion:.2f}"]


@pytest.mark.usefixtures("_without")
def test_what_a_service_never_counts_keeps_its_reference(world: World) -> None:
    accepted = accept(world, "blind")
    assert accepted.uncounted == ["age", "country", "member"]
    tested = reference.of_run(world.run("blind"))
    assert accepted.record.of("input") == tested.of("input")
    assert accepted.record.of("prediction") != tested.of("prediction")


@pytest.mark.usefixtures("_without")
def test_days_under_a_former_name_count(world: World) -> None:
    rename(open_store(world.store), "moved", NEW_NAME, "ada")
    accepted = accept(world, "moved")
    assert len(accepted.record.days or []) == 28
    expected = whole_days(world, "moved", "country").sum(0)
    assert [*accepted.record.features[1].examples] == pytest.approx(expected.tolist(), abs=1)


@pytest.mark.usefixtures("_without")
def test_show_and_accept_print_the_new_name_of_a_renamed_model(world: World, command: Callable[..., Any]) -> None:
    rename(open_store(world.store), "moved", NEW_NAME, "ada")
    for done in (command("reference", action, NEW_NAME) for action in ("show", "accept", "show")):
        assert done.out.startswith(f"{NEW_NAME}: version {world.run('moved').run_id} is compared with"), done.err


@pytest.mark.usefixtures("_without")
def test_a_damaged_one_is_named_and_can_be_replaced(world: World) -> None:
    run = world.run("churn")
    run.store.put_record(run.key("baseline.json"), replace(reference.of_run(run), run_id="another"))
    with pytest.raises(DamagedError, match=r"the baseline of run .* can't be used: it is that of run another"):
        reference.in_service(run)
    accept(world, "churn")
    assert reference.in_service(run).origin == "service"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("absent",), "absent has no champion yet"),
        (("young",), "Prometheus has 3 full days (UTC) of version"),
        (("young",), "within 56, and 28 are wanted: wait, or lower --days to 3"),
        (("quiet", "--days", "5"), "makes 120 predictions on the median day, and a baseline needs 200"),
        (("rebinned",), "other bins than its reference has: de of the input country is in the reference alone"),
        (("churn", "--floor", "0"), "floor: expected the smallest shift that matters"),
    ],
)  # fmt: skip
def test_what_is_refused(world: World, command: Callable[..., Any], arguments: tuple[str, ...], complaint: str) -> None:
    done = command("reference", "accept", *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1), done.err
    assert complaint in done.err
    if arguments[0] in world.runs:
        assert reference.baseline_of(world.run(arguments[0])) is None


def test_without_prometheus_nothing_is_accepted(
    world: World, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_PROMETHEUS_URL", f"http://127.0.0.1:{free_port()}")
    done = command("reference", "accept", "churn")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert "does not answer" in done.err and "CATWALK_PROMETHEUS_URL" in done.err


def test_the_rules_record_what_a_baseline_reads() -> None:
    text = (PROJECT / "prometheus" / "rules" / "service.recording.yml").read_text()
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    [rule] = [rule for rule in rules if rule["record"] == "model:service_bin:increase1h"]
    assert rule["expr"].startswith("sum by (model, version, side, feature, bin) (increase(")

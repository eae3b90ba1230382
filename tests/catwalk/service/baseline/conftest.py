"""A ledger with champions, and a real Prometheus that has recorded their days in service."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import catwalk
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.reference import FeatureReference, ReferenceRecord
from catwalk.ledger.runs import Ledger, Run
from catwalk.storage.opening import open_store
from tests.catwalk.service.conftest import table
from tests.catwalk.tracking.conftest import KEYS, LABELS, scores
from tests.support.commands import command_line
from tests.support.recorded import create_blocks, recorded

DAY, HOUR = 86_400, 3_600
RECORDED = 34
"""Days; a month and some more."""
Days = dict[str, dict[str, np.ndarray[Any, Any]]]
"""Model → feature → predictions, (days, 24, bins), the last day last."""


@dataclass(frozen=True)
class World:
    """A ledger with champions, and a Prometheus that has recorded their service."""

    store: str
    url: str
    midnight: int
    """When its last day has ended."""
    days: Days
    runs: dict[str, str]
    """Model → its champion."""

    def run(self, model: str) -> Run:
        return Ledger(open_store(self.store)).run(self.runs[model])

    def promoted(self, model: str, moment: float) -> None:
        """Makes the champion one that was promoted at a Unix time."""
        champions = Champions(open_store(self.store))
        found = champions.get(model)
        assert found
        champions.store.put_record(f"champions/{found[0].model}.json", replace(found[0], promoted=moment))

    def begin(self, back: int) -> float:
        """When a day began, counted back from the last."""
        return self.midnight - back * DAY

    def day(self, back: int) -> str:
        """The date of a day, counted from the last."""
        return time.strftime("%Y-%m-%d", time.gmtime(self.midnight - back * DAY))


def hours(feature: FeatureReference, a_day: int, random: np.random.Generator) -> np.ndarray[Any, Any]:
    """Traffic that lives: no bin as in the reference, days that differ, requests in fives."""
    usual = random.dirichlet(np.full(len(feature.bins), 5.0))
    shares = [random.dirichlet(800 * usual) for _ in range(RECORDED)]
    counts = [5 * random.multinomial(a_day // 120, share, 24) for share in shares]
    return np.asarray(counts) * random.uniform(0.999, 1.001, (RECORDED, 24, 1))  # as increase() extrapolates


def trained(model: str) -> ReferenceRecord:
    """A champion with a reference."""
    with catwalk.run(model, catwalk.Binary()) as run:
        run.model(b"a model")
        found = run.reference(table(2_000), scores())
        run.test(LABELS, scores(), keys=KEYS)
    assert found
    return found


MODELS = {"churn": 12_000, "quiet": 120, "young": 12_000, "rebinned": 12_000, "blind": 12_000, "moved": 12_000}
"""Model → predictions a day."""
NEW_NAME, MOVED = "moved & co. (2)", 10
"""What a model is called in its last days."""
LEFT_OUT = 4
"""The day, counted back, of which Prometheus lacks an hour; none of the next one is there."""


def lines(record: ReferenceRecord, days: dict[str, np.ndarray[Any, Any]], midnight: int) -> Iterator[str]:
    """What the rules have recorded of one model, and of an older version of churn, in OpenMetrics."""
    versions = [record.run_id, "an older one"] if record.model == "churn" else [record.run_id]
    for feature in record.features:
        for place, name in enumerate(feature.bins):
            labels = f'side="{feature.side}",feature="{feature.name}",bin="{name}"'
            for version in versions:
                for hour, value in enumerate(days[feature.name][..., place].ravel()):
                    at = midnight - (RECORDED * 24 - hour - 1) * HOUR
                    back = (midnight - at) // DAY + 1
                    lacks = back == LEFT_OUT + 1 or (back == LEFT_OUT and hour % 24 == 7)
                    model = NEW_NAME if record.model == "moved" and back <= MOVED else record.model
                    if not lacks and (record.model != "young" or back <= 3):
                        series = f'model:service_bin:increase1h{{version="{version}",model="{model}",{labels}}}'
                        yield f"{series} {value} {at}\n"


ODD = 'model="rebinned",side="input",feature="country",bin="es"'


ALERTS = [
    # Alert, model, its day counted back, from and until which hour, other labels.
    ("ServiceInputDrifted", "churn", 34, 9, 35, ""),  # until the next day
    ("ServicePredictionsShifted", "churn", 25, 9, 9, ""),  # only pending
    ("ServiceSlow", "churn", 20, 9, 10, ""),
    ("ServiceAccuracyLow", "churn", 20, 9, 10, 'version="an older one",'),
    ("ServiceInputDrifted", "another", 20, 9, 10, ""),
    ("ServiceInputDrifted", "churn", 1, 9, 10, ""),
    ("ServiceInputDrifted", "blind", 20, 13.1, 13.2, ""),
    ("ServicePredictionsShifted", "blind", 19, 9, 10, ""),
    ("ServicePredictionsShifted", "blind", 12, 9, 10, ""),
    ("OddOrders", NEW_NAME, 6, 9, 10, 'retrain="yes",'),
]
"""What was firing."""


def alert_lines(midnight: int) -> Iterator[str]:
    """What Prometheus has recorded of alerts, a sample a minute; each was pending in the hour before."""
    for name, model, back, begin, end, others in ALERTS:
        for minute in range(int(60 * begin) - 60, int(60 * end)):
            state = "firing" if minute >= 60 * begin else "pending"
            labels = f'alertname="{name}",alertstate="{state}",model="{model}",{others}'
            yield f"ALERTS{{{labels.rstrip(',')}}} 1 {midnight - back * DAY + 60 * minute}\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("baseline")
    store, midnight = (folder / "ledger").as_uri(), int(time.time()) // DAY * DAY
    random = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CATWALK_STORE", store)
        patch.setenv("CATWALK_SHIP", "1")
        records = [trained(model) for model in MODELS]
        days: Days = {
            record.model: {each.name: hours(each, MODELS[record.model], random) for each in record.features}
            for record in records
        }
        for name in ("age", "country", "member"):
            days["blind"][name] *= 0
        samples = [line for record in records for line in lines(record, days[record.model], midnight)]
        text = "".join(samples).replace('model="rebinned",side="input",feature="country",bin="de"', ODD)
        text = f"# TYPE model:service_bin:increase1h gauge\n{text}# TYPE ALERTS gauge\n{''.join(alert_lines(midnight))}"
        (folder / "samples").write_text(f"{text}# EOF\n")
        create_blocks(folder / "samples", folder / "data")
        with recorded(folder) as url:
            yield World(store, url, midnight, days, {record.model: record.run_id for record in records})


@pytest.fixture(autouse=True)
def _here(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_STORE", world.store)
    monkeypatch.setenv("CATWALK_PROMETHEUS_URL", world.url)
    monkeypatch.setenv("CATWALK_BY", "ada")


@pytest.fixture
def command(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Any]:
    found: Callable[..., Any] = command_line(capfd, monkeypatch, tmp_path)
    return found


@pytest.fixture
def _without(world: World) -> Iterator[None]:
    """Leaves no baseline for the next test, and no version that has been in service for long."""
    yield
    store = open_store(world.store)
    for model, run_id in world.runs.items():
        for name in ("baseline.json", "baseline_declined.json"):
            store.delete(f"runs/{run_id}/{name}")
        world.promoted(model, time.time())

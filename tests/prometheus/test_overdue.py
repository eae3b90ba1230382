"""When a run is overdue: from a model's schedule, by what the exporter makes of it, to the alert."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

import pytest

from catwalk.ledger.records.model import WatchedRecord
from catwalk_exporter.exposition import Facts, Settings, families
from catwalk_exporter.snapshot import Snapshot
from tests.prometheus.book import complaint
from tests.prometheus.scenario import Scenario, constant, has
from tests.support.ledgers import summary

pytestmark = pytest.mark.integration

MODEL = "churn"
BERLIN = "30 2 * * * Europe/Berlin"
FAMILIES = ("catwalk_next_run_due_timestamp_seconds", "catwalk_good_run_due_timestamp_seconds", "catwalk_model_info")


def at(text: str) -> float:
    """Unix time of a moment, in UTC."""
    return datetime.fromisoformat(f"{text}+00:00").timestamp()


@dataclass(frozen=True)
class Story:
    """A model whose last run, if it has had one, went well, and after which no other begins."""

    about: str
    schedule: str
    began: str
    """When its last scheduled run did, or, without one, when it was added."""
    quiet: tuple[str, ...]
    """Moments at which nothing may fire."""
    late: str = ""
    """When the warning fires; empty: never."""
    missed_twice: str = ""
    """When the critical alert does."""
    runs: bool = True
    retired: str = ""


STORIES = [
    Story(
        "a weekday cron is quiet at the weekend", "0 3 * * 1-5", "2026-11-27 03:00",
        ("2026-11-28 12:00", "2026-11-29 23:00", "2026-11-30 04:10"), "2026-11-30 04:30", "2026-12-01 04:30",
    ),
    Story(
        "a missed night tells after the grace", "0 3 * * *", "2026-11-24 03:00",
        ("2026-11-25 03:30", "2026-11-25 04:10"), "2026-11-25 04:30", "2026-11-26 04:30",
    ),
    Story(
        "a model that was added and has never run", "0 3 * * *", "2026-11-24 12:00",
        ("2026-11-25 04:10",), "2026-11-25 04:30", "2026-11-26 04:30", runs=False,
    ),
    Story(
        "a retired model", "0 3 * * *", "2026-11-24 03:00", ("2026-11-25 06:00", "2026-11-30 06:00"),
        retired="2026-11-24 12:00",
    ),
    Story(
        "a model that was added and retired", "0 3 * * *", "2026-11-24 03:00", ("2026-11-25 06:00", "2026-11-30 06:00"),
        runs=False, retired="2026-11-24 12:00",
    ),
    Story(
        "a weekly model on Tuesday", "every 7 d", "2026-11-23 03:00", ("2026-11-24 12:00", "2026-11-30 04:10"),
        "2026-11-30 04:30", "2026-12-07 04:30",
    ),
    Story(
        "the clock goes forward over the hour", BERLIN, "2026-03-28 01:30",
        ("2026-03-29 01:30", "2026-03-29 02:10"), "2026-03-29 03:00", "2026-03-30 02:00",
    ),
    Story(
        "the clock goes back over the hour", BERLIN, "2026-10-24 00:30",
        ("2026-10-25 01:40",), "2026-10-25 02:00", "2026-10-26 03:00",
    ),
    Story(
        "a run in the hour that comes twice is not due again in its second", BERLIN, "2026-10-25 00:30",
        ("2026-10-25 04:00", "2026-10-26 02:40"), "2026-10-26 03:00", "2026-10-27 03:00",
    ),
]  # fmt: skip


def told(story: Story) -> dict[str, str]:
    """What the exporter tells all the time, with the beginning of the story as time 0."""
    began = at(story.began)
    run = summary(
        model=MODEL, problem="binary", schedule=story.schedule, started=began, updated=began + 60, finished=began + 60
    )
    known = WatchedRecord(
        MODEL, schedule=story.schedule, changed=began, retired=at(story.retired) if story.retired else 0.0
    )
    facts = Facts(Snapshot((run,) if story.runs else (), models=(known,)), True, {}, None, began + 120)
    return {
        name_of(sample.name, sample.labels): constant(
            sample.value - began * family.name.endswith("_timestamp_seconds"), 3_000
        )
        for family in families(facts, Settings())
        if family.name in FAMILIES
        for sample in family.samples
    }


def name_of(family: str, labels: dict[str, str]) -> str:
    every = {**labels, "job": "exporter", "instance": "exporter:1"}
    return family + "{" + ",".join(f"{name}={json.dumps(value)}" for name, value in every.items()) + "}"


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.about)
def test_an_overdue_run_is_told_when_it_is_one(story: Story) -> None:
    wanted: dict[str, dict[str, float]] = {moment: {} for moment in story.quiet}
    if story.late:
        wanted[story.late] = firing("warning")
        wanted[story.missed_twice] = firing("warning", "critical")
    expect = [
        has(
            'ALERTS{alertname="RetrainingOverdue", alertstate="firing"}',
            f"{at(moment) - at(story.began):.0f}s",
            samples,
        )
        for moment, samples in wanted.items()
    ]
    assert not complaint([Scenario(story.about, told(story), tuple(expect), "10m")], beside=["RetrainingOverdue"])


def firing(*severities: str) -> dict[str, float]:
    """The alert of the model, with these severities."""
    labels = f'alertname="RetrainingOverdue", alertstate="firing", area="pipeline", model="{MODEL}"'
    return {f'{{{labels}, severity="{severity}"}}': 1.0 for severity in severities}

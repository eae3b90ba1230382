"""A bundle's rules behave like ours in a Prometheus where others have series of the same names."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from catwalk.bundle.files import contents
from catwalk.bundle.options import Options
from stack.settings import tool
from tests.catwalk.bundle.guest import Guest, is_ours
from tests.prometheus.book import SCENARIOS
from tests.prometheus.scenario import Scenario

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_800)]

PLACES = {"exporter_url": "http://exporter", "grafana_url": "http://grafana", "courier_url": "http://courier"}
GUESTS = {
    "by jobs": Options(**PLACES),
    "by labels": Options(
        **PLACES,
        labels={"cluster": "blue"},
        jobs={"exporter": "ml/catwalk-exporter", "statsd_exporter": "catwalk.statsd", "courier": "catwalk courier"},
    ),
}
STORIES = [story for story in SCENARIOS if is_ours(story)]
FEW = STORIES[::8]
"""Cases in which only the job distinguishes ours: fewer expressions are rewritten, so fewer scenarios run."""


@pytest.mark.parametrize(("name", "stories"), [("by labels", STORIES), ("by jobs", FEW)], ids=["by labels", "by jobs"])
def test_every_scenario_has_the_same_result_as_at_home(name: str, stories: list[Scenario]) -> None:
    assert len(STORIES) > 180
    guest = Guest(GUESTS[name])
    assert guest.bodies
    assert not guest.complaint(stories)


@pytest.mark.parametrize("options", GUESTS.values(), ids=GUESTS)
def test_promtool_accepts_every_file(options: Options, tmp_path: Path) -> None:
    files = {name: text for name, text in contents(options).items() if name.startswith("prometheus/rules/")}
    for name, text in files.items():
        (tmp_path / Path(name).name).write_text(text)
    command = [str(tool("promtool")), "check", "rules", "--lint=all", "--lint-fatal", *map(str, tmp_path.glob("*.yml"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(files) == 12

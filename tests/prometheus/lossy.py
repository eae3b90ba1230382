"""The same stories when scrapes are lost: now and then Prometheus does not reach a target."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from tests.prometheus.scenario import Scenario

_STEP = re.compile(r"(?P<first>-?[\d.e]+)(?P<slope>[+-][\d.e]+)?x(?P<more>\d+)|_x(?P<gap>\d+)|(?P<word>\S+)")
_JOB, _INSTANCE = re.compile(r'job="(\w+)"'), re.compile(r'instance="([^"]+)"')

Loses = Callable[[int], bool]
"""Number of a scrape → whether it is lost."""
Samples = list[str]


def every(period: int, length: int = 1) -> Loses:
    """Loses the last `length` scrapes of each period."""
    return lambda number: number % period >= period - length


def lossy(story: Scenario, loses: Loses) -> Scenario:
    """The story with scrapes lost.

    A scrape that is the first to show a change is never lost: everything would only come later.
    """
    told = {name: samples(values) for name, values in story.series.items()}
    for job in sorted({found[1] for name in told if (found := _JOB.search(name))}):
        told |= _of_job(job, {name: values for name, values in told.items() if f'job="{job}"' in name}, loses)
    return replace(story, series={name: " ".join(values) for name, values in told.items()})


def _of_job(job: str, told: dict[str, Samples], loses: Loses) -> dict[str, Samples]:
    length = max(map(len, told.values()))
    lost = {number for number in range(1, length - 1) if loses(number) and _is_quiet(number, told.values())}
    found = {
        name: [_lost(name, value) if number in lost else value for number, value in enumerate(values)]
        for name, values in told.items()
        if not name.startswith("up{")
    }
    for instance in {match[1] for name in told if (match := _INSTANCE.search(name))}:
        up = f'up{{job="{job}", instance="{instance}"}}'
        before = told.get(up, ["1"] * length)
        found[up] = ["0" if number in lost and value == "1" else value for number, value in enumerate(before)]
    return found


def _lost(name: str, value: str) -> str:
    """What Prometheus stores of a scrape that failed."""
    if name.startswith("scrape_samples_"):
        return "0"
    return value if value == "_" or name.startswith("scrape_") else "stale"


def _is_quiet(number: int, series: Iterable[Samples]) -> bool:
    """Whether the scrapes before and after show the same values, or counters that rise evenly."""
    return all(_goes_on(values[number - 1 : number + 2]) for values in series)


def _goes_on(three: Samples) -> bool:
    if len(set(three)) <= 1:
        return True
    try:
        before, now, after = map(float, three)
    except ValueError:
        return False
    return abs((now - before) - (after - now)) < 1e-9


def samples(text: str) -> Samples:
    """Each sample of a series, from promtool's short notation."""
    found: Samples = []
    for step in _STEP.finditer(text):
        if step["first"]:
            first, slope = float(step["first"]), float(step["slope"] or 0)
            found += [repr(first + slope * number) for number in range(int(step["more"]) + 1)]
        else:
            found += ["_"] * int(step["gap"]) if step["gap"] else [step["word"]]
    return [re.sub(r"^(-?\d+)\.0$", r"\1", value) for value in found]

"""Which runs may be removed."""

from __future__ import annotations

from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.retention import DAY_SECONDS, expired
from tests.support.ledgers import summary

NOW = 1_800_000_000.0


def run(number: int, days: float, **changes: object) -> SummaryRecord:
    ended = NOW - days * DAY_SECONDS
    return summary(f"2026110{number}T030000Z-0000000{number}", updated=ended, finished=ended, **changes)


RUNS = [run(1, 40), run(2, 35, model="other"), run(3, 20), run(4, 1)]


def gone(*, keep: tuple[str, ...] = (), days: float | None = None, newest: int | None = None) -> list[str]:
    return [summary.run_id[7] for summary in expired(RUNS, keep, NOW, days, newest)]


def test_a_run_is_removed_only_by_age_and_number_together() -> None:
    assert gone(days=30) == ["1", "2"]
    assert gone(newest=1) == ["1", "3"]
    assert gone(days=30, newest=1) == ["1"]
    assert gone(newest=0) == ["1", "2", "3", "4"]


def test_kept_and_running_runs_stay() -> None:
    assert gone(days=30, keep=(RUNS[0].run_id,)) == ["2"]
    running = [run(5, 90, state="running")]
    assert expired(running, (), NOW, 30, 0) == []

"""A ledger of models in every state that a fleet knows."""

from __future__ import annotations

import time
from typing import Any

from catwalk.ledger.models.watched import key
from catwalk.ledger.records.decision import CheckRecord
from catwalk.ledger.records.model import ChampionRecord, WatchedRecord
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.storage.store import Store
from tests.support.ledgers import MODEL_SHA256, put_summary, summary

HOUR, DAY = 3_600.0, 86_400.0
ODD = "котики & 犬: 50 %"
"""A name with most of what an address, a query or a line of StatsD gives a meaning to."""
_FLOOR = CheckRecord("accuracy_floor", "failed", 0.901, 0.95, None, None, "It is below the floor.")
_HELD = {"decision": "hold", "reason": "no_better"}
_NONE = {"decision": "", "reason": "", "test_accuracy": None, "test_class_accuracy": []}
_LAST: dict[str, dict[str, Any]] = {
    "below-its-floor": {"ended": 2 * HOUR, "decision": "hold", "reason": "floor", "checks": [_FLOOR]},
    "failed": {"ended": HOUR, "state": "failed", **_NONE},
    "failed-days-ago": {"ended": 3 * DAY, "state": "failed", "schedule": "@yearly", **_NONE},
    "overdue": {"ended": 3 * DAY, "schedule": "0 3 * * *", "reason": "better"},
    "held": {"ended": 26 * HOUR, "schedule": "30 6 * * 1", **_HELD},
    "shipped": {"ended": 20 * DAY, "schedule": "@yearly", "problem": "regression", "reason": "newer_data"},
    "running": {"ended": 60.0, "state": "running", "finished": None, "schedule": "@monthly", **_NONE},
    "by-hand": {"ended": DAY, "trigger": "cli", "decision": "would_ship", "reason": "better"},
    "retired": {"ended": 40 * DAY, "state": "failed", "schedule": "@yearly", **_NONE},
    ODD: {"ended": 5 * HOUR, "schedule": "@yearly", "problem": "binary", "reason": "first"},
}
"""Model → how its last run differs from one that ended well, and seconds since it ended."""
SHIPPED = ("below-its-floor", "overdue", "held", "shipped", ODD)
"""Models that have a version in service."""
OWNERS = {"held": "growth", "shipped": "pricing", ODD: "кухня", "overdue": "growth", "running": "search"}


def last_run(model: str) -> str:
    """Its run_id."""
    return f"20261101T030000Z-{sorted(_LAST).index(model):08x}"


def _last(model: str, now: float, ended: float, **changes: Any) -> SummaryRecord:
    at = now - ended
    times = {"started": at - 300, "updated": at, "finished": at, "decided": at - 5, "model": model}
    kept = {"owner": OWNERS.get(model, ""), "dag_id": "", "dag_run_id": ""}
    return summary(last_run(model), **{"reason": "better", "problem": "multiclass", **times, **kept, **changes})


def put_fleet(store: Store) -> None:
    """Fills an empty store. Two models have a record and no run: one waits for its first, one was renamed."""
    now = time.time()
    for model, changes in _LAST.items():
        put_summary(store, _last(model, now, **changes))
    for model in SHIPPED:
        promoted = ChampionRecord(model, last_run(model), MODEL_SHA256, now - 12 * DAY, "", last_run(model), "test", "")
        store.put_record(f"champions/{model}.json", promoted)
    for known in (
        WatchedRecord("retired", {"kind": "multiclass"}, "@yearly", "growth", retired=now - DAY),
        WatchedRecord("waits", {"kind": "regression"}, "@yearly", "pricing", changed=now),
        WatchedRecord("former", retired=now - DAY, renamed_to="waits"),
    ):
        store.put_record(key(known.model), known)

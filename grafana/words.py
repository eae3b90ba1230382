"""Words for codes."""

from __future__ import annotations

from grafana.panels import ACT, FINE, LOOK, PLAIN, STATES

REASONS = {
    "first": ("the first to reach every floor", FINE),
    "better": ("better than the champion", FINE),
    "newer_data": ("as good, on newer data", FINE),
    "no_better": ("no better than the champion", PLAIN),
    "anchor_stale": ("as good, but its anchor is stale", LOOK),
    "inconclusive": ("not certainly within the margin", PLAIN),
    "precondition": ("it could not be compared", LOOK),
    "floor": ("a floor is not reached", PLAIN),
    "calibration": ("poorly calibrated", PLAIN),
    "worse": ("worse than a shipped version", PLAIN),
    "class": ("a class or slice got worse", PLAIN),
    "serves": ("it does not serve as tested", LOOK),
}
"""Why the gate ships or holds. A model that is held because it is no better needs no one to act."""
_SHIP = ("first", "better", "newer_data")
OUTCOMES = {
    **{f"ship {reason}": (f"Shipped: {REASONS[reason][0]}", FINE) for reason in _SHIP},
    **{f"would_ship {reason}": (f"Would ship: {REASONS[reason][0]}", PLAIN) for reason in _SHIP},
    **{f"hold {reason}": (f"Held: {text}", color) for reason, (text, color) in REASONS.items() if reason not in _SHIP},
}
"""Decision and reason: a run that isn't allowed to ship, such as one by hand, has the reason of one that is."""
_BRIEF = {
    "no_better": "no better",
    "anchor_stale": "stale anchor",
    "inconclusive": "not certain",
    "precondition": "not compared",
    "floor": "below a floor",
    "calibration": "calibration",
    "worse": "worse",
    "class": "a worse class",
    "serves": "doesn't serve",
}
BRIEFLY = {
    **{outcome: (text.partition(":")[0].lower(), color) for outcome, (text, color) in OUTCOMES.items()},
    **{f"hold {reason}": (f"held: {text}", REASONS[reason][1]) for reason, text in _BRIEF.items()},
}
"""The same for a narrow column."""
FLEET = {
    "0": ("critical", ACT),
    "1": ("no data", ACT),
    "2": ("warning", LOOK),
    "3": ("last run failed", LOOK),
    "4": ("overdue", LOOK),
    "5": ("waiting", PLAIN),
    "6": ("OK", FINE),
    "7": ("retired", PLAIN),
}
"""What a model needs, by the most severe condition: an alert, no exporter, its last run, its schedule."""
CHECKS = {
    "precondition": "can be compared",
    "accuracy_floor": "accuracy ≥ threshold",
    "recall_floor": "recall of the worst class ≥ threshold",
    "calibration": "calibration error ≤ threshold",
    "quality": "headline of the test",
    "model_bytes": "size of the weights ≤ threshold",
    "inference_seconds": "time for 1,000 examples ≤ threshold",
    "better": "significant gap to the champion > threshold",
    "not_inferior_champion": "gap to the champion, low > threshold",
    "anchor_fresh": "the anchor is not stale",
    "not_inferior_anchor": "gap to the anchor, low > threshold",
    "class_regression": "p of the worst class ≥ threshold",
    "slice_regression": "p of the worst slice ≥ threshold",
    "test_set_size": "smallest detectable gap ≤ threshold",
    "newer_data": "newer data than the champion's",
    "serves": "serves as tested",
}
"""The condition of each check of the gate; other checks, such as a floor of a metric, have their own name."""
VERDICTS = {
    "passed": ("passed", FINE),
    "failed": ("failed", PLAIN),
    "inconclusive": ("inconclusive", PLAIN),
    "skipped": ("skipped", PLAIN),
}
ATTENTION = {"0": ("OK", FINE), "1": ("warning", LOOK), "2": ("critical", ACT), "3": ("no data", ACT)}
"""By the most severe alert that is firing, and by whether the data that alerts need is there."""
SEVERITIES = {"1": ("critical", ACT), "2": ("warning", LOOK), "3": ("info", PLAIN)}
"""By rank."""
SERVICE = {
    "0": ("healthy", FINE),
    "1": ("drifted", LOOK),
    "2": ("warning", LOOK),
    "3": ("silent", ACT),
    "4": ("failing", ACT),
    "5": ("not scraped", LOOK),
    "6": ("no service", PLAIN),
}
"""The state of a model's service, by its firing alerts and by when a replica was last scraped."""
HEALTH = {"0": ("not healthy", ACT), "1": ("healthy", FINE)}
SCRAPED = {"0": ("not scraped", ACT), "1": ("scraped", FINE)}

__all__ = [
    "ATTENTION",
    "BRIEFLY",
    "CHECKS",
    "FLEET",
    "HEALTH",
    "OUTCOMES",
    "REASONS",
    "SCRAPED",
    "SERVICE",
    "SEVERITIES",
    "STATES",
    "VERDICTS",
]

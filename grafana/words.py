"""What codes mean, in words for people."""

from __future__ import annotations

from grafana.panels import ACT, FINE, LOOK, PLAIN, STATES

REASONS = {
    "first": ("the first to reach every floor", FINE),
    "better": ("better than the champion", FINE),
    "newer_data": ("as good, on newer data", FINE),
    "no_better": ("no better, which harms nobody", PLAIN),
    "anchor_stale": ("as good, but its anchor is stale", LOOK),
    "inconclusive": ("not surely within the margin", PLAIN),
    "precondition": ("it could not be compared", LOOK),
    "floor": ("a floor is not reached", LOOK),
    "calibration": ("it is not to be trusted", LOOK),
    "worse": ("worse than what was shipped", LOOK),
    "class": ("a class or slice got worse", LOOK),
    "serves": ("it does not serve as it was tested", LOOK),
}
"""Why the gate ships or holds; a test compares its keys with :mod:`catwalk.gate.decision`'s."""
_SHIP = ("first", "better", "newer_data")
OUTCOMES = {
    **{f"ship {reason}": (f"Shipped: {REASONS[reason][0]}", FINE) for reason in _SHIP},
    **{f"would_ship {reason}": (f"Would ship: {REASONS[reason][0]}", PLAIN) for reason in _SHIP},
    **{f"hold {reason}": (f"Held: {text}", color) for reason, (text, color) in REASONS.items() if reason not in _SHIP},
}
"""Decision and reason: what may not ship, such as a try by hand, has the reason of what does."""
FLEET = {
    "0": ("act now", ACT),
    "1": ("no data", ACT),
    "2": ("look soon", LOOK),
    "3": ("run no good", LOOK),
    "4": ("overdue", LOOK),
    "5": ("waits", PLAIN),
    "6": ("fine", FINE),
    "7": ("retired", PLAIN),
}
"""What a model needs, by the gravest of what holds of it: an alert, no exporter, its last run, its schedule."""
STANDING = {"0": ("in use", PLAIN), "1": ("waits", PLAIN), "2": ("retired", PLAIN)}
"""Waits: for its first run."""
VERDICTS = {
    "passed": ("passed", FINE),
    "failed": ("failed", LOOK),
    "inconclusive": ("inconclusive", PLAIN),
    "skipped": ("skipped", PLAIN),
}
ATTENTION = {"0": ("fine", FINE), "1": ("look soon", LOOK), "2": ("act now", ACT), "3": ("no data", ACT)}
"""By the gravest alert that fires, and whether what alerts stand on is measured at all."""
SEVERITIES = {"critical": ("critical: act now", ACT), "warning": ("warning: look soon", LOOK), "info": ("info", PLAIN)}
SERVICE = {
    "0": ("healthy", FINE),
    "1": ("drifted", LOOK),
    "2": ("look soon", LOOK),
    "3": ("silent", ACT),
    "4": ("fails", ACT),
    "5": ("not scraped", LOOK),
    "6": ("no service", PLAIN),
}
"""How a model's service stands: by the alerts that fire, and whether a replica is scraped, or was in the last week."""
STAGE = {"0": ("not running", "transparent"), "1": ("running", "blue")}
HEALTH = {"0": ("not healthy", ACT), "1": ("healthy", FINE)}
SCRAPED = {"0": ("not scraped", ACT), "1": ("scraped", FINE)}

__all__ = [
    "ATTENTION",
    "FLEET",
    "HEALTH",
    "OUTCOMES",
    "REASONS",
    "SCRAPED",
    "SERVICE",
    "SEVERITIES",
    "STAGE",
    "STANDING",
    "STATES",
    "VERDICTS",
]

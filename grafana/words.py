"""What codes mean, in words for people."""

from __future__ import annotations

from grafana.panels import ACT, FINE, LOOK, PLAIN, STATES

REASONS = {
    "first": ("Shipped: the first model that reaches every floor", FINE),
    "better": ("Shipped: better than the champion", FINE),
    "newer_data": ("Shipped: as good as the champion, trained on newer data", FINE),
    "no_better": ("Held: no better than the champion, which harms nobody", PLAIN),
    "inconclusive": ("Held: neither better nor surely within the margin", PLAIN),
    "precondition": ("Held: the comparison could not be made", LOOK),
    "floor": ("Held: a floor is not reached", LOOK),
    "calibration": ("Held: its probabilities are not to be trusted", LOOK),
    "worse": ("Held: worse than what was shipped before", LOOK),
    "class": ("Held: a class or slice got worse", LOOK),
}
"""Why the gate ships or holds; a test compares its keys with :mod:`catwalk.gate.decision`'s."""
WHY = {
    "first": ("first to reach every floor", FINE),
    "better": ("better", FINE),
    "newer_data": ("as good, newer data", FINE),
    "no_better": ("no better", PLAIN),
    "inconclusive": ("not surely within the margin", PLAIN),
    "precondition": ("could not be compared", LOOK),
    "floor": ("a floor is not reached", LOOK),
    "calibration": ("not to be trusted", LOOK),
    "worse": ("worse than before", LOOK),
    "class": ("a class or slice got worse", LOOK),
}
"""The same in few words, beside what was decided."""
DECISIONS = {"ship": ("shipped", FINE), "hold": ("held", PLAIN), "would_ship": ("would ship", PLAIN)}
FLEET = {
    "0": ("act now", ACT),
    "1": ("no data", ACT),
    "2": ("look soon", LOOK),
    "3": ("run no good", LOOK),
    "4": ("overdue", LOOK),
    "5": ("waits", PLAIN),
    "6": ("retired", PLAIN),
    "7": ("fine", FINE),
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
STAGE = {"0": ("not running", "transparent"), "1": ("running", "blue")}
HEALTH = {"0": ("not healthy", ACT), "1": ("healthy", FINE)}
SCRAPED = {"0": ("not scraped", ACT), "1": ("scraped", FINE)}

__all__ = [
    "ATTENTION",
    "DECISIONS",
    "FLEET",
    "HEALTH",
    "REASONS",
    "SCRAPED",
    "SEVERITIES",
    "STAGE",
    "STANDING",
    "STATES",
    "VERDICTS",
    "WHY",
]

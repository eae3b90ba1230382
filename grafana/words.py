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

__all__ = ["ATTENTION", "HEALTH", "REASONS", "SCRAPED", "SEVERITIES", "STAGE", "STATES", "VERDICTS"]

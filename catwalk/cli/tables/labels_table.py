"""How the command line shows the labels that were stored, and their results."""

from __future__ import annotations

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from catwalk.ledger.records.realised import RealisedRecord, Score
from catwalk.service.labels.arrival import Taken

_DAYS = 14


def lines(taken: Taken) -> Iterator[str]:
    """The outcome for the labels, in lines."""
    waiting = f", {taken.waiting:,} rows have no label yet" if taken.waiting else ""
    yield f"{taken.new:,} new labels, {taken.known:,} known labels{waiting}"
    if taken.realised is None:
        yield "the ledger has no predictions of the model yet; the labels are kept until it does"
        return
    counts = taken.realised.labels
    yield f"{counts.get('joined', 0):,} labels were joined to their prediction"
    for name, meaning in (
        ("unknown", "labels have an id that is not in the log, or no longer"),
        (
            "conflicting",
            "ids have contradictory labels, and count as unlabelled; a label with a later time decides",
        ),
        ("served_twice", "predictions repeat an earlier one's id, and don't count"),
        ("unreadable", "labels, answers or lines of the log can't be read"),
    ):
        if counts.get(name):
            yield f"{counts[name]:,} {meaning}"


def table(record: RealisedRecord) -> Table:
    """The last days, one line per day and version."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    made.add_column("day", no_wrap=True)
    made.add_column("version", overflow="fold")
    for name in ("served", "logged", "sampled out", "dropped", "lost", "labelled", record.metric.replace("_", " ")):
        made.add_column(name, justify="right", no_wrap=True)
    for day in record.days[-_DAYS:]:
        counts = day.served, day.logged, day.sampled_out, day.dropped, day.lost, day.score.labelled
        figures = [*(f"{count:,}" for count in counts), _figure(record.metric, day.score)]
        made.add_row(day.day, escape(day.version), *figures)
    return made


def _figure(metric: str, score: Score) -> str:
    if score.value is None:
        return "–"
    ratio = metric == "accuracy"
    value = f"{score.value:.1%}" if ratio else f"{score.value:.4g}"
    if score.low is None or score.high is None:
        return value
    between = f"{100 * score.low:.1f}–{score.high:.1%}" if ratio else f"{score.low:.4g}–{score.high:.4g}"
    return f"{value} ({between})"

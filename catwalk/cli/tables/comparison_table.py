"""A comparison of runs on a terminal, curves as sparklines, and as plain values for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from catwalk.cli.tables import output
from catwalk.knobs import knob_text
from catwalk.ledger.records import EpochRecord, EvaluationRecord
from catwalk.report.comparison.differences import Comparison, Difference, Pair
from catwalk.report.comparison.entries import Entry

_BLOCKS = "▁▂▃▄▅▆▇█"
_SPARK_WIDTH = 16
_WIDE = 120
_CLASS_ROWS = 3
"""Up to so many runs beside the baseline, the table of classes has a line a class; with more, a line a run."""
_MOST_CLASSES = 20
"""Of more classes, those with the largest differences are shown."""


def sparkline(values: Sequence[float], width: int = _SPARK_WIDTH) -> str:
    """A curve in one line: the lowest value is the lowest block; × where a value is not finite.

    A curve longer than `width` is thinned out; its first and last value stay.
    """
    if len(values) > width:
        values = [values[round(index * (len(values) - 1) / (width - 1))] for index in range(width)]
    finite = [value for value in values if math.isfinite(value)]
    low, span = min(finite, default=0.0), max(finite, default=0.0) - min(finite, default=0.0)
    top = len(_BLOCKS) - 1

    def block(value: float) -> str:
        return _BLOCKS[round(top * (value - low) / span) if span else 0] if math.isfinite(value) else "×"

    return "".join(map(block, values))


def tables(comparison: Comparison, width: int) -> list[Any]:
    """What the terminal shows: runs, what sets them apart, and classes; below 120 columns runs are numbered."""
    wide = width >= _WIDE
    names = {entry.run_id: entry.run_id if wide else str(number) for number, entry in enumerate(comparison.entries, 1)}
    parts: list[Any] = [_runs_wide(comparison) if wide else _runs_narrow(comparison, width), ""]
    if comparison.parameters:
        parts.append("[bold]parameters that differ[/]")
        parts.append(_parameters_wide(comparison) if wide else _parameters_narrow(comparison, names))
    else:
        parts.append("All runs have the same parameters, seed, dataset and code.")
    pairs = [pair for pair in comparison.pairs if pair.classes]
    if pairs:
        parts += ["", "[bold]accuracy by class, less the baseline's, in points[/]"]
        parts.append(_classes(pairs, comparison.classes(_MOST_CLASSES), names, width))
        choice = comparison.choice(_MOST_CLASSES)
        parts += [f"[dim]{choice} --json has all.[/]"] if choice else []
    told = ((pair.run_id, pair.why or pair.note) for pair in comparison.pairs)
    parts += [f"[dim]{run_id}: {escape(sentence)}[/]" for run_id, sentence in told if sentence]
    if pairs:
        parts.append(
            "[dim]* more than noise: McNemar's exact test on the same examples, p Holm-corrected over the runs, or "
            "over the classes of a run, below 0.05[/]"
        )
    return parts


def _runs_wide(comparison: Comparison) -> Table:
    table = _table(2)
    for name in ("run", "validation loss", "valid. accuracy"):
        table.add_column(name, no_wrap=True)
    for name in ("best\n/last", "valid.\nloss", "test\n%", "difference\nin points", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in map(_Row, comparison.entries, [None, *comparison.pairs]):
        difference = _with_interval(row.overall) if row.overall else row.no_difference
        table.add_row(
            row.entry.run_id,
            row.spark("validation_loss"),
            row.spark("validation_accuracy"),
            *row.scores,
            difference,
            row.p,
        )
    return table


def _runs_narrow(comparison: Comparison, width: int) -> Table:
    if width < output.NARROW:
        return _runs_narrowest(comparison)
    table = _table(1)
    table.add_column("", justify="right", no_wrap=True)
    for name in ("run", "valid.\naccuracy"):
        table.add_column(name, no_wrap=True)
    for name in ("best\n/last", "valid.\nloss", "test\n%", "less\nfirst's", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for number, row in enumerate(map(_Row, comparison.entries, [None, *comparison.pairs]), 1):
        difference = _points(row.overall, 2) if row.overall else "" if row.pair is None else "-"
        table.add_row(
            str(number), row.entry.run_id, row.spark("validation_accuracy", 8), *row.scores, difference, row.p
        )
    return table


def _runs_narrowest(comparison: Comparison) -> Table:
    """What fits 40 columns."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("run", no_wrap=True)
    for name in ("test", "less"):
        table.add_column(name, justify="right", no_wrap=True)
    for number, row in enumerate(map(_Row, comparison.entries, [None, *comparison.pairs]), 1):
        difference = _points(row.overall, 1) if row.overall else "" if row.pair is None else "-"
        evaluation = row.entry.evaluation.value
        score = output.number(_percent(evaluation), ".1f")
        table.add_row(str(number), row.entry.run_id, score, difference)
    return table


@dataclass(frozen=True)
class _Row:
    """One run's cells."""

    entry: Entry
    pair: Pair | None
    """None for the baseline."""

    @property
    def epochs(self) -> Sequence[EpochRecord]:
        return self.entry.training.value.epochs if self.entry.training.value else []

    @property
    def overall(self) -> Difference | None:
        return self.pair.overall if self.pair else None

    @property
    def no_difference(self) -> str:
        return "-" if self.pair else "baseline"

    @property
    def p(self) -> str:
        return f"{self.overall.p:.2g}" if self.overall else ""

    @property
    def scores(self) -> tuple[str, str, str]:
        """Best and last epoch, validation loss, test accuracy in per cent."""
        training, evaluation = self.entry.training.value, self.entry.evaluation.value
        best = training.best if training else None
        return (
            f"{best.epoch if best else '-'}/{len(self.epochs)}" if self.epochs else "-",
            output.number(self.epochs[-1].validation_loss, ".4f") if self.epochs else "-",
            output.number(_percent(evaluation), ".2f"),
        )

    def spark(self, field: str, width: int = _SPARK_WIDTH) -> str:
        values = [getattr(record, field) for record in self.epochs]
        return sparkline([math.nan if value is None else value for value in values], width)


def _percent(evaluation: EvaluationRecord | None) -> float | None:
    """Test accuracy."""
    return None if evaluation is None or evaluation.accuracy is None else 100 * evaluation.accuracy


def _table(padding: int) -> Table:
    return Table(box=None, padding=(0, padding, 0, 0), header_style="bold")


def _with_interval(difference: Difference) -> str:
    return f"{_points(difference, 2)} ({100 * difference.low:+.2f} to {100 * difference.high:+.2f})"


def _points(difference: Difference, digits: int) -> str:
    text = f"{100 * difference.value:+.{digits}f}"
    if not difference.significant:
        return text
    return f"[{'green' if difference.value > 0 else 'red'}]{text}*[/]"


def _parameters_wide(comparison: Comparison) -> Table:
    table = _table(2)
    table.add_column("run", no_wrap=True)
    for name in comparison.parameters:
        table.add_column(escape(name), justify="right", overflow="fold")
    for number, entry in enumerate(comparison.entries):
        told = (knob_text(name, values[number]) for name, values in comparison.parameters.items())
        table.add_row(entry.run_id, *map(escape, told))
    return table


def _parameters_narrow(comparison: Comparison, names: Mapping[str, str]) -> Table:
    table = Table.grid(padding=(0, 1))
    for number, entry in enumerate(comparison.entries):
        told = (f"{name}={knob_text(name, values[number])}" for name, values in comparison.parameters.items())
        table.add_row(names[entry.run_id], escape(" ".join(told)))
    return table


def _classes(pairs: Sequence[Pair], classes: Sequence[str], names: Mapping[str, str], width: int) -> Table:
    if len(pairs) == 1 or (width >= _WIDE and len(pairs) <= _CLASS_ROWS):
        return _classes_down(pairs, classes, names)
    across = _classes_across(pairs, classes, names)
    return across if _fits(across, width) else _classes_listed(pairs, classes, names)


def _fits(table: Table, width: int) -> bool:
    console = Console(width=10_000)
    return width >= output.NARROW and console.measure(table).maximum <= width


def _classes_listed(pairs: Sequence[Pair], classes: Sequence[str], names: Mapping[str, str]) -> Table:
    """For few columns, or long names: what would be a row is told in words."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for pair in pairs:
        found = ((name, pair.classes.get(name)) for name in classes)
        told = (f"{escape(name)} {_points(difference, 1)}" for name, difference in found if difference)
        table.add_row(names[pair.run_id], ", ".join(told))
    return table


def _classes_down(pairs: Sequence[Pair], classes: Sequence[str], names: Mapping[str, str]) -> Table:
    table = _table(2)
    table.add_column("class", overflow="fold")
    for pair in pairs:
        table.add_column(names[pair.run_id], justify="right", overflow="fold")
        table.add_column("p", justify="right", no_wrap=True)
    for name in classes:
        found = [pair.classes.get(name) for pair in pairs]
        cells = [cell for one in found for cell in ((_with_interval(one), f"{one.p:.2g}") if one else ("-", "-"))]
        table.add_row(escape(name), *cells)
    return table


def _classes_across(pairs: Sequence[Pair], classes: Sequence[str], names: Mapping[str, str]) -> Table:
    table = _table(1)
    table.add_column("", no_wrap=True)
    for name in classes:
        table.add_column(escape(name.replace("-", "-\n")), justify="right", no_wrap=True)
    for pair in pairs:
        found = [pair.classes.get(name) for name in classes]
        table.add_row(names[pair.run_id], *(_points(one, 1) if one else "-" for one in found))
    return table


def as_plain(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON has it; NaN and infinity are strings there."""
    by_id = {pair.run_id: pair for pair in comparison.pairs}
    return {
        "baseline": comparison.baseline.run_id,
        "runs": [_plain_entry(entry, by_id.get(entry.run_id)) for entry in comparison.entries],
        "parameters": comparison.parameters,
    }


def _plain_entry(entry: Entry, pair: Pair | None) -> dict[str, Any]:
    training, evaluation = entry.training.value, entry.evaluation.value
    curves = output.plain(training)["epochs"] if training else []
    return {
        "run_id": entry.run_id,
        "validation_loss": [record["validation_loss"] for record in curves],
        "validation_accuracy": [record["validation_accuracy"] for record in curves],
        "best_epoch": training.best.epoch if training and training.best else None,
        "test_accuracy": evaluation.accuracy if evaluation else None,
        "difference": _plain_difference(pair.overall) if pair and pair.overall else None,
        "classes": {name: _plain_difference(found) for name, found in pair.classes.items()} if pair else {},
        "why": pair.why if pair else "",
        "note": pair.note if pair else "",
    }


def _plain_difference(difference: Difference) -> dict[str, Any]:
    return {**asdict(difference), "significant": difference.significant}

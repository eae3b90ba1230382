"""A comparison of runs for a terminal, with curves as sparklines, and as plain values for programs."""

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
from catwalk.ledger.records.training import EpochRecord
from catwalk.report.comparison.differences import Comparison, Difference, Pair
from catwalk.report.comparison.entries import Entry

_BLOCKS = "▁▂▃▄▅▆▇█"
_SPARK_WIDTH = 16
_WIDE = 120
_CLASS_ROWS = 3
"""With up to this many runs beside the baseline, the table of classes has one line per class; with more, per run."""
_MOST_CLASSES = 20
"""Maximum number of classes shown: those with the largest differences."""


def sparkline(values: Sequence[float], width: int = _SPARK_WIDTH) -> str:
    """A curve in one line: the lowest value is the lowest block; × marks a value that is not finite.

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
    """The tables on the terminal: runs, their differences, and classes. Below 120 columns, runs are numbered."""
    wide = width >= _WIDE
    names = {entry.run_id: entry.run_id if wide else str(number) for number, entry in enumerate(comparison.entries, 1)}
    parts: list[Any] = [_runs_wide(comparison) if wide else _runs_narrow(comparison, width), ""]
    if comparison.parameters:
        parts.append("[bold]parameters that differ[/]")
        parts.append(_parameters_wide(comparison) if wide else _parameters_narrow(comparison, names))
    else:
        parts.append("All runs have the same parameters, seed, dataset and code.")
    parts += _listed("metrics, and each run's change from the baseline", _metrics(comparison, names))
    parts += _listed(_slice_title(comparison), _slices(comparison, names))
    pairs = [pair for pair in comparison.pairs if pair.classes]
    if pairs:
        parts += ["", "[bold]accuracy by class, minus the baseline's, in points[/]"]
        parts.append(_classes(pairs, comparison.classes(_MOST_CLASSES), names, width))
        choice = comparison.choice(_MOST_CLASSES)
        parts += [f"[dim]{choice} --json has all.[/]"] if choice else []
    notes = ((pair.run_id, pair.why or pair.note) for pair in comparison.pairs)
    parts += [f"[dim]{run_id}: {escape(sentence)}[/]" for run_id, sentence in notes if sentence]
    if len(comparison.kinds) > 1:
        kinds = ", ".join(comparison.kinds)
        parts.append(
            f"[dim]Runs of different kinds ({kinds}) can't be compared with each other; see each by itself.[/]"
        )
    if comparison.tests:
        of = "classes" if pairs else "slices"
        parts.append(
            f"[dim]* more than noise: {comparison.tests} on the same examples, p Holm-corrected over the runs, "
            f"or over the {of} of a run, below 0.05[/]"
        )
    return parts


def _listed(title: str, rows: Sequence[tuple[str, str]]) -> list[Any]:
    """A line of text for each run, under a title; nothing if there are no rows."""
    if not any(text for _, text in rows):
        return []
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        if text:
            table.add_row(name, text)
    return ["", f"[bold]{escape(title)}[/]", table]


def _metrics(comparison: Comparison, names: Mapping[str, str]) -> list[tuple[str, str]]:
    rows = []
    for entry in comparison.entries:
        texts = []
        for metric in comparison.metrics:
            change = comparison.change(metric, entry)
            if metric.name in entry.scores:
                beside = "" if change is None else f" ({metric.signed(change)})"
                texts.append(f"{metric.title} {metric.text(entry.scores[metric.name])}{beside}")
        rows.append((names[entry.run_id], escape(", ".join(texts))))
    return rows


def _slice_title(comparison: Comparison) -> str:
    metric = comparison.baseline.problem.metrics[0]
    unit = metric.unit_of_change
    return f"{metric.title} by slice, minus the baseline's{f', in {unit}' if unit else ''}; {metric.better}"


def _slices(comparison: Comparison, names: Mapping[str, str]) -> list[tuple[str, str]]:
    shown = comparison.slices(_MOST_CLASSES)
    found = ((pair, [(name, pair.slices[name]) for name in shown if name in pair.slices]) for pair in comparison.pairs)
    return [
        (names[pair.run_id], ", ".join(f"{escape(name)} {_points(difference, 1)}" for name, difference in slices))
        for pair, slices in found
    ]


def _runs_wide(comparison: Comparison) -> Table:
    table, rows = _table(2), _rows(comparison)
    table.add_column("run", no_wrap=True)
    sparks = [
        (name, field)
        for name, field in (("validation loss", "validation_loss"), ("valid. accuracy", "validation_accuracy"))
        if any(row.spark(field) for row in rows)
    ]
    for name, _ in sparks:
        table.add_column(name, no_wrap=True)
    for name in ("best\n/last", "valid.\nloss", _test_header(comparison), _difference_header(comparison), "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        difference = _with_interval(row.overall) if row.overall else row.no_difference
        table.add_row(row.entry.run_id, *(row.spark(field) for _, field in sparks), *row.scores, difference, row.p)
    return table


def _rows(comparison: Comparison) -> list[_Row]:
    return list(map(_Row, comparison.entries, [None, *comparison.pairs]))


def _test_header(comparison: Comparison) -> str:
    return "test\n%" if {entry.problem.metrics[0].name for entry in comparison.entries} == {"accuracy"} else "test"


def _difference_header(comparison: Comparison) -> str:
    unit = comparison.baseline.problem.metrics[0].unit_of_change
    return "difference" + (f"\nin {escape(unit)}" if unit else "")


def _runs_narrow(comparison: Comparison, width: int) -> Table:
    if width < output.NARROW:
        return _runs_narrowest(comparison)
    table, rows = _table(1), _rows(comparison)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("run", no_wrap=True)
    sparks = any(row.spark("validation_accuracy") for row in rows)
    if sparks:
        table.add_column("valid.\naccuracy", no_wrap=True)
    for name in ("best\n/last", "valid.\nloss", _test_header(comparison), "less\nfirst's", "p"):
        table.add_column(name, justify="right", no_wrap=name != "test", overflow="fold")
    for number, row in enumerate(rows, 1):
        difference = _points(row.overall, 2) if row.overall else "" if row.pair is None else "-"
        spark = [row.spark("validation_accuracy", 8)] if sparks else []
        table.add_row(str(number), row.entry.run_id, *spark, *row.scores, difference, row.p)
    return table


def _runs_narrowest(comparison: Comparison) -> Table:
    """The columns that fit a terminal of 40 columns."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("run", no_wrap=True)
    table.add_column("test", justify="right", overflow="fold")
    table.add_column("less", justify="right", overflow="fold")
    for number, row in enumerate(_rows(comparison), 1):
        difference = _points(row.overall, 1) if row.overall else "" if row.pair is None else "-"
        table.add_row(str(number), row.entry.run_id, row.headline(1), difference)
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
        """Best and last epoch, validation loss, and the headline."""
        training = self.entry.training.value
        best = training.best if training else None
        return (
            f"{best.epoch if best else '-'}/{len(self.epochs)}" if self.epochs else "-",
            output.number(self.epochs[-1].validation_loss, ".4f") if self.epochs else "-",
            self.headline(2),
        )

    def headline(self, digits: int) -> str:
        """Accuracy in percent, or another metric with its name and unit."""
        metric = self.entry.problem.metrics[0]
        value = self.entry.scores.get(metric.name)
        if metric.name == "accuracy":
            return output.number(None if value is None else 100 * value, f".{digits}f")
        return "-" if value is None else escape(f"{metric.title} {metric.text(value)}")

    def spark(self, field: str, width: int = _SPARK_WIDTH) -> str:
        values = [getattr(record, field) for record in self.epochs]
        if all(value is None for value in values):
            return ""
        return sparkline([math.nan if value is None else value for value in values], width)


def _table(padding: int) -> Table:
    return Table(box=None, padding=(0, padding, 0, 0), header_style="bold")


def _with_interval(difference: Difference) -> str:
    _, low, high = difference.texts()
    return f"{_points(difference, 2)} ({low} to {high})"


def _points(difference: Difference, digits: int) -> str:
    """A difference in points, or in the metric's unit with its significant digits."""
    ratio = difference.metric.unit == "ratio"
    text = f"{100 * difference.value:+.{digits}f}" if ratio else difference.texts()[0]
    if not difference.significant:
        return text
    return f"[{'green' if difference.better else 'red'}]{text}*[/]"


def _parameters_wide(comparison: Comparison) -> Table:
    table = _table(2)
    table.add_column("run", no_wrap=True)
    for name in comparison.parameters:
        table.add_column(escape(name), justify="right", overflow="fold")
    for number, entry in enumerate(comparison.entries):
        texts = (knob_text(name, values[number]) for name, values in comparison.parameters.items())
        table.add_row(entry.run_id, *map(escape, texts))
    return table


def _parameters_narrow(comparison: Comparison, names: Mapping[str, str]) -> Table:
    table = Table.grid(padding=(0, 1))
    for number, entry in enumerate(comparison.entries):
        texts = (f"{name}={knob_text(name, values[number])}" for name, values in comparison.parameters.items())
        table.add_row(names[entry.run_id], escape(" ".join(texts)))
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
    """For narrow terminals or long names: each row in words."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for pair in pairs:
        found = ((name, pair.classes.get(name)) for name in classes)
        texts = (f"{escape(name)} {_points(difference, 1)}" for name, difference in found if difference)
        table.add_row(names[pair.run_id], ", ".join(texts))
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
    """The comparison for JSON; NaN and infinity are strings there."""
    by_id = {pair.run_id: pair for pair in comparison.pairs}
    return {
        "baseline": comparison.baseline.run_id,
        "runs": [_plain_entry(comparison, entry, by_id.get(entry.run_id)) for entry in comparison.entries],
        "parameters": comparison.parameters,
    }


def _plain_entry(comparison: Comparison, entry: Entry, pair: Pair | None) -> dict[str, Any]:
    training, evaluation = entry.training.value, entry.evaluation.value
    curves = output.plain(training)["epochs"] if training else []
    return {
        "run_id": entry.run_id,
        "validation_loss": [record["validation_loss"] for record in curves],
        "validation_accuracy": [record["validation_accuracy"] for record in curves],
        "best_epoch": training.best.epoch if training and training.best else None,
        "problem": entry.problem.kind,
        "test_accuracy": evaluation.accuracy if evaluation else None,
        "test_metrics": entry.scores,
        "metric_differences": {
            metric.name: change
            for metric in comparison.metrics
            if (change := comparison.change(metric, entry)) is not None
        },
        "difference": _plain_difference(pair.overall) if pair and pair.overall else None,
        "classes": {name: _plain_difference(found) for name, found in pair.classes.items()} if pair else {},
        "slices": {name: _plain_difference(found) for name, found in pair.slices.items()} if pair else {},
        "why": pair.why if pair else "",
        "note": pair.note if pair else "",
    }


def _plain_difference(difference: Difference) -> dict[str, Any]:
    plain = {**asdict(difference), "significant": difference.significant, "better": difference.better}
    return {**plain, "metric": difference.metric.name}

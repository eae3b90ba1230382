"""How the command line shows runs: tables for people, JSON for programs."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from catwalk.codec import to_json
from catwalk.knobs import knob_text
from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.ledger.records.evaluation import EvaluationRecord, SliceRecord
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.records.training import EpochRecord, TrainingRecord
from catwalk.ledger.records.values import class_names, is_finite
from catwalk.ledger.summaries import run_seconds, shown_state
from catwalk.problems import measured
from catwalk.problems.interface import Problem
from catwalk.problems.multiclass import Multiclass

if TYPE_CHECKING:
    from catwalk.cli.doctor.check import Check
    from catwalk.cli.tables.run_table import Recipe
    from catwalk.ledger.migration import Migrated
    from catwalk.problems.limits import Limit

T = TypeVar("T")
_CLASSES = Multiclass()
"""The problem of models that the stages train."""
_PIPED_WIDTH = 160
_EXPLODED = 1e5
_WIDE = 100
_MOST_ROWS = 20
"""Maximum number of classes or slices in a table: the worst."""
_MOST_EPOCHS = 50
"""Maximum number of epochs in a table, evenly spaced."""
_OTHER_METRICS = 4
"""Maximum number of columns of epochs beside loss and accuracy."""
NARROW = 80
"""A terminal with fewer columns shows only what matters most."""
_COLOURS = {
    "succeeded": "green",
    "running": "cyan",
    "failed": "red",
    "cancelled": "yellow",
    "stalled": "red",
    "lost": "red",
    "untested": "yellow",
    "ship": "green",
    "hold": "yellow",
}


def show(*parts: RenderableType) -> None:
    """Writes facts to stdout. Piped output is wide, so that no column is cut for a terminal that isn't there."""
    if sys.stdout.isatty():
        Console(width=width(), highlight=False).print(*parts, sep="\n")
        return
    console = Console(width=width(), highlight=False)
    with console.capture() as captured:
        console.print(*parts, sep="\n")
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def stderr() -> Console:
    """For progress and errors."""
    return Console(stderr=True, highlight=False)


def width() -> int:
    """The columns that :func:`show` uses: `COLUMNS`, or those of the terminal."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPED_WIDTH


def plain(record: object) -> Any:
    """A record as plain values; NaN and infinity are strings there."""
    return json.loads(to_json(record))


def print_json(value: object) -> None:
    """Writes JSON, and nothing else, to stdout; NaN and infinity are strings there, as in the ledger."""
    print(to_json(value).decode(), end="")


def duration(seconds: float | None) -> str:
    """``54.2 s``, ``3m 20s``, ``2h 05m`` or ``6d 14h``; a dash if there is none, or it is not finite."""
    if not is_finite(seconds):
        return "-"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 100:
        return f"{hours // 24}d {hours % 24:02}h"
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m {left:02}s"


def runs_table(summaries: Sequence[SummaryRecord], now: float, stalled_seconds: float, width: int) -> Table:
    """One line per run, in the given order; below 100 columns without model and trigger."""
    if width < NARROW:
        return _narrow_table(summaries, now, stalled_seconds)
    wide = width >= _WIDE
    table = Table(box=None, padding=(0, 2 if wide else 1, 0, 0), header_style="bold")
    with_model = wide and len({summary.model for summary in summaries}) > 1
    table.add_column("run", no_wrap=True)
    if with_model:
        table.add_column("model", overflow="fold")
    for name in ("state", "trigger") if wide else ("state",):
        table.add_column(name, no_wrap=True)
    by_accuracy = any(summary.headline in ("", "accuracy") for summary in summaries)
    for name in ("best\n/last", "valid.\nloss", "test\n%" if by_accuracy else "test"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("decision", overflow="fold", min_width=8)
    table.add_column("took", justify="right", no_wrap=True)
    for summary in summaries:
        table.add_row(
            summary.run_id,
            *([escape(summary.model)] if with_model else []),
            coloured(shown_state(summary, now, stalled_seconds)),
            *([summary.trigger] if wide else []),
            f"{summary.best_epoch or '-'}/{summary.last_epoch or summary.epochs}" if summary.epochs else "-",
            number(summary.last_validation_loss, ".4f"),
            headline(summary, 2),
            decision(summary),
            duration(run_seconds(summary, now)),
        )
    return table


def _narrow_table(summaries: Sequence[SummaryRecord], now: float, stalled_seconds: float) -> Table:
    """The columns that fit a terminal of 40 columns."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for name in ("run", "state"):
        table.add_column(name, no_wrap=True)
    table.add_column("test", justify="right", no_wrap=True)
    for summary in summaries:
        state = coloured(shown_state(summary, now, stalled_seconds))
        table.add_row(summary.run_id, state, headline(summary, 1))
    return table


def headline(summary: SummaryRecord, digits: int) -> str:
    """The headline: accuracy in percent, or another metric with its name."""
    accuracy = summary.test_accuracy and 100 * summary.test_accuracy
    return escape(summary.named_headline) or number(accuracy, f".{digits}f")


def recipes_table(recipes: Sequence[Recipe]) -> Table:
    """One line per recipe: accuracy over its seeds, and the settings that differ from the others."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("test %", "sd", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("best run", no_wrap=True)
    table.add_column("recipe", overflow="fold")
    for recipe in recipes:
        settings = " ".join(
            f"{name}={'-' if value in (None, '') else knob_text(name, value)}"
            for name, value in recipe.parameters.items()
        )
        table.add_row(
            f"{100 * recipe.mean:.2f}",
            number(recipe.stddev and 100 * recipe.stddev, ".2f"),
            str(recipe.runs),
            recipe.best,
            escape(settings or "the only one"),
        )
    return table


def number(value: float | None, form: str) -> str:
    """A figure, or a dash if there is none yet; an exploded loss in scientific notation."""
    if value is None:
        return "-"
    return format(value, form if abs(value) < _EXPLODED else ".1e") if math.isfinite(value) else str(value)


def coloured(word: str) -> str:
    """A state or decision in its colour, as rich markup."""
    return f"[{_COLOURS[word]}]{word}[/]" if word in _COLOURS else escape(word)


def decision(summary: SummaryRecord) -> str:
    """Ship or hold, and why; or why there is no decision."""
    if not summary.decision:
        return f"[dim]{escape(summary.reason.replace('_', ' '))}[/]" if summary.reason else "-"
    return f"{coloured(summary.decision)} {escape(summary.reason.replace('_', ' '))}"


def sentence(summary: SummaryRecord) -> str:
    """The decision in the gate's words."""
    colour = _COLOURS.get(summary.decision, "")
    return f"[{colour}]{escape(summary.sentence)}[/]" if colour else escape(summary.sentence)


def run_facts(
    summary: SummaryRecord,
    training: TrainingRecord | None,
    evaluation: EvaluationRecord | None,
    attempts: Sequence[AttemptRecord],
    now: float,
    stalled_seconds: float,
    problem: Problem = _CLASSES,
    whole: bool = False,
    limits: Iterable[Limit] = (),
) -> RenderableType:
    """The facts of a run, on a screen or two; if `whole`, with every epoch, class and slice."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    limit_lines = "\n".join(
        f"{limit.name} {limit.value}" + f": {limit.reason}" * bool(limit.reason) for limit in limits
    )
    for name, value in [
        *_facts(summary, training, now, stalled_seconds),
        *([("limits", escape(limit_lines))] if limit_lines else []),
    ]:
        facts.add_row(name, value)
    parts: list[RenderableType] = [facts]
    if attempts:
        parts += ["", _attempts_table(attempts, summary.state == "running", now)]
    if training and training.epochs:
        parts += ["", _epochs_table(training, whole)]
    if evaluation:
        parts += ["", evaluation_facts(evaluation, problem, whole)]
    return Group(*parts)


def _facts(
    summary: SummaryRecord, training: TrainingRecord | None, now: float, stalled_seconds: float
) -> list[tuple[str, str]]:
    parameters = " ".join(f"{name}={knob_text(name, value)}" for name, value in summary.parameters.items())
    return [
        ("run", f"{summary.run_id}  ({escape(summary.model)}{', synthetic data' if summary.synthetic else ''})"),
        (
            "state",
            coloured(shown_state(summary, now, stalled_seconds))
            + (f" in {escape(summary.stopped_in)}" if summary.stopped_in else ""),
        ),
        *([("error", f"[red]{escape(summary.error)}[/]")] * bool(summary.error)),
        *([("owner", escape(summary.owner))] if summary.owner else []),
        *([("links", escape(addresses(summary.links)))] if summary.links else []),
        ("trigger", summary.trigger + (f", DAG run {escape(summary.dag_run_id)}" if summary.dag_run_id else "")),
        *([("requested by", f"{escape(summary.alert)}, episode {summary.episode}")] * bool(summary.alert)),
        *(
            [("sweep", f"{escape(summary.sweep)}  (catwalk runs --where 'sweep = {escape(summary.sweep)}')")]
            * bool(summary.sweep)
        ),
        ("took", duration(run_seconds(summary, now))),
        ("decision", sentence(summary) if summary.sentence else "none yet" if summary.state == "running" else "none"),
        ("parameters", escape(parameters)),
        *_seed(summary),
        ("code", escape(summary.git_commit or "not a git checkout")),
        ("dataset", (summary.dataset_sha256 or "-") + (f", as of {escape(summary.as_of)}" if summary.as_of else "")),
        ("model", f"{summary.model_sha256 or '-'}{_size(training)}"),
        *_not_in_prometheus(summary),
    ]


def _not_in_prometheus(summary: SummaryRecord) -> Iterator[tuple[str, str]]:
    if summary.points_dropped:
        yield "lost points", f"{summary.points_dropped:,} could not be sent (catwalk replay {summary.run_id})"
    if summary.series_left_out:
        yield "left out", f"{summary.series_left_out:,} series, to fit Prometheus' limit; the report has every epoch"


def addresses(links: Mapping[str, str]) -> str:
    """Name and URL, one line each."""
    return "\n".join(f"{name} {url}" for name, url in links.items())


def _seed(summary: SummaryRecord) -> list[tuple[str, str]]:
    """The seed of a run of the stages: a program that logs uses its own."""
    note = "" if summary.reproducible else "  (resumed on another device: not reproducible)"
    return [] if summary.problem else [("seed", f"{summary.seed}{note}")]


def _size(training: TrainingRecord | None) -> str:
    """The size of a model: its number of parameters, or its bytes if a program logged it."""
    if training is None or not (training.parameters or training.model_bytes):
        return ""
    return f"  ({training.parameters:,} parameters)" if training.parameters else f"  ({training.model_bytes:,} bytes)"


def _mebibytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 2**20:,.0f} MiB"


def _gpu_cells(record: AttemptRecord) -> tuple[str, str]:
    use = record.gpu_utilisation_ratio
    return _mebibytes(record.gpu_peak_memory_bytes), "-" if use is None else f"{use:.0%}"


def _attempts_table(attempts: Sequence[AttemptRecord], running: bool, now: float) -> Table:
    on_gpu = ("GPU memory", "GPU use") if any(record.has_used_gpu for record in attempts) else ()
    table = _table("stage", "attempt", "outcome", "took", "CPU", "peak memory", *on_gpu, "error")
    for record in attempts:
        runs = running and record is attempts[-1] and record.outcome is None
        outcome = "running" if runs else record.outcome or "no end was recorded"
        table.add_row(
            record.stage,
            str(record.number),
            coloured(outcome),
            duration(now - record.started if runs else record.duration_seconds),
            duration(record.cpu_seconds),
            _mebibytes(record.peak_memory_bytes),
            *(_gpu_cells(record) if on_gpu else ()),
            escape(record.error),
        )
    return table


def _epochs_table(training: TrainingRecord, whole: bool) -> RenderableType:
    """One line per epoch. Unless `whole`, a long run shows evenly spaced epochs, with the first, the last and the best.
    Columns without any figure are left out.
    """
    best = training.best
    shown = training.epochs if whole else _some(training.epochs, best)
    columns = [(name, [read(record) for record in shown]) for name, read in _epoch_columns(training)]
    filled = [(name, cells) for name, cells in columns if any(cell.strip("- ") for cell in cells)]
    table = _table(*(name for name, _ in filled), right=True)
    for row in zip(*(cells for _, cells in filled), strict=True):
        table.add_row(*row)
    notes = []
    if len(shown) < len(training.epochs):
        notes.append(f"[dim]{len(shown)} of {len(training.epochs):,}; --all shows each[/]")
    if best:
        notes.append(f"[dim]** lowest validation loss; a run's model is that of its last {training.axis}[/]")
    return Group(table, *notes)


def _some(epochs: Sequence[EpochRecord], best: EpochRecord | None) -> Sequence[EpochRecord]:
    every = math.ceil(len(epochs) / _MOST_EPOCHS)
    return [
        record for place, record in enumerate(epochs) if place % every == 0 or record is best or record is epochs[-1]
    ]


def _epoch_columns(training: TrainingRecord) -> list[tuple[str, Callable[[EpochRecord], str]]]:
    """Heading and reader of each column; two columns may share a heading."""
    epochs, best = training.epochs, training.best

    def other(split: str, name: str) -> Callable[[EpochRecord], str]:
        return lambda record: number(record.metrics.get(split, {}).get(name), ".5g")

    def mark(record: EpochRecord) -> str:
        return " *" if best and record.epoch == best.epoch else "  "

    return [
        (training.axis, lambda record: f"{record.epoch}"),
        ("train loss", lambda record: number(record.train_loss, ".4f")),
        ("train acc.", lambda record: number(record.train_accuracy, ".2%")),
        ("valid. loss", lambda record: number(record.validation_loss, ".4f") + mark(record)),
        ("valid. acc.", lambda record: number(record.validation_accuracy, ".2%")),
        *(
            (f"{split.replace('validation', 'valid.')} {escape(name)}", other(split, name))
            for split, name in _other_metrics(epochs)
        ),
        ("rate", lambda record: number(record.learning_rate, ".4f")),
        ("took", lambda record: duration(record.duration_seconds)),
    ]


def _other_metrics(epochs: Sequence[EpochRecord]) -> list[tuple[str, str]]:
    """Split and name of the epochs' metrics beside loss and accuracy, as many as fit."""
    named = {(split, name): None for record in epochs for split, values in record.metrics.items() for name in values}
    return list(named)[:_OTHER_METRICS]


def evaluation_facts(record: EvaluationRecord, problem: Problem = _CLASSES, whole: bool = False) -> RenderableType:
    """The score on the test split: its metrics, and one line per class and slice, only the worst unless `whole`."""
    return Group(*_metrics(record, problem), *_classes(record, whole), *_slices(record, problem, whole))


def _metrics(record: EvaluationRecord, problem: Problem) -> list[RenderableType]:
    if record.accuracy is not None:
        others = ", ".join(f"{name.replace('_', ' ')} {number(value, '.5g')}" for name, value in record.metrics.items())
        return [
            f"[bold]test accuracy {number(record.accuracy, '.2%')}[/], loss {number(record.loss, '.4f')}, calibration "
            f"error {number(record.calibration_error, '.2%')}{others and f', {others}'} ({record.examples:,} examples)"
        ]
    found = measured(problem, record.scores)
    if not found:
        return [f"test of {record.examples:,} examples"]
    table = _table("metric", "test", "", "meaning")
    table.columns[1].justify = "right"
    for metric, value in found:
        table.add_row(metric.title, escape(metric.text(value)), f"[dim]{metric.better}[/]", f"[dim]{metric.help}[/]")
    headline, value = found[0]
    return [f"[bold]test {headline.title} {escape(headline.text(value))}[/] ({record.examples:,} examples)", "", table]


def _classes(record: EvaluationRecord, whole: bool) -> list[RenderableType]:
    """One line per class; if there are many, those with the lowest accuracy."""
    if not record.class_accuracy:
        return []
    table = _table("class", "accuracy", "precision", "F1", "most often predicted as")
    for column in table.columns[1:4]:
        column.justify = "right"
    classes = class_names(record.classes, len(record.class_accuracy))
    tested = [sum(row) > 0 for row in record.confusion]

    def order(label: int) -> float:
        return record.class_accuracy[label] if tested[label] else math.inf

    shown = _worst(list(range(len(classes))), order, whole)
    for label in shown:
        mistakes = {count: classes[other] for other, count in enumerate(record.confusion[label]) if other != label}
        worst = max(mistakes, default=0)
        table.add_row(
            escape(classes[label]),
            number(record.class_accuracy[label], ".1%"),
            number(record.class_precision[label], ".1%"),
            number(record.class_f1[label], ".1%"),
            f"{escape(mistakes[worst])} ({worst})" if worst else "-",
        )
    return ["", table, *_more(len(classes) - len(shown), "classes")]


def _slices(record: EvaluationRecord, problem: Problem, whole: bool) -> list[RenderableType]:
    """The headline metric for each value of each slice; if there are many, those with the worst figures."""
    metric = problem.metrics[0]
    parts = [(name, value, part) for name, values in record.slices.items() for value, part in values.items()]
    if not parts:
        return []

    def order(found: tuple[str, str, SliceRecord]) -> float:
        value = found[2].metric
        return math.inf if value is None else metric.gain(value)

    shown = _worst(parts, order, whole)
    table = _table("slice", "value", "examples", metric.title)
    for column in table.columns[2:]:
        column.justify = "right"
    for name, value, part in shown:
        figure = "-" if part.metric is None else escape(metric.text(part.metric))
        table.add_row(escape(name), escape(value), f"{part.examples:,}", figure)
    return ["", table, *_more(len(parts) - len(shown), "slices")]


def _worst(found: list[T], order: Callable[[T], float], whole: bool) -> list[T]:
    """All in their order, if they are few or all are requested; otherwise the lowest."""
    return found if whole or len(found) <= _MOST_ROWS else sorted(found, key=order)[:_MOST_ROWS]


def _more(count: int, what: str) -> list[RenderableType]:
    return [f"[dim]the {_MOST_ROWS} worst; --all shows {count} more {what}[/]"] if count else []


def check_line(check: Check) -> RenderableType:
    """One line of the doctor: verdict, part, finding, and the remedy below it."""
    line = Table.grid(padding=(0, 1))
    line.add_column(width=4)
    line.add_column(width=19)
    line.add_column(overflow="fold")
    colour = {"OK": "green", "WARN": "yellow", "FAIL": "red"}[check.verdict]
    line.add_row(f"[{colour}]{check.verdict}[/]", check.part, escape(check.finding))
    if check.remedy:
        line.add_row("", "", f"[bold]→[/] {escape(check.remedy)}")
    return line


def _table(*columns: str, right: bool = False) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


def migration_lines(outcomes: Sequence[Migrated], dry: bool) -> list[str]:
    """One line per model, and the total."""
    done = "would be migrated" if dry else "migrated"
    models = sorted({outcome.model for outcome in outcomes if outcome.model})
    lines = [_of_model([outcome for outcome in outcomes if outcome.model == model], done) for model in models]
    records = len({key for outcome in outcomes for key in outcome.outdated})  # runs share a dataset's record
    return [*lines, f"{records} record{'s' * (records != 1)} {done}"]


def _of_model(outcomes: Sequence[Migrated], done: str) -> str:
    counts = {
        done: sum(bool(outcome.outdated) for outcome in outcomes),
        "skipped while running": sum(outcome.waits for outcome in outcomes),
        "damaged": sum(bool(outcome.damaged) for outcome in outcomes),
        "up to date already": sum(outcome.is_current for outcome in outcomes),
    }
    outcome = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f"{outcomes[0].model}: {len(outcomes)} run{'s' * (len(outcomes) != 1)}, {outcome}"

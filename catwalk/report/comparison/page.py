"""The comparison of runs as one self-contained HTML page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from catwalk.knobs import knob_text
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.problems.interface import Metric
from catwalk.report.build import Report, draw_all
from catwalk.report.comparison import classes, curves, disagreements
from catwalk.report.comparison.differences import Comparison, Difference, Pair
from catwalk.report.comparison.entries import Entry
from catwalk.report.elements import document, missing, run_name
from catwalk.report.figures import names, style
from catwalk.web.markup import Content, Html, card, element, joined, link, table
from catwalk.web.values import figure, moment, percent, plural

_COLUMNS = 6
"""How many runs the table of slices has room for."""
_LONG = 20
"""A column's name with more characters may be broken."""
_MOST_OTHERS = 6
"""The most figures of metrics other than loss and accuracy."""
_KINDS = (
    "These runs are of different kinds of problem ({}), so no difference between them says which is better. Curves, "
    "parameters and metrics of the same name are shown side by side."
)


def figures(comparison: Comparison) -> dict[str, tuple[str, Callable[[Comparison], style.Drawing]]]:
    """Maps the name of the PNG file to the title and the function that draws it, in the page's order."""
    headline = comparison.baseline.problem.metrics[0]
    others = curves.others(comparison)[:_MOST_OTHERS]
    return {
        "loss": (f"Loss by {comparison.axis}", curves.loss),
        "accuracy": (f"Accuracy by {comparison.axis}", curves.accuracy),
        **{
            f"metric_{number}": (f"{name} by {comparison.axis}", curves.other(name))
            for number, name in enumerate(others, 1)
        },
        f"test_{headline.name}": (f"Test {headline.title}", curves.test_headline),
        "disagreements": ("Images the runs disagree about", disagreements.disagreements),
        "class_differences": ("Difference in accuracy by class, from the baseline", classes.class_differences),
    }


def build(comparison: Comparison, run_address: str = "") -> Report:
    """The report of a comparison.

    Args:
        comparison: A comparison of two runs or more.
        run_address: The address at which a server shows a run, with ``{}`` for its id; empty if the page is a file,
            which has no links.
    """
    pictures, shown, gaps = draw_all(figures(comparison), comparison)
    count = len(comparison.entries)
    of_classes = _classes(comparison)
    narrow = of_classes if _is_narrow(comparison) else Html("")
    body = [
        element("h1", f"{count} runs compared"),
        _verdict(comparison),
        element("h2", "Runs"),
        _runs(comparison, run_address),
        *_tested(comparison),
        element("h2", "Parameters that differ"),
        _parameters(comparison),
        element("h2", "Figures"),
        element("div", joined(*shown.values(), narrow), "grid"),
        *([element("h2", "Classes"), of_classes] if of_classes.text and not narrow.text else []),
        element("p", f"Built {moment(time.time())} from the run ledger.", "quiet"),
    ]
    return Report("comparison", document(f"{count} runs compared", *body), pictures, gaps)


def _verdict(comparison: Comparison) -> Html:
    baseline = comparison.baseline
    lines = [element("p", joined("Baseline: ", run_name(baseline.run_id)), "big")]
    better = [pair for pair in comparison.pairs if pair.overall and pair.overall.significant and pair.overall.better]
    worse = [pair for pair in comparison.pairs if pair.overall and pair.overall.significant and not pair.overall.better]
    measured = sum(pair.overall is not None for pair in comparison.pairs)
    if measured:
        of_all = f"{plural(measured, 'comparable run')}: {len(better)} better and {len(worse)} worse than the baseline"
        lines.append(element("p", f"{of_all}, by more than noise."))
    if len(comparison.kinds) > 1:
        lines.append(element("p", _KINDS.format(", ".join(comparison.kinds))))
    if comparison.tests:
        parts = "classes" if any(pair.classes for pair in comparison.pairs) else "slices"
        how = (
            f"Differences are paired, on the same test examples: {comparison.tests}, two-sided, p "
            f"Holm-corrected over the runs, or over the {parts} of a run; 95 % intervals."
        )
        lines.append(element("p", how, "quiet"))
    return card(*lines, css="edged")


def _runs(comparison: Comparison, run_address: str) -> Html:
    """Returns a table with one run per line, without the columns for which no run has a value."""
    pairs = [None, *comparison.pairs]
    rows = [_row(comparison, entry, pair, run_address) for entry, pair in zip(comparison.entries, pairs, strict=True)]
    notes = [(pair.run_id, pair.why or pair.note) for pair in comparison.pairs]
    reasons = [element("p", f"{run_id}: {sentence}", "quiet") for run_id, sentence in notes if sentence]
    shown = [name for name in rows[0] if any(row[name] not in ("", "–", "baseline") for row in rows)]
    css = ["" if name in ("run", "kind", "outcome") else "n" for name in shown]
    return card(table(shown, [[row[name] for name in shown] for row in rows], css, labels=shown), *reasons)


def _row(comparison: Comparison, entry: Entry, pair: Pair | None, run_address: str) -> dict[str, Content]:
    """Returns the cell of each column."""
    training, metric = entry.training.value, entry.problem.metrics[0]
    best, last = (training.best, training.epochs[-1]) if training and training.epochs else (None, None)
    headline = comparison.baseline.problem.metrics[0]
    several = len({one.problem.metrics[0].name for one in comparison.entries}) > 1
    score = entry.scores.get(metric.name)
    overall = pair.overall if pair else None
    difference = points(overall) if overall else "–" if pair else "baseline"
    return {
        "run": link(run_address.format(entry.run_id), run_name(entry.run_id)),
        "kind": entry.problem.kind if len(comparison.kinds) > 1 else "",
        f"best/last {comparison.axis}": f"{best.epoch if best else '–'}/{last.epoch}" if last else "–",
        "validation loss": figure(last.validation_loss if last else None),
        "accuracy": percent(last.validation_accuracy if last else None),
        "test" if several or headline.name == "accuracy" else f"test {headline.title}": "–"
        if score is None
        else f"{metric.title if several else ''} {metric.text(score)}".strip(),
        ", ".join(filter(None, ("difference", headline.unit_of_change))): difference,
        "p": f"{overall.p:.2g}" if overall else "",
        "outcome": _outcome(entry.summary),
    }


def _tested(comparison: Comparison) -> list[Html]:
    """Returns tables of the metrics that the baseline and other runs have, and of the slices that they were compared
    on.
    """
    found = []
    if comparison.metrics:
        found += [element("h2", "Metrics"), _metrics(comparison)]
    if any(pair.slices for pair in comparison.pairs):
        found += [element("h2", "Slices"), _slices(comparison)]
    return found


def _metrics(comparison: Comparison) -> Html:
    """Returns a table with one run per line, each value with its difference from the baseline's."""
    metrics = comparison.metrics
    header: list[Content] = ["run", *(_described(metric) for metric in metrics)]
    rows: list[list[Content]] = [
        [run_name(entry.run_id), *(_scored(metric, entry, comparison) for metric in metrics)]
        for entry in comparison.entries
    ]
    paired = any(comparison.change(metric, entry) is not None for metric in metrics for entry in comparison.entries)
    note = "In brackets: the difference from the baseline. Each value comes from the run's own test."
    labels = ["run", *(metric.title for metric in metrics)]
    listed = table(header, rows, ["", *["n"] * len(metrics)], labels=labels)
    return card(listed, element("p", note, "quiet") if paired else "")


def _described(metric: Metric) -> Html:
    return joined(metric.title, Html("<br>"), element("span", metric.better, "quiet"))


def _scored(metric: Metric, entry: Entry, comparison: Comparison) -> Content:
    value = entry.scores.get(metric.name)
    if value is None:
        return "–"
    change = comparison.change(metric, entry)
    if change is None:
        return metric.text(value)
    return joined(metric.text(value), Html("<br> "), element("span", f"({metric.signed(change)})", "quiet"))


def _slices(comparison: Comparison) -> Html:
    """Returns a table of differences from the baseline, one slice per row."""
    having = [pair for pair in comparison.pairs if pair.slices]
    pairs = having[:_COLUMNS]
    shown, metric = comparison.slices(names.FEW), comparison.baseline.problem.metrics[0]
    header: list[Content] = ["slice"]
    for pair in pairs:
        header += [run_name(pair.run_id), "p"]
    rows = [[name, *(cell for pair in pairs for cell in _cells(pair.slices.get(name)))] for name in shown]
    count = len({name for pair in comparison.pairs for name in pair.slices})
    unit = metric.unit_of_change
    note = style.sentences(
        f"Test {metric.title}{f' in {unit}' if unit else ''}, as a difference from the baseline; {metric.better}.",
        f"The {len(shown)} slices with the largest differences, of {count}." if len(shown) < count else "",
        f"The first {_COLUMNS} of {len(having)} runs." if len(having) > _COLUMNS else "",
    )
    return card(table(header, rows, ["name", *["n"] * (2 * len(pairs))]), element("p", note, "quiet"))


def _cells(difference: Difference | None) -> tuple[Content, Content]:
    return (points(difference), f"{difference.p:.2g}") if difference else ("–", "–")


def _outcome(summary: SummaryRecord | None) -> str:
    """Returns the decision, or the state if there is none."""
    if summary is None:
        return "–"
    return f"{summary.decision} {summary.reason.replace('_', ' ')}" if summary.decision else summary.state


def points(difference: Difference) -> Html:
    """Returns a difference with its interval, in points or its metric's unit, in colour if it is more than noise."""
    css = "" if not difference.significant else "good" if difference.better else "bad"
    text, low, high = difference.texts()
    return joined(element("b", text, css) if css else Html(text), f" ({low} to {high})")


def _parameters(comparison: Comparison) -> Html:
    if not comparison.parameters:
        return card(element("p", "None: all runs have the same parameters, seed, dataset and code."))
    names = list(comparison.parameters)
    rows: list[list[Content]] = [
        [run_name(entry.run_id), *(knob_text(name, comparison.parameters[name][number]) for name in names)]
        for number, entry in enumerate(comparison.entries)
    ]
    header = ["run", *names]
    return card(table(header, rows, ["", *["n"] * len(names)], labels=header))


def _is_narrow(comparison: Comparison) -> bool:
    """Returns whether the table of classes fits beside a figure."""
    return len(comparison.pairs) == 1


def _classes(comparison: Comparison) -> Html:
    """Returns a table of differences from the baseline in points: one class per row for few runs, one run per row for
    many.
    """
    pairs = [pair for pair in comparison.pairs if pair.classes]
    if not pairs:
        has_classes = comparison.kinds == ["multiclass"]
        return missing("Differences by class", comparison.pairs[0].why) if has_classes else Html("")
    shown, choice = comparison.classes(names.FEW), element("p", comparison.choice(names.FEW), "quiet")
    return card(_class_a_row(pairs, shown) if len(pairs) <= 3 else _run_a_row(pairs, shown), choice)


def _class_a_row(pairs: Sequence[Pair], shown: Sequence[str]) -> Html:
    header: list[Content] = ["class"]
    for pair in pairs:
        header += [run_name(pair.run_id), "p"]
    rows: list[list[Content]] = []
    for name in shown:
        row: list[Content] = [name]
        for pair in pairs:
            found = pair.classes.get(name)
            row += [points(found), f"{found.p:.2g}"] if found else ["–", "–"]
        rows.append(row)
    return table(header, rows, ["name", *["n"] * (2 * len(pairs))])


def _run_a_row(pairs: Sequence[Pair], shown: Sequence[str]) -> Html:
    header = ["run", *shown]
    rows = [[run_name(pair.run_id), *(_brief(pair.classes.get(name)) for name in shown)] for pair in pairs]
    return table(header, rows, ["", *("n name" if len(name) > _LONG else "n" for name in shown)], labels=header)


def _brief(difference: Difference | None) -> Content:
    if difference is None:
        return "–"
    text = f"{100 * difference.value:+.1f}"
    return element("b", text, "good" if difference.value > 0 else "bad") if difference.significant else text

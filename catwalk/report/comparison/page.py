"""The comparison of runs as one self-contained HTML page."""

from __future__ import annotations

import time
from collections.abc import Callable

from catwalk.knobs import knob_text
from catwalk.ledger.records import SummaryRecord
from catwalk.report.build import Report, draw_all
from catwalk.report.comparison import classes, curves, disagreements
from catwalk.report.comparison.differences import Comparison, Difference
from catwalk.report.elements import document, missing, run_name
from catwalk.report.figures import names, style
from catwalk.web.markup import Content, Html, card, element, joined, table
from catwalk.web.values import figure, moment, percent

FIGURES: dict[str, tuple[str, Callable[[Comparison], style.Drawing]]] = {
    "loss": ("Loss by epoch", curves.loss),
    "accuracy": ("Accuracy by epoch", curves.accuracy),
    "test_accuracy": ("Test accuracy", curves.test_accuracy),
    "disagreements": ("Images the runs disagree about", disagreements.disagreements),
    "class_differences": ("Accuracy by class, less the baseline's", classes.class_differences),
}
"""Name of the PNG file → title, and what draws it; in the page's order."""
_LONG = 20
"""Characters from which on a column's name may be broken."""


def build(comparison: Comparison) -> Report:
    """The report of a comparison."""
    pictures, shown, gaps = draw_all(FIGURES, comparison)
    count = len(comparison.entries)
    body = [
        element("h1", f"{count} runs compared"),
        _verdict(comparison),
        element("h2", "Runs"),
        _runs(comparison),
        element("h2", "Parameters that differ"),
        _parameters(comparison),
        element("h2", "Figures"),
        element("div", joined(*shown.values(), _classes(comparison) if _is_narrow(comparison) else ""), "grid"),
        *([] if _is_narrow(comparison) else [element("h2", "Classes"), _classes(comparison)]),
        element("p", f"Built {moment(time.time())} from the run ledger in S3.", "quiet"),
    ]
    return Report("comparison", document(f"{count} runs compared", *body), pictures, gaps)


def _verdict(comparison: Comparison) -> Html:
    baseline = comparison.baseline
    lines = [element("p", joined("Baseline: ", run_name(baseline.run_id)), "big")]
    better = [pair for pair in comparison.pairs if pair.overall and pair.overall.significant and pair.overall.value > 0]
    worse = [pair for pair in comparison.pairs if pair.overall and pair.overall.significant and pair.overall.value < 0]
    measured = sum(pair.overall is not None for pair in comparison.pairs)
    if measured:
        lines.append(
            element(
                "p",
                f"Of {measured} comparable run{'s' * (measured != 1)}, by more than noise: {len(better)} better than "
                f"the baseline, {len(worse)} worse.",
            )
        )
    lines.append(
        element(
            "p",
            "Differences are paired, on the same test examples: McNemar's exact test, two-sided, p Holm-corrected over "
            "the runs, or over the classes of a run; 95 % intervals.",
            "quiet",
        )
    )
    return card(*lines, css="edged")


def _runs(comparison: Comparison) -> Html:
    by_id = {pair.run_id: pair for pair in comparison.pairs}
    rows: list[list[Content]] = []
    for entry in comparison.entries:
        training, evaluation = entry.training.value, entry.evaluation.value
        best = training.best if training else None
        last = training.epochs[-1] if training and training.epochs else None
        pair = by_id.get(entry.run_id)
        rows.append(
            [
                run_name(entry.run_id),
                f"{best.epoch if best else '–'}/{last.epoch}" if last else "–",
                figure(last.validation_loss if last else None),
                percent(last.validation_accuracy if last else None),
                percent(evaluation.accuracy if evaluation else None),
                "baseline" if pair is None else points(pair.overall) if pair.overall else element("span", "–", "quiet"),
                "" if pair is None or not pair.overall else f"{pair.overall.p:.2g}",
                _outcome(entry.summary),
            ]
        )
    header = [
        "run",
        "best/last epoch",
        "validation loss",
        "accuracy",
        "test",
        "difference, points",
        "p",
        "outcome",
    ]
    told = [(pair.run_id, pair.why or pair.note) for pair in comparison.pairs]
    reasons = [element("p", f"{run_id}: {sentence}", "quiet") for run_id, sentence in told if sentence]
    return card(table(header, rows, ["", "n", "n", "n", "n", "n", "n", ""]), *reasons)


def _outcome(summary: SummaryRecord | None) -> str:
    """The decision; the state where there is none."""
    if summary is None:
        return "–"
    return f"{summary.decision} {summary.reason.replace('_', ' ')}" if summary.decision else summary.state


def points(difference: Difference) -> Html:
    """A difference in points with its interval; in colour where it is more than noise."""
    css = "" if not difference.significant else "good" if difference.value > 0 else "bad"
    value = element("b", f"{100 * difference.value:+.2f}", css) if css else Html(f"{100 * difference.value:+.2f}")
    return joined(value, f" ({100 * difference.low:+.2f} to {100 * difference.high:+.2f})")


def _parameters(comparison: Comparison) -> Html:
    if not comparison.parameters:
        return card(element("p", "None: all runs have the same parameters, seed, dataset and code."))
    names = list(comparison.parameters)
    rows: list[list[Content]] = [
        [run_name(entry.run_id), *(knob_text(name, comparison.parameters[name][number]) for name in names)]
        for number, entry in enumerate(comparison.entries)
    ]
    return card(table(["run", *names], rows, ["", *["n"] * len(names)]))


def _is_narrow(comparison: Comparison) -> bool:
    """Whether the table of classes fits beside a figure."""
    return len(comparison.pairs) == 1


def _classes(comparison: Comparison) -> Html:
    """Differences from the baseline in points: a class a row for few runs, a run a row for many."""
    pairs = [pair for pair in comparison.pairs if pair.classes]
    if not pairs:
        return missing("Differences by class", comparison.pairs[0].why)
    shown, choice = comparison.classes(names.FEW), element("p", comparison.choice(names.FEW), "quiet")
    if len(pairs) <= 3:
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
        return card(table(header, rows, ["name", *["n"] * (2 * len(pairs))]), choice)
    rows = [[run_name(pair.run_id), *(_brief(pair.classes.get(name)) for name in shown)] for pair in pairs]
    return card(table(["run", *shown], rows, ["", *("n name" if len(name) > _LONG else "n" for name in shown)]), choice)


def _brief(difference: Difference | None) -> Content:
    if difference is None:
        return "–"
    text = f"{100 * difference.value:+.1f}"
    return element("b", text, "good" if difference.value > 0 else "bad") if difference.significant else text

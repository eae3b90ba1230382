"""Builds the report of a run: one self-contained HTML page, and its figures as PNG files.

Whatever is missing or damaged is replaced by a sentence; the rest stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from catwalk.errors import CatwalkError
from catwalk.files import write_whole
from catwalk.ledger.runs import Run
from catwalk.report import elements, run_sections
from catwalk.report.facts import Facts, MissingError, read_facts
from catwalk.report.figures import calibration, classes, curves, examples, history, style
from catwalk.web.markup import Html, element, joined

T = TypeVar("T")
FIGURES: dict[str, tuple[str, Callable[[Facts], style.Drawing]]] = {
    "loss_and_accuracy": ("Loss and accuracy by epoch", curves.loss_and_accuracy),
    "rate_and_gradient": ("Learning rate and gradient norm", curves.rate_and_gradient),
    "class_accuracy": ("Test accuracy by class", classes.class_accuracy),
    "confusion_matrix": ("Confusion matrix, normalised by row", classes.confusion_matrix),
    "reliability": ("Reliability", calibration.reliability_diagram),
    "example_predictions": ("Example predictions", examples.example_predictions),
    "worst_mistakes": ("Worst mistakes", examples.worst_mistakes),
    "accuracy_over_runs": ("Test accuracy of all runs", history.accuracy_over_runs),
    "stage_durations": ("Stage durations", history.stage_durations),
}
"""Name of the PNG file → title, and what draws it; in the page's order."""


@dataclass(frozen=True)
class Report:
    """A report, ready to be stored."""

    name: str
    """What it is about, such as a run id."""
    html: bytes
    figures: dict[str, bytes]
    """Name → PNG."""
    missing: dict[str, str]
    """Name of a figure that could not be drawn → the sentence that says why."""


def build(run: Run) -> Report:
    """
    Raises:
        NotFoundError: there is no such run.
        StoreUnavailableError: S3 is out.
    """
    return assemble(read_facts(run), time.time())


def assemble(facts: Facts, now: float) -> Report:
    """The report of what was read, at a time in seconds since the epoch."""
    pictures, shown, missing = draw_all(FIGURES, facts)
    # The dataset's table goes beside the reliability diagram, which is as tall.
    place = list(FIGURES).index("reliability") + 1
    cells = [*shown[:place], run_sections.dataset(facts), *shown[place:]]
    body = [
        *run_sections.head(facts, now),
        element("h2", "Figures"),
        element("div", joined(*cells), "grid"),
        *run_sections.tail(facts, now),
    ]
    return Report(facts.run_id, elements.document(f"Run {facts.run_id}", *body), pictures, missing)


def draw_all(
    figures: Mapping[str, tuple[str, Callable[[T], style.Drawing]]], subject: T
) -> tuple[dict[str, bytes], list[Html], dict[str, str]]:
    """PNG files by name, what the page shows, and by name why a figure could not be drawn."""
    pictures: dict[str, bytes] = {}
    shown: list[Html] = []
    missing: dict[str, str] = {}
    for name, (title, draw) in figures.items():
        try:
            drawing = draw(subject)
            picture, html = style.as_png(drawing), elements.figure(drawing)
        except MissingError as reason:
            missing[name] = str(reason)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # nonsense in a record
            missing[name] = f"This could not be drawn: {type(error).__name__}: {error}."
        else:
            pictures[name] = picture
            shown.append(html)
            continue
        shown.append(elements.missing(title, missing[name]))
    return pictures, shown, missing


def write(report: Report, folder: Path) -> Path:
    """Writes ``report.html`` and ``figures/*.png`` into a folder; returns the page's path.

    Raises:
        CatwalkError: the folder can't be written to.
    """
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        for name, body in report.figures.items():
            write_whole(folder / "figures" / f"{name}.png", body)
        target = folder / "report.html"
        write_whole(target, report.html)
    except OSError as error:
        raise CatwalkError(
            f"{folder} can't be written to: {error.strerror}; choose another with --out, or - for standard output"
        ) from error
    return target

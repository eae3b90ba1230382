"""Builds the report of a run: one self-contained HTML page, and its figures as PNG files.

A sentence replaces anything that is missing or damaged; the rest of the page stays.
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
from catwalk.report import by_kind, elements, run_sections
from catwalk.report.facts import Facts, MissingError, read_facts
from catwalk.report.figures import style
from catwalk.web.markup import Html, element, joined

T = TypeVar("T")


@dataclass(frozen=True)
class Report:
    """A report, ready to be stored."""

    name: str
    """The subject, such as a run id."""
    html: bytes
    figures: dict[str, bytes]
    """The PNG of each figure, by name."""
    missing: dict[str, str]
    """Why a figure could not be drawn, a sentence by name."""


def build(run: Run) -> Report:
    """Reads and draws the report of a run.

    Raises:
        NotFoundError: there is no such run.
        StoreUnavailableError: S3 is unavailable.
    """
    return assemble(read_facts(run), time.time())


def assemble(facts: Facts, now: float) -> Report:
    """Returns the report of these facts; `now` is in seconds since the epoch."""
    pictures, shown, missing = draw_all(by_kind.FIGURES[facts.problem.kind], facts)
    cells, place = list(shown.values()), by_kind.before_dataset(shown)
    cells[place:place] = run_sections.dataset(facts)
    body = [
        *run_sections.head(facts, now),
        element("h2", "Figures"),
        element("div", joined(*cells), "grid"),
        *run_sections.tail(facts, now),
    ]
    return Report(facts.run_id, elements.document(f"Run {facts.run_id}", *body), pictures, missing)


def draw_all(
    figures: Mapping[str, tuple[str, Callable[[T], style.Drawing]]], subject: T
) -> tuple[dict[str, bytes], dict[str, Html], dict[str, str]]:
    """Returns three mappings by name: PNG files, what the page shows, and why a figure could not be drawn."""
    pictures: dict[str, bytes] = {}
    shown: dict[str, Html] = {}
    missing: dict[str, str] = {}
    for name, (title, draw) in figures.items():
        try:
            drawing = draw(subject)
            picture, html = style.as_png(drawing), elements.figure(drawing)
        except MissingError as reason:
            if not str(reason):
                continue
            missing[name] = str(reason)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # a nonsense record
            missing[name] = f"This could not be drawn: {type(error).__name__}: {error}."
        else:
            pictures[name] = picture
            shown[name] = html
            continue
        shown[name] = elements.missing(title, missing[name])
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
            f"can't write to {folder}: {error.strerror}; choose another folder with --out, or - for standard output"
        ) from error
    return target

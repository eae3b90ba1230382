"""The facts of one run, which replace its report while there is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from catwalk.knobs import knob_text
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.records.values import class_names
from catwalk.report import NAVIGATION
from catwalk.web.markup import Content, card, document, element, joined, link, links, listing, markup
from catwalk.web.values import figure, moment, percent
from catwalk_exporter.pages.view import View, anchor

_CLOCK = "%Y-%m-%d %H:%M:%S"
"""The names already say that it is UTC."""


@dataclass(frozen=True)
class Notice:
    """Why a run's facts are shown instead of its report."""

    text: str
    refresh_seconds: int = 0
    """How often the page reloads; 0 for never."""


def run_page(summary: SummaryRecord, view: View, notice: Notice | None = None) -> str:
    """Returns the page with the facts of one run's summary.

    Args:
        summary: The run.
        view: The data that all pages share.
        notice: Why the facts are shown instead of the report; None if they were requested.
    """
    own = [] if notice else [link(f"/runs/{summary.run_id}", "Report"), element("b", "Facts")]
    facts = _facts(summary, view.state(summary))
    body = [
        element("h1", f"Run {summary.run_id}"),
        *view.notices(),
        *([element("p", notice.text, "quiet")] if notice else []),
        card(listing((name, value) for name, value in facts if markup(value) not in ("", "–"))),
    ]
    accuracy = summary.test_class_accuracy
    if accuracy:
        names = class_names(summary.classes, len(accuracy))
        by_class = listing((name, percent(value)) for name, value in zip(names, accuracy, strict=True))
        body += [element("h2", "Test accuracy by class"), card(by_class)]
    parameters = listing((name, knob_text(name, value)) for name, value in summary.parameters.items())
    body += [element("h2", "Parameters"), card(parameters)]
    refresh = notice.refresh_seconds if notice else 0
    return document(f"Run {summary.run_id}", *body, navigation=view.header("Runs", *own), refresh_seconds=refresh)


def linked(report: bytes, run_id: str, view: View) -> bytes:
    """Returns a run's report with navigation."""
    around = view.header("Runs", element("b", "Report"), link(f"/runs/{run_id}/facts", "Facts"))
    return report.replace(NAVIGATION.encode(), around.text.encode(), 1)


def _epochs(summary: SummaryRecord) -> str:
    """Returns how far training got; most steps are not logged."""
    last = summary.last_epoch if summary.axis == "step" else None
    done = f"{summary.epochs}" if last is None else f"{last}, logged {summary.epochs} times"
    return f"{done}, best {summary.best_epoch or '–'}"


def _facts(summary: SummaryRecord, state: str) -> Iterator[tuple[str, Content]]:
    """Yields names and values; a missing value is empty, or a dash."""
    where = f" in {summary.stopped_in}" if summary.stopped_in else ""
    yield "state", joined(element("span", state, state), where)
    yield "error", summary.error
    yield "decision", element("span", summary.sentence, summary.decision) if summary.sentence else ""
    model = link(f"/models#{anchor(summary.model)}", summary.model)
    yield "model", joined(model, " (synthetic data)" if summary.synthetic else "")
    yield "owner", summary.owner
    yield "links", links(summary.links)
    yield "trigger", " ".join(part for part in (summary.trigger, summary.dag_id, summary.dag_run_id) if part)
    yield "requested by", f"{summary.alert}, episode {summary.episode}" if summary.alert else ""
    yield "sweep", _code(summary.sweep)
    yield "started (UTC)", moment(summary.started, _CLOCK)
    yield "finished (UTC)", moment(summary.finished or None, _CLOCK)
    yield f"{summary.axis}s", _epochs(summary) if summary.epochs else ""
    yield "validation loss", figure(summary.last_validation_loss)
    yield "test accuracy", percent(summary.test_accuracy)
    yield "test loss", figure(summary.test_loss)
    yield "calibration error", percent(summary.test_calibration_error)
    for name, value in summary.test_metrics.items():
        if name not in ("accuracy", "log_loss", "calibration_error") or summary.test_accuracy is None:
            yield f"test {name.replace('_', ' ')}", f"{value:.5g}"
    yield "attempts", ", ".join(f"{name} {stage.attempts}" for name, stage in summary.stages.items())
    yield "points lost", str(summary.points_dropped or "")
    yield "left out of Prometheus", f"{summary.series_left_out:,} series" if summary.series_left_out else ""
    yield "seed", str(summary.seed)
    yield "code", _code(summary.git_commit)
    yield "dataset", _code(summary.dataset_sha256)
    yield "data as of", summary.as_of
    yield "weights", _code(summary.model_sha256)


def _code(text: str) -> Content:
    return element("code", text) if text else ""

"""The exporter's web pages: an index of runs, and the facts of one. Plain HTML that needs nothing from the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from catwalk.knobs import knob_text
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.records.values import class_names
from catwalk.ledger.summaries import shown_state
from catwalk.telemetry.wire.labels import label_value
from catwalk.web.markup import (
    Content,
    Html,
    card,
    document,
    element,
    joined,
    link,
    links,
    listing,
    markup,
    navigation,
    table,
)  # fmt: skip
from catwalk.web.values import figure, moment, percent, plural
from catwalk_exporter.snapshot import Snapshot

ALL_RUNS, MODELS = link("/", "All runs"), link("/models", "Models")
_HEADER = ("run", "state", "test", "decision", "model", "trigger", "epochs", "started (UTC)")
_CSS = ("", "", "n", "name", "name", "", "n", "nowrap")


def anchor(model: str) -> str:
    """Where a model's card is on its page: by the name that Prometheus has of it, and so dashboards."""
    return f"model-{quote(label_value(model), safe='')}"


def index(snapshot: Snapshot, store_up: bool, now: float, stalled_seconds: float, limit: int = 500) -> str:
    """Every run, newest first."""
    champions = {champion.run_id for champion in snapshot.champions}
    total, newest = len(snapshot.summaries), snapshot.summaries[::-1][:limit]
    states = [shown_state(summary, now, stalled_seconds) for summary in newest]
    rows = [_row(each, state, each.run_id in champions) for each, state in zip(newest, states, strict=True)]
    body = [element("h1", "Runs"), *store_notice(store_up)]
    if snapshot.damaged:
        damaged = link("#damaged", plural(len(snapshot.damaged), "damaged object"))
        body.append(element("p", joined(damaged, " left out."), "bad"))
    body.append(card(table(_HEADER, rows, _CSS)) if rows else element("p", "No runs yet."))
    if total > limit:
        command = element("code", f"catwalk runs --limit {total}")
        body.append(element("p", joined(f"The newest {limit} of {total}; ", command, " lists all."), "quiet"))
    return document("Catwalk runs", *body, *_damaged(snapshot.damaged), navigation=navigation(MODELS))


@dataclass(frozen=True)
class Notice:
    """Why a run's facts are shown in place of its report."""

    text: str
    refresh_seconds: int = 0
    """How often the page loads itself anew; 0: never."""


def run_page(
    summary: SummaryRecord, store_up: bool, now: float, stalled_seconds: float, notice: Notice | None = None
) -> str:
    """The facts of one run's summary.

    Args:
        summary: the run.
        store_up: whether the store answers.
        now: seconds since the epoch.
        stalled_seconds: silence after which a running run counts as stalled.
        notice: why the facts are shown in place of the report; None: they were asked for.
    """
    around = [ALL_RUNS] if notice else [ALL_RUNS, link(f"/runs/{summary.run_id}", "Report")]
    facts = _facts(summary, shown_state(summary, now, stalled_seconds))
    body = [
        element("h1", f"Run {summary.run_id}"),
        *store_notice(store_up),
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
    return document(f"Run {summary.run_id}", *body, navigation=navigation(*around), refresh_seconds=refresh)


def not_found() -> str:
    """For any other address."""
    body = element("p", "There is no such page or run.")
    return document("Not found", element("h1", "Not found"), body, navigation=navigation(ALL_RUNS))


def _epochs(summary: SummaryRecord) -> str:
    """How far it went; of steps, most are not logged."""
    last = summary.last_epoch if summary.axis == "step" else None
    done = f"{summary.epochs}" if last is None else f"{last}, logged {summary.epochs} times"
    return f"{done}, best {summary.best_epoch or '–'}"


def _row(summary: SummaryRecord, state: str, is_champion: bool) -> list[Content]:
    run = element("span", link(f"/runs/{summary.run_id}", summary.run_id), "run")
    return [
        joined(run, " ", element("b", "champion")) if is_champion else run,
        element("span", state, state),
        summary.named_headline or percent(summary.test_accuracy),
        _decision(summary),
        summary.model,
        summary.trigger,
        f"{summary.last_epoch} steps" if summary.axis == "step" and summary.last_epoch else str(summary.epochs or "–"),
        moment(summary.started, _CLOCK),
    ]


_CLOCK = "%Y-%m-%d %H:%M:%S"
"""Where a column's name says already that it is UTC."""


def _facts(summary: SummaryRecord, state: str) -> Iterator[tuple[str, Content]]:
    """Name and value; empty, or a dash, where there is none."""
    where = f" in {summary.stopped_in}" if summary.stopped_in else ""
    yield "state", joined(element("span", state, state), where)
    yield "error", summary.error
    yield "decision", element("span", summary.sentence, summary.decision) if summary.sentence else ""
    model = link(f"/models#{anchor(summary.model)}", summary.model)
    yield "model", joined(model, " (synthetic data)" if summary.synthetic else "")
    yield "owner", summary.owner
    yield "links", links(summary.links)
    yield "trigger", " ".join(part for part in (summary.trigger, summary.dag_id, summary.dag_run_id) if part)
    yield "asked for by", f"{summary.alert}, episode {summary.episode}" if summary.alert else ""
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


def store_notice(store_up: bool) -> list[Html]:
    """Says that what is shown may be old, where it may be."""
    return [] if store_up else [element("p", "The store does not answer: this is what was so before.", "bad")]


def _damaged(damaged: Mapping[str, str]) -> list[Html]:
    if not damaged:
        return []
    items = [element("li", joined(element("code", key), f": {reason}")) for key, reason in sorted(damaged.items())]
    title = element("h2", "Damaged objects", id="damaged")
    return [title, element("p", "Left out of the table and of the metrics:"), element("ul", joined(*items))]


def _code(text: str) -> Content:
    return element("code", text) if text else ""


def _decision(summary: SummaryRecord) -> Content:
    word, reason = summary.decision, summary.reason.replace("_", " ")
    return joined(element("span", word, word), f" {reason}") if word else reason or "–"

"""The registry's web pages: an index of runs, and the facts of one. Plain HTML that needs nothing from the network."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from catwalk.knobs import knob_text
from catwalk.ledger.records import SummaryRecord, class_names
from catwalk.ledger.summaries import shown_state
from catwalk_exporter.snapshot import Snapshot

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; --warn: #9a6700; --quiet: #6e7781 }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #ff7b72; --warn: #d29922; --quiet: #8b949e } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; margin: 0 0 .5rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem } p { margin: .5rem 0 }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: 600; white-space: nowrap } td.number, th.number { text-align: right }
code { font-size: .9em; overflow-wrap: anywhere }
.facts { width: auto } .facts th { padding-right: 2rem } .quiet { color: var(--quiet) } .runid { white-space: nowrap }
.succeeded, .ship { color: var(--good) } .failed, .stalled { color: var(--bad) }
.cancelled, .hold { color: var(--warn) }
"""


def index(snapshot: Snapshot, store_up: bool, now: float, stalled_seconds: float, limit: int = 500) -> str:
    """Every run, newest first."""
    champions = {champion.run_id: champion.model for champion in snapshot.champions}
    rows = []
    for summary in snapshot.summaries[::-1][:limit]:
        state = shown_state(summary, now, stalled_seconds)
        champion = " <b>champion</b>" if summary.run_id in champions else ""
        rows.append(
            f'<tr><td class="runid"><a href="/runs/{summary.run_id}">{summary.run_id}</a>{champion}</td>'
            f'<td class="{state}">{state}</td><td class="number">{_percent(summary.test_accuracy)}</td>'
            f"<td>{_decision(summary)}</td><td>{escape(summary.model)}</td><td>{escape(summary.trigger)}</td>"
            f'<td class="number">{summary.epochs or "–"}</td><td>{_when(summary.started)}</td></tr>'
        )
    table = (
        '<div class="wide"><table><tr><th>run</th><th>state</th><th class="number">test accuracy</th>'
        '<th>decision</th><th>model</th><th>trigger</th><th class="number">epochs</th><th>started (UTC)</th></tr>'
        + "".join(rows)
        + "</table></div>"
    )
    total = len(snapshot.summaries)
    count = len(snapshot.damaged)
    damage = (
        f'<p class="failed"><a href="#damaged">{count} damaged object{"s" * (count != 1)}</a> left out.</p>'
        if count
        else ""
    )
    body = [f"<h1>Runs</h1>{_notice(store_up)}{damage}", table if rows else "<p>No runs yet.</p>"]
    if total > limit:
        body.append(
            f'<p class="quiet">The newest {limit} of {total}; <code>catwalk runs --limit {total}</code> lists all.</p>'
        )
    if snapshot.damaged:
        items = "".join(
            f"<li><code>{escape(key)}</code>: {escape(reason)}</li>" for key, reason in sorted(snapshot.damaged.items())
        )
        body.append(
            f'<h2 id="damaged">Damaged objects</h2><p>Left out of the table and of the metrics:</p><ul>{items}</ul>'
        )
    return page("Catwalk runs", "".join(body))


def run_page(summary: SummaryRecord, store_up: bool, now: float, stalled_seconds: float, notice: str = "") -> str:
    """The facts of one run's summary.

    Args:
        summary: the run.
        store_up: whether S3 answers.
        now: seconds since the epoch.
        stalled_seconds: silence after which a running run counts as stalled.
        notice: why the facts are shown in place of the report; empty: they were asked for.
    """
    state = shown_state(summary, now, stalled_seconds)
    where = f" in {escape(summary.stopped_in)}" if summary.stopped_in else ""
    facts = [
        ("state", f'<span class="{state}">{state}</span>{where}'),
        ("error", escape(summary.error)),
        ("decision", _sentence(summary) if summary.sentence else ""),
        ("model", escape(summary.model) + (" (stand-in data)" if summary.synthetic else "")),
        ("trigger", " ".join(escape(part) for part in (summary.trigger, summary.dag_id, summary.dag_run_id) if part)),
        ("sweep", f"<code>{escape(summary.sweep)}</code>" if summary.sweep else ""),
        ("started (UTC)", _when(summary.started)),
        ("finished (UTC)", _when(summary.finished) if summary.finished else ""),
        ("epochs", f"{summary.epochs}, best {summary.best_epoch or '–'}" if summary.epochs else ""),
        ("validation loss", _figure(summary.last_validation_loss)),
        ("test accuracy", _percent(summary.test_accuracy)),
        ("test loss", _figure(summary.test_loss)),
        ("calibration error", _percent(summary.test_calibration_error)),
        ("attempts", escape(", ".join(f"{stage} {count}" for stage, count in summary.attempts.items()))),
        ("points lost", str(summary.points_dropped) if summary.points_dropped else ""),
        ("left out of Prometheus", f"{summary.series_left_out:,} series" if summary.series_left_out else ""),
        ("seed", str(summary.seed)),
        ("code", f"<code>{escape(summary.git_commit)}</code>" if summary.git_commit else ""),
        ("dataset", f"<code>{escape(summary.dataset_sha256)}</code>" if summary.dataset_sha256 else ""),
        ("weights", f"<code>{escape(summary.model_sha256)}</code>" if summary.model_sha256 else ""),
    ]
    report = "" if notice else f' · <a href="/runs/{summary.run_id}">Report</a>'
    body = [
        f'<p><a href="/">All runs</a>{report}</p><h1>Run {summary.run_id}</h1>{_notice(store_up)}',
        f'<p class="quiet">{escape(notice)}</p>' if notice else "",
        _facts([(name, value) for name, value in facts if value and value != "–"]),
    ]
    accuracy = summary.test_class_accuracy
    if accuracy:
        by_class = zip(class_names(summary.classes, len(accuracy)), accuracy, strict=True)
        rows = [(escape(name), _percent(value)) for name, value in by_class]
        body.append("<h2>Test accuracy by class</h2>" + _facts(rows))
    parameters = [(escape(name), escape(knob_text(name, value))) for name, value in summary.parameters.items()]
    body.append("<h2>Parameters</h2>" + _facts(parameters))
    return page(f"Run {summary.run_id}", "".join(body))


def not_found() -> str:
    """For any other address."""
    return page("Not found", '<h1>Not found</h1><p>There is no such page or run. <a href="/">All runs</a></p>')


def page(title: str, body: str, head: str = "") -> str:
    """A whole page. `head` is more for its head: a style of its own, how often it loads itself anew."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>{head}</head><body>{body}</body></html>\n"
    )


def _notice(store_up: bool) -> str:
    return "" if store_up else '<p class="failed">S3 does not answer: this is what was so before.</p>'


def _facts(rows: list[tuple[str, str]]) -> str:
    return (
        '<table class="facts">'
        + "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
        + "</table>"
    )


def _sentence(summary: SummaryRecord) -> str:
    return f'<span class="{escape(summary.decision)}">{escape(summary.sentence)}</span>'


def _decision(summary: SummaryRecord) -> str:
    word, reason = escape(summary.decision), escape(summary.reason.replace("_", " "))
    if not word:
        return reason or "–"
    return f'<span class="{word}">{word}</span> {reason}'


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _when(seconds: float) -> str:
    try:
        return f'<span class="runid">{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}</span>'
    except (OverflowError, ValueError, OSError):
        return "–"

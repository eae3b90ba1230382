"""What a run's report says in text and tables: the decision on top, the facts, the dataset and the parameters below."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from catwalk.knobs import described, knob_text
from catwalk.ledger.records import CheckRecord, DatasetRecord, EvaluationRecord, is_finite
from catwalk.ledger.sweep import NOT_CHOSEN, ranked
from catwalk.report.elements import missing, run_name
from catwalk.report.facts import Facts, MissingError
from catwalk.report.figures import names
from catwalk.report.statistics import wilson
from catwalk.web.markup import Content, Html, card, descriptions, element, joined, table
from catwalk.web.values import duration, moment

_VERDICTS = {"passed": ("✓", "good"), "failed": ("✗", "bad"), "inconclusive": ("?", ""), "skipped": ("–", "quiet")}
_NAMES = {
    "precondition": "precondition",
    "accuracy_floor": "accuracy floor",
    "recall_floor": "recall floor",
    "calibration": "calibration",
    "model_bytes": "size of the weights",
    "inference_seconds": "speed",
    "better": "better than the champion",
    "class_regression": "no class worse",
    "newer_data": "newer data",
    "not_inferior_champion": "not inferior to the champion",
    "not_inferior_anchor": "not inferior to the anchor",
}
_STATISTICS = {"pixel_mean": "mean of training pixels, 0 to 1", "pixel_stddev": "their standard deviation"}
_SHARES = 12
"""Classes that the dataset's table shows: with them it is as tall as the figure beside it."""
_POINTS = ("better", "not_inferior_champion", "not_inferior_anchor")


def head(facts: Facts, now: float) -> list[Html]:
    """Title, verdict, decision table, and the figures that matter most."""
    return [
        element("h1", joined("Run ", run_name(facts.run_id))),
        _verdict(facts),
        _decision_table(facts),
        element("h2", "At a glance"),
        _guarded("At a glance", lambda: card(descriptions(_key_figures(facts, now), lead=4))),
    ]


def tail(facts: Facts, now: float) -> list[Html]:
    """The sweep that the run is a trial of, stages and parameters."""
    sweep = [element("h2", "Sweep"), _guarded("Sweep", lambda: _sweep(facts))] if facts.record.sweep else []
    return [
        *sweep,
        element("h2", "Stages"),
        _guarded("Attempts", lambda: _attempts(facts)),
        element("h2", "Parameters"),
        _parameters(facts),
        element("p", f"Built {moment(now)} from the run ledger in S3.", "quiet"),
    ]


def dataset(facts: Facts) -> Html:
    """Class balance and pixel statistics, beside those of the champion's dataset."""
    return _guarded("Dataset", lambda: _dataset(facts))


def _guarded(title: str, section: Callable[[], Html]) -> Html:
    try:
        return section()
    except MissingError as reason:
        return missing(title, str(reason))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return missing(title, f"This could not be shown: {type(error).__name__}: {error}.")


def _verdict(facts: Facts) -> Html:
    """The decision in words; of a run without one, how it ended and what is therefore missing."""
    decision, summary = facts.decision.value, facts.summary
    if decision:
        css = "good" if decision.decision == "ship" else "bad" if decision.reason in _HARMFUL else ""
        first, stop, rest = decision.sentence.partition(". ")
        return card(
            element("p", first + stop, "big"),
            element("p", rest) if rest else "",
            _against(facts),
            element("p", f"{facts.sweep.sentence} See the sweep below.", "quiet") if facts.sweep else "",
            css=f"edged {css}".strip(),
        )
    if summary.reason == NOT_CHOSEN:
        looks = "A sweep chooses by validation, and looks at the test examples for its choice alone."
        return card(element("p", summary.sentence, "big"), element("p", looks, "quiet"), css="edged")
    where = f" in {summary.stopped_in}" if summary.stopped_in else ""
    lines = [element("p", f"This run has no decision: it {_STATES.get(summary.state, summary.state)}{where}.", "big")]
    if summary.error:
        lines.append(element("p", element("code", summary.error)))
    absent = [
        name
        for name, part in (
            ("the dataset", facts.dataset),
            ("a trained model", facts.training),
            ("a test score", facts.evaluation),
        )
        if part.value is None or (name == "a trained model" and not facts.training.get().finished)
    ]
    missing = [*absent, "a decision"]
    told = missing[0] if len(missing) == 1 else f"{', '.join(missing[:-1])} and {missing[-1]}"
    lines.append(element("p", f"Missing are {told}." if absent else f"Missing is {told}."))
    return card(*lines, css="edged bad" if summary.state == "failed" else "edged")


_HARMFUL = ("worse", "floor", "class", "calibration", "precondition")
_STATES = {
    "failed": "failed", "cancelled": "was cancelled", "running": "is still running", "succeeded": "ended",
    "untested": "ended without a test", "lost": "went silent",
}  # fmt: skip


def _against(facts: Facts) -> Html:
    decided = facts.decision.get().split_decisions
    against = (
        joined("Decided against the champion ", run_name(facts.champion_id), ".")
        if facts.champion_id
        else Html("There was no champion to compare with.")
    )
    counted = f" Its test examples have decided about {decided} run{'s' * (decided != 1)} so far, this one included."
    return element("p", joined(against, counted), "quiet")


def _decision_table(facts: Facts) -> Html:
    """Every check; nothing where the run never came so far, for the verdict says so already."""
    passed_over = facts.summary.reason == NOT_CHOSEN
    unended = facts.decision.value is None and (facts.summary.state != "succeeded" or passed_over)
    return Html("") if unended else _guarded("Decision", lambda: _decision(facts))


def _decision(facts: Facts) -> Html:
    decision = facts.decision.get()
    rows: list[list[Content]] = [
        [
            _NAMES.get(check.check, check.check.replace("_", " ")),
            _badge(check),
            _value(check, check.value),
            _limit(check),
            _interval(check),
            check.sentence,
        ]
        for check in decision.checks
    ]
    header = ["check", "verdict", "value", "limit", "interval", "in words"]
    return card(table(header, rows, ["", "nowrap", "n roomy", "n roomy", "n roomy", "words"], stacked=True))


def _badge(check: CheckRecord) -> Html:
    sign, css = _VERDICTS.get(check.verdict, ("", ""))
    return element("b", f"{sign} {check.verdict}", css)


def _value(check: CheckRecord, value: float | None) -> str:
    if value is None:
        return "–"
    if check.check in _POINTS:
        return f"{100 * value:+.2f} points"
    if check.check == "class_regression":
        return f"p = {value:.2g}"
    if check.check == "model_bytes":
        return f"{value:,.0f} bytes"
    return f"{value:.3f} s" if check.check == "inference_seconds" else f"{value:.2%}"


def _limit(check: CheckRecord) -> str:
    if check.check == "better":
        return "–"  # its threshold is a p-value, which the sentence names
    return _value(check, check.threshold)


def _interval(check: CheckRecord) -> str:
    if check.low is None or check.high is None:
        return "–"
    return f"{100 * check.low:+.2f} to {100 * check.high:+.2f}"


def _key_figures(facts: Facts, now: float) -> Iterator[tuple[str, Content]]:
    summary, record = facts.summary, facts.record
    evaluation, training = facts.evaluation.value, facts.training.value
    if evaluation:
        yield from _scores(evaluation)
    yield "state", summary.state
    yield "model", record.model + (" (synthetic data)" if record.synthetic else "")
    if training:
        yield "epochs", f"{len(training.epochs)} of {record.epochs}"
        if training.best:
            yield "best epoch", f"{training.best.epoch}, loss {training.best.validation_loss:.4f}"
        yield "trainable parameters", f"{training.parameters:,}"
        yield "trained on", f"{training.device or '–'}, {training.threads} threads"
        if not training.reproducible:
            yield "reproducible", "no: resumed on another device, thread count or torch build"
    if evaluation:
        yield "test examples", f"{evaluation.examples:,}"
        if evaluation.inference_seconds is not None:
            seconds = 1_000 * evaluation.inference_seconds / max(1, evaluation.examples)
            yield "time for 1,000 examples", f"{seconds:.4f} s"
    end = summary.finished or (now if summary.state == "running" else summary.updated)
    yield "started", moment(summary.started)
    yield "took", duration(max(0.0, end - summary.started))
    yield "trigger", " ".join(part for part in (record.trigger, record.dag_id) if part)
    if record.dag_run_id:
        yield "DAG run", record.dag_run_id
    if record.sweep:
        yield "sweep", record.sweep
    yield "seed", str(record.seed)
    if summary.points_dropped:
        yield "telemetry points lost", f"{summary.points_dropped:,}"
    if summary.series_left_out:
        yield "left out of Prometheus", f"{summary.series_left_out:,} series, to fit its limit; none is missing here"


def _scores(evaluation: EvaluationRecord) -> Iterator[tuple[str, Content]]:
    if is_finite(evaluation.accuracy):
        low, high = wilson(round(evaluation.accuracy * evaluation.examples), evaluation.examples)
        yield "test accuracy", f"{evaluation.accuracy:.2%}"
        yield "95 % interval", f"{100 * low:.1f}–{high:.1%}"
    if evaluation.loss is not None:
        yield "test loss", f"{evaluation.loss:.4f}"
    if evaluation.calibration_error is not None:
        yield "calibration error", f"{evaluation.calibration_error:.2%}"
    for name, value in evaluation.metrics.items():
        yield f"test {name.replace('_', ' ')}", f"{value:.5g}"


def _dataset(facts: Facts) -> Html:
    ours, theirs = facts.dataset.get(), facts.champion_dataset.value
    same = theirs is not None and theirs.sha256 == ours.sha256
    header, css = ["", "this run"], ["name", "n"]
    if theirs and not same:
        header += ["champion", "change"]
        css += ["n", "n"]
    rows: list[list[Content]] = []

    def row(name: str, own: float, other: float | None, form: str, unit: str = "") -> None:
        cells: list[Content] = [name, format(own, form) + unit]
        if theirs and not same:
            change = "–" if other is None else format(own - other, "+" + form) + unit
            cells += ["–" if other is None else format(other, form) + unit, change]
        rows.append(cells)

    for split in ours.splits:
        other = theirs.splits.get(split) if theirs else None
        row(f"{split} examples", ours.splits[split].examples, other.examples if other else None, ",.0f")
    for name, value in ours.statistics.items():
        told = _STATISTICS.get(name, name.replace("_", " "))
        row(told, value, theirs.statistics.get(name) if theirs else None, ".4f")
    shares, others = _shares(ours), _shares(theirs, ours.classes) if theirs else {}
    shown = _most_changed(shares, others)
    for name in shown:
        row(f"{name}, share of training", 100 * shares[name], _percent(others.get(name)), ".2f", "%")
    if same:
        comparison = f"The champion {facts.champion_id} was trained on the very same dataset."
    elif theirs:
        comparison = f"Champion: {facts.champion_id}."
    else:
        comparison = facts.champion_dataset.why
    if len(shown) < len(shares):
        which = "most frequent" if same or not others else "most changed"
        comparison = f"Shown are the {len(shown)} {which} of {len(shares)} classes. {comparison}"
    if others.keys() ^ shares.keys() and others:
        comparison += f" It has other classes ({len(others)}, here {len(shares)}): they are compared by name."
    kind = "synthetic data" if ours.synthetic else ours.source
    note = joined(f"{kind}, sha256 ", element("code", ours.sha256), f". {comparison}")
    return card(element("h3", "Dataset"), table(header, rows, css), element("p", note, "quiet"))


def _shares(dataset: DatasetRecord, beside: list[str] | None = None) -> dict[str, float]:
    """Class → share of the training examples; names as those of the record `beside` where the dataset stored none."""
    train = dataset.splits["train"]
    classes = names.names_beside(dataset.classes, len(train.class_counts), beside or [])
    return {name: count / max(1, train.examples) for name, count in zip(classes, train.class_counts, strict=True)}


def _most_changed(shares: dict[str, float], others: dict[str, float]) -> list[str]:
    """Classes to show: all in label order where they are few; else those whose share has changed most, or is largest
    where there is nothing to compare with."""
    if len(shares) <= _SHARES:
        return list(shares)
    return sorted(shares, key=lambda name: (-abs(shares[name] - others.get(name, 0.0)), -shares[name]))[:_SHARES]


def _percent(ratio: float | None) -> float | None:
    return None if ratio is None else 100 * ratio


def _sweep(facts: Facts) -> Html:
    """All trials, best first."""
    sweep = facts.sweep
    if sweep is None:
        raise MissingError("The sweep has not chosen a trial.")
    ranking = ranked(sweep.trials)
    rows: list[list[Content]] = []
    for trial in [*ranking, *(trial for trial in sweep.trials if trial not in ranking)]:
        this = "this run" if trial.run_id == facts.run_id else ""
        ending = "" if trial.finished else "did not finish"
        rows.append(
            [
                run_name(trial.run_id),
                element("b", "✓ chosen", "good") if trial.run_id == sweep.winner else ending,
                this,
                "–" if trial.validation_accuracy is None else f"{trial.validation_accuracy:.2%}",
                "–" if trial.validation_loss is None else f"{trial.validation_loss:.4f}",
                described(trial.parameters),
            ]
        )
    header = ["trial", "", "", "validation accuracy", "validation loss", "what it varies"]
    note = f"{sweep.sentence} The test examples were looked at for the chosen trial alone."
    return card(table(header, rows, ["", "nowrap", "nowrap", "n", "n", "words"]), element("p", note, "quiet"))


def _attempts(facts: Facts) -> Html:
    attempts = facts.attempts.get()
    if not attempts:
        raise MissingError("No stage has started.")
    rows: list[list[Content]] = []
    for record in attempts:
        css = "good" if record.outcome == "succeeded" else "bad" if record.outcome == "failed" else ""
        memory = "–" if record.peak_memory_bytes is None else f"{record.peak_memory_bytes / 2**20:,.0f} MiB"
        outcome = record.outcome or ("running" if facts.summary.state == "running" or record.stage == "publish" else "")
        rows.append(
            [
                record.stage,
                str(record.number),
                element("b", outcome or "killed: no end recorded", css),
                duration(record.duration_seconds),
                duration(record.cpu_seconds),
                memory,
                record.host,
                record.error or "–",
            ]
        )
    header = ["stage", "attempt", "outcome", "took", "CPU", "peak memory", "host", "error"]
    return card(table(header, rows, ["", "n", "nowrap", "n", "n roomy", "n roomy", "roomy"]))


def _parameters(facts: Facts) -> Html:
    """Every knob; those that were not the default when the run was opened stand out, where that was recorded."""
    entries: list[tuple[str, Content]] = []
    defaults = facts.record.defaults or facts.record.parameters
    for name, value in facts.record.parameters.items():
        text = knob_text(name, value)
        if name not in defaults:
            entries.append((name, joined(element("b", text), " (of another version)")))
            continue
        usual = knob_text(name, defaults[name])
        entries.append((name, text if text == usual else joined(element("b", text), f" (default {usual})")))
    versions = " ".join(f"{name} {version}" for name, version in facts.record.versions.items())
    commit = facts.record.git_commit + (" with changes" if facts.record.git_dirty else "")
    about = joined(element("p", f"Versions: {versions or 'unknown'}.", "quiet"), _code(commit))
    return card(descriptions(entries), about)


def _code(commit: str) -> Html:
    return element("p", joined("Code: ", element("code", commit or "not a git checkout"), "."), "quiet")

"""The text and tables of a run's report: the decision on top, then the facts, the dataset and the parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from catwalk.knobs import described, knob_text
from catwalk.ledger.records.dataset import DatasetRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.training import TrainingRecord
from catwalk.ledger.sweep import NOT_CHOSEN, ranked
from catwalk.problems.limits import limits
from catwalk.report import tested
from catwalk.report.decision_table import decision_table
from catwalk.report.elements import missing, run_name
from catwalk.report.facts import Facts, MissingError
from catwalk.report.figures import names
from catwalk.report.limits_table import limits_table
from catwalk.web.markup import Content, Html, card, descriptions, element, joined, links, table
from catwalk.web.values import duration, mebibytes, moment, percent

_STATISTICS = {"pixel_mean": "mean of training pixels, 0 to 1", "pixel_stddev": "their standard deviation"}
_SHARES = 12
"""How many classes the dataset's table shows, which makes it as tall as the figure beside it."""


def head(facts: Facts, now: float) -> list[Html]:
    """Returns the title, the verdict, the decision table, and the most important values."""
    return [
        element("h1", joined("Run ", run_name(facts.run_id))),
        _verdict(facts),
        _decision_table(facts),
        *_limits(facts),
        element("h2", "At a glance"),
        _guarded("At a glance", lambda: card(descriptions(_key_figures(facts, now), lead=4))),
        *(_guarded(title, section) for title, section in tested.sections(facts)),
    ]


def tail(facts: Facts, now: float) -> list[Html]:
    """Returns the sweep that the run is a trial of, the stages and the parameters."""
    sweep = [element("h2", "Sweep"), _guarded("Sweep", lambda: _sweep(facts))] if facts.record.sweep else []
    return [
        *sweep,
        element("h2", "Attempts" if facts.logs else "Stages"),
        _guarded("Attempts", lambda: _attempts(facts)),
        element("h2", "Parameters"),
        _parameters(facts),
        element("p", f"Built {moment(now)} from the run ledger.", "quiet"),
    ]


def dataset(facts: Facts) -> list[Html]:
    """Returns class balance and statistics, beside those of the champion's dataset; nothing if the run has no dataset
    to show.
    """
    said_nothing = facts.dataset.value is None and not facts.dataset.why
    return [] if said_nothing else [_guarded("Dataset", lambda: _dataset(facts))]


def _guarded(title: str, section: Callable[[], Html]) -> Html:
    try:
        return section()
    except MissingError as reason:
        return missing(title, str(reason))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return missing(title, f"This could not be shown: {type(error).__name__}: {error}.")


def _verdict(facts: Facts) -> Html:
    """Returns the decision in words, or how a run without one ended and what is therefore missing."""
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
        looks = "A sweep chooses by validation, and tests only the trial that it chose."
        return card(element("p", summary.sentence, "big"), element("p", looks, "quiet"), css="edged")
    where = f" in {summary.stopped_in}" if summary.stopped_in else ""
    return card(
        element("p", f"This run has no decision: it {_STATES.get(summary.state, summary.state)}{where}.", "big"),
        element("p", element("code", summary.error)) if summary.error else "",
        element("p", _what_is_missing(facts)),
        css="edged bad" if summary.state == "failed" else "edged",
    )


def _what_is_missing(facts: Facts) -> str:
    """Returns what a run without a decision lacks, as a sentence."""
    absent = [
        name
        for name, part in (
            ("the dataset", facts.dataset),
            ("a trained model", facts.training),
            ("a test score", facts.evaluation),
        )
        if (part.value is None and part.why) or (name == "a trained model" and not _has_model(facts))
    ]
    return f"Missing: {', '.join(absent)} and a decision." if absent else "Missing: a decision."


def _has_model(facts: Facts) -> bool:
    return facts.training.value is not None and facts.training.value.finished


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
    return element("p", joined(against, "" if facts.logs else counted), "quiet")


def _decision_table(facts: Facts) -> Html:
    """Returns every check, or nothing if the run never got that far: the verdict already says so."""
    passed_over = facts.summary.reason == NOT_CHOSEN
    unended = facts.decision.value is None and (facts.summary.state != "succeeded" or passed_over)
    if unended or not (facts.decision.value or facts.decision.why):
        return Html("")
    return _guarded("Decision", lambda: decision_table(facts.decision.get(), facts.problem))


def _limits(facts: Facts) -> list[Html]:
    """Returns the limits that the run's model must reach, and why; nothing if the run has no limits."""
    record = facts.record
    found = [*limits(facts.problem, record.thresholds, record.threshold_reasons)]
    return [card(element("h3", "Limits of this model"), limits_table(found))] if found else []


def _key_figures(facts: Facts, now: float) -> Iterator[tuple[str, Content]]:
    summary, record = facts.summary, facts.record
    evaluation, training = facts.evaluation.value, facts.training.value
    if evaluation:
        yield from tested.key_figures(facts, evaluation)
    yield "state", summary.state
    yield "model", record.model + (" (synthetic data)" if record.synthetic else "")
    if record.owner:
        yield "owner", record.owner
    if record.links:
        yield "links", links(record.links)
    if training:
        yield from _of_training(facts, training)
    if evaluation:
        yield from _of_test(evaluation)
    end = summary.finished or (now if summary.state == "running" else summary.updated)
    yield "started", moment(summary.started)
    yield "took", duration(max(0.0, end - summary.started))
    yield "trigger", " ".join(part for part in (record.trigger, record.dag_id) if part)
    if record.alert:
        yield "requested by", f"{record.alert}, episode {record.episode}"
    if record.dag_run_id:
        yield "DAG run", record.dag_run_id
    if record.sweep:
        yield "sweep", record.sweep
    if not facts.logs:
        yield "seed", str(record.seed)
    if summary.points_dropped:
        yield "telemetry points lost", f"{summary.points_dropped:,}"
    if summary.series_left_out:
        yield (
            "left out of Prometheus",
            f"{summary.series_left_out:,} series, to fit its limit; this report has all of them",
        )


def _of_test(evaluation: EvaluationRecord) -> Iterator[tuple[str, Content]]:
    yield "test examples", f"{evaluation.examples:,}"
    if evaluation.inference_seconds is not None:
        seconds = 1_000 * evaluation.inference_seconds / max(1, evaluation.examples)
        yield "time for 1,000 examples", f"{seconds:.4f} s"


def _of_training(facts: Facts, training: TrainingRecord) -> Iterator[tuple[str, Content]]:
    planned = f" of {facts.record.epochs}" if facts.record.epochs else ""
    if training.epochs or planned:
        yield f"{training.axis}s", f"{_count(training)}{planned}"
    if training.best:
        yield f"best {training.axis}", f"{training.best.epoch}, loss {training.best.validation_loss:.4f}"
    if facts.logs:
        if training.model_bytes:
            yield "size of the model", f"{training.model_bytes:,} bytes"
        return
    yield "trainable parameters", f"{training.parameters:,}"
    yield "trained on", f"{training.device or '–'}, {training.threads} threads"
    if not training.reproducible:
        yield "reproducible", "no: resumed on another device, thread count or torch build"


def _count(training: TrainingRecord) -> str:
    """Returns how far training got; most steps are not logged."""
    logged = len(training.epochs)
    return f"{training.epochs[-1].epoch}, logged {logged} times" if training.axis == "step" and logged else f"{logged}"


_ALONE = ["", "this run"], ["name", "n"]
"""Header and columns of a table without a champion."""


def _dataset(facts: Facts) -> Html:
    ours, theirs = facts.dataset.get(), facts.champion_dataset.value
    same = theirs is not None and theirs.sha256 == ours.sha256
    beside = None if same else theirs
    shares, others = _shares(ours), _shares(beside, ours.classes) if beside else {}
    shown = _most_changed(shares, others)
    rows = list(_dataset_rows(ours, beside))
    for name in shown:
        cells = _compared(100 * shares[name], _percent(others.get(name)), beside is not None, ".2f", "%")
        rows.append([f"{name}, share of training", *cells])
    if same:
        comparison = f"The champion {facts.champion_id} was trained on the same dataset."
    elif theirs:
        comparison = f"Champion: {facts.champion_id}."
    else:
        comparison = facts.champion_dataset.why
    kind = "synthetic data" if ours.synthetic else ours.source or "unnamed source"
    remarks = _choice(shown, shares, others) + comparison + _other_classes(shares, others)
    note = joined(f"{kind}, sha256 ", element("code", ours.sha256), f". {remarks}")
    header, css = (["", "this run", "champion", "change"], ["name", "n", "n", "n"]) if beside else _ALONE
    shown_rows = table(header, rows, css) if rows else Html("")
    return card(element("h3", "Dataset"), shown_rows, element("p", note, "quiet"))


def _dataset_rows(ours: DatasetRecord, beside: DatasetRecord | None) -> Iterator[list[Content]]:
    if ours.as_of:
        yield ["as of", ours.as_of, *([beside.as_of or "–", ""] if beside else [])]
    for split, own in ours.splits.items():
        other = beside.splits.get(split) if beside else None
        cells = _compared(own.examples, other.examples if other else None, beside is not None, ",.0f")
        yield [f"{split} examples", *cells]
    for name, value in ours.statistics.items():
        cells = _compared(value, beside.statistics.get(name) if beside else None, beside is not None, ".4f")
        yield [_STATISTICS.get(name, name.replace("_", " ")), *cells]


def _compared(own: float, other: float | None, beside: bool, form: str, unit: str = "") -> list[Content]:
    """Returns a value and, beside a champion, the champion's value and the change."""
    if not beside:
        return [format(own, form) + unit]
    if other is None:
        return [format(own, form) + unit, "–", "–"]
    return [format(own, form) + unit, format(other, form) + unit, format(own - other, "+" + form) + unit]


def _choice(shown: list[str], shares: dict[str, float], others: dict[str, float]) -> str:
    if len(shown) == len(shares):
        return ""
    return f"The {len(shown)} {'most changed' if others else 'most frequent'} of {len(shares)} classes. "


def _other_classes(shares: dict[str, float], others: dict[str, float]) -> str:
    if not others or others.keys() == shares.keys():
        return ""
    return f" Its classes differ ({len(others)}, here {len(shares)}): they are compared by name."


def _shares(dataset: DatasetRecord, beside: list[str] | None = None) -> dict[str, float]:
    """Returns each class's share of the training examples. If the dataset stored no names, takes those of the record
    `beside`.
    """
    train = dataset.splits.get("train")
    if train is None:
        return {}
    classes = names.names_beside(dataset.classes, len(train.class_counts), beside or [])
    return {name: count / max(1, train.examples) for name, count in zip(classes, train.class_counts, strict=True)}


def _most_changed(shares: dict[str, float], others: dict[str, float]) -> list[str]:
    """Returns the classes to show: all in label order if they are few, otherwise those whose share has changed most, or
    is largest if there is nothing to compare with.
    """
    if len(shares) <= _SHARES:
        return list(shares)
    return sorted(shares, key=lambda name: (-abs(shares[name] - others.get(name, 0.0)), -shares[name]))[:_SHARES]


def _percent(ratio: float | None) -> float | None:
    return None if ratio is None else 100 * ratio


def _sweep(facts: Facts) -> Html:
    """Returns a table of all trials, best first."""
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
    note = f"{sweep.sentence} Only the chosen trial was tested."
    return card(table(header, rows, ["", "nowrap", "nowrap", "n", "n", "words"]), element("p", note, "quiet"))


def _attempts(facts: Facts) -> Html:
    attempts = facts.attempts.get()
    if not attempts:
        raise MissingError("No stage has started.")
    on_gpu = ("GPU memory", "GPU use") if any(record.has_used_gpu for record in attempts) else ()
    rows: list[list[Content]] = []
    for record in attempts:
        css = "good" if record.outcome == "succeeded" else "bad" if record.outcome == "failed" else ""
        outcome = record.outcome or ("running" if facts.summary.state == "running" or record.stage == "publish" else "")
        rows.append(
            [
                record.stage,
                str(record.number),
                element("b", outcome or "killed: no end recorded", css),
                duration(record.duration_seconds),
                duration(record.cpu_seconds),
                mebibytes(record.peak_memory_bytes),
                *((mebibytes(record.gpu_peak_memory_bytes), percent(record.gpu_utilisation_ratio)) if on_gpu else ()),
                record.host,
                record.error or "–",
            ]
        )
    header = ["stage", "attempt", "outcome", "took", "CPU", "peak memory", *on_gpu, "host", "error"]
    numbers = ["n roomy"] * (2 + len(on_gpu))
    return card(table(header, rows, ["", "n", "nowrap", "n", *numbers, "roomy"]))


def _parameters(facts: Facts) -> Html:
    """Returns every knob. Bold ones differ from the default at the time the run was opened, if that was recorded."""
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

"""Measures a model on its test examples, and stores its answer to each."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from catwalk.errors import InputError
from catwalk.ledger.records.evaluation import EvaluationRecord, SliceRecord
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.runs import Run, touched, with_evaluation
from catwalk.problems.answers import NAME, Answers, Keys
from catwalk.problems.interface import Outcome
from catwalk.problems.slices import checked, slice_scores
from catwalk.tracking.arguments import keys as naming
from catwalk.tracking.session import Session

_OWN_FIELDS = ("accuracy", "log_loss", "calibration_error")
"""Metrics of a multiclass problem that have their own fields in a record."""
_MOST_CONFUSIONS = 200
"""Maximum number of classes with figures: a larger matrix would be too big for the record."""


def store(
    session: Session,
    labels: Any,
    scores: Any,
    keys: Any,
    inputs: Any,
    slices: Mapping[str, Any],
    test_set: str,
) -> Mapping[str, float]:
    """Writes ``outcome.safetensors`` and ``evaluation.json``; arguments and errors are those of
    :meth:`catwalk.tracking.handle.TrackedRun.test`."""
    run, problem = session.run, session.problem
    session.journal.tested = True
    outcome = problem.measure(labels, scores)
    parts = checked(slices, len(outcome.labels))
    named = _keys(session, outcome, keys, inputs, test_set)
    body = Answers.of(outcome, named, parts).packed()
    run.store.put(run.key(NAME), body)
    record = replace(
        _of_any_problem(run, outcome),
        slices=_slices(session, outcome, parts),
        test_set=test_set,
        outcome_sha256=hashlib.sha256(body).hexdigest(),
    )
    if problem.kind == "multiclass":
        record = _of_classes(record, outcome, run.record.classes)
    run.store.put_record(run.key("evaluation.json"), record)
    session.journal.stored.test = True
    session.observer.test_finished(run.record, record)
    run.update_summary(lambda summary: _summarised(summary, record))
    session.tested, session.unnamed = True, not session.journal.has_model
    return record.scores


def name_model(run: Run, sha256: str) -> None:
    """Completes a test that was stored before its model, whatever model an earlier attempt left."""
    tested = run.evaluation()
    if tested:
        run.store.put_record(run.key("evaluation.json"), replace(tested, model_sha256=sha256))


def _keys(session: Session, outcome: Outcome, keys: Any, inputs: Any, test_set: str) -> Keys | None:
    given = [name for name, value in (("keys", keys), ("inputs", inputs)) if value is not None]
    given += ["test_set"] if test_set and not given else []
    if len(given) > 1:
        raise InputError("keys and inputs: give only one of them")
    if not given:
        return None
    rows, salt = len(outcome.labels), naming.salt(session.run.store, session.run.record.model)
    if given == ["keys"]:
        return naming.of_keys(keys, rows, salt)
    if given == ["inputs"]:
        return naming.of_inputs(inputs, rows, salt)
    return naming.of_test_set(test_set, outcome.labels, salt)


def _of_any_problem(run: Run, outcome: Outcome) -> EvaluationRecord:
    """Metrics by name only; the fields of classes stay empty."""
    training, dataset = run.training(), run.dataset()
    return EvaluationRecord(
        model_sha256=training.model_sha256 if training else "",
        dataset_sha256=dataset.sha256 if dataset else "",
        examples=len(outcome.labels),
        accuracy=None,
        loss=None,
        calibration_error=None,
        class_accuracy=[],
        class_precision=[],
        class_f1=[],
        confusion=[],
        inference_seconds=None,
        finished=time.time(),
        metrics=dict(outcome.metrics),
    )


def _slices(session: Session, outcome: Outcome, parts: Mapping[str, Any]) -> dict[str, dict[str, SliceRecord]]:
    found = slice_scores(session.problem, outcome, parts)
    return {
        name: {value: SliceRecord(score.examples, score.metric) for value, score in values.items()}
        for name, values in found.items()
    }


def _of_classes(record: EvaluationRecord, outcome: Outcome, classes: list[str]) -> EvaluationRecord:
    """The record with the figures that have their own fields, and those of classes if the names are known and few."""
    from catwalk.problems.scores import confusion_matrix, rates

    own = {name: outcome.metrics.get(name) for name in _OWN_FIELDS}
    record = replace(
        record,
        accuracy=own["accuracy"],
        loss=own["log_loss"],
        calibration_error=own["calibration_error"],
        metrics={name: value for name, value in outcome.metrics.items() if name not in own},
    )
    if not classes or len(classes) > _MOST_CONFUSIONS:
        return record
    confusion = confusion_matrix(outcome.labels, outcome.predictions, len(classes))
    recall, precision, f1 = rates(confusion)
    return replace(
        record,
        class_accuracy=recall.tolist(),
        class_precision=precision.tolist(),
        class_f1=f1.tolist(),
        confusion=confusion.tolist(),
        classes=classes,
    )


def _summarised(summary: SummaryRecord, record: EvaluationRecord) -> SummaryRecord:
    tested = with_evaluation(summary, record)
    return touched(replace(tested, test_metrics=record.scores), record.finished)

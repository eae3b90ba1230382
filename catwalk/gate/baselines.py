"""Whom a challenger has to beat: champion and anchor, scored on the challenger's own test examples."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from catwalk.errors import ArtifactError, CatwalkError, DamagedError, NotFoundError
from catwalk.gate.config import GateConfig
from catwalk.gate.decision import Baseline, Examples, Role, Ruling, rule
from catwalk.knobs import stored_section
from catwalk.ledger.examples import split_body, training_examples
from catwalk.ledger.models.champion import Champions, Current, verified_model
from catwalk.ledger.records.dataset import DatasetRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.model import ChampionRecord
from catwalk.ledger.runs import Run
from catwalk.problems.paired.differences import Integers
from catwalk.trainable import config_of, of_model, of_run

_UNUSABLE = (ArtifactError, DamagedError, NotFoundError)
"""What is wrong with one run's files, while the store works."""

_WHY = "why not asked"
"""Key of a file's metadata."""
_REMEDY = "`catwalk promote RUN` or `catwalk rollback` puts another model into service"


def standing(run: Run) -> tuple[Current | None, str]:
    """The champion that a run has to beat, and why it can't be known, as a sentence; empty: nothing is wrong."""
    try:
        return Champions(run.store).get(run.record.model), ""
    except DamagedError as error:
        return None, f"The champion is not known: {error}."


def ruling(run: Run, evaluation: EvaluationRecord, champion: ChampionRecord | None, problem: str = "") -> Ruling:
    """What the gate says of a tested run against the champion; without one that can be used, it holds.

    Args:
        run: the challenger.
        evaluation: its score on the test split.
        champion: in service; None: there is none.
        problem: why the champion can't be known, as a sentence; empty: nothing is wrong.

    Raises:
        ArtifactError: the run's own predictions are missing or damaged.
    """
    labels, challenger = _own_predictions(run)
    baselines, examples = [], Examples(False, "")
    for role, run_id in incumbents(run, champion).items():
        other = Run(run.store, run_id)
        try:
            found = predicted_by(run, other)
            baselines.append(Baseline(role, run_id, found.classes, found.why_not_asked))
        except _UNUSABLE as error:
            problem = f"The {role} can't be compared with: {error}; {_REMEDY}."
            continue
        if role == "champion":
            examples = compare_examples(run, other)
    training = run.training()
    return rule(
        evaluation,
        labels,
        challenger,
        baselines,
        examples,
        model_bytes=training.model_bytes if training else 0,
        problem=problem,
        config=stored_section(GateConfig, run.record.config, "gate"),
    )


def incumbents(run: Run, champion: ChampionRecord | None) -> dict[Role, str]:
    """Run ids of champion and anchor as they were before this run; the anchor only where it is another model.

    A decision that was interrupted after the promotion finds its own run in service: then what it replaced counts.
    """
    if champion is None:
        return {}
    own = champion.run_id == run.run_id
    found: dict[Role, str] = {"champion": champion.previous if own else champion.run_id}
    anchor = champion.previous_anchor if own else champion.anchor
    if anchor != found["champion"]:
        found["anchor"] = anchor
    return {role: run_id for role, run_id in found.items() if run_id}


def score_incumbents(run: Run) -> None:
    """Scores champion and anchor while all that takes is loaded anyway; what can't be scored is for `decide` to say."""
    current, _ = standing(run)
    for run_id in incumbents(run, current[0] if current else None).values():
        with suppress(*_UNUSABLE):
            predicted_by(run, Run(run.store, run_id))


@dataclass(frozen=True)
class Predicted:
    """What another run's model says of a run's test examples."""

    classes: Integers
    """Class index of each example, shape (n,)."""
    why_not_asked: str = ""
    """Why this is what it said in its own test, of the same examples; empty: it was asked."""


def predicted_by(run: Run, other: Run) -> Predicted:
    """What another run's model says of each of this run's test examples.

    Computed once and kept as ``opponents/<run_id>.safetensors``, the key in ledgers of old too; what is damaged there
    is computed again.

    Raises:
        ArtifactError: the other model is missing or damaged, tells other classes apart, or can neither be asked nor
            has said anything of these examples.
        DamagedError: a record of the other run is damaged.
    """
    ours, theirs = run.record.classes, other.record.classes
    if ours and theirs and ours != theirs:
        raise ArtifactError(f"run {other.run_id} tells other classes apart than run {run.run_id}")
    key = run.key(f"opponents/{other.run_id}.safetensors")
    kept = run.store.find(key)
    if kept:
        with suppress(ArtifactError):
            return _predicted(key, kept.body)
    run.store.put(key, _asked(run, other))
    return _predicted(key, run.store.get(key).body)


def _asked(run: Run, other: Run) -> bytes:
    """The logits of the other run's model, asked by its own Trainable; where that can't be done here and now, what it
    has said before, and why."""
    model, arrays = verified_model(other), load(split_body(run.store, _dataset(run), "test"))
    try:
        theirs = of_model(other.record, of_run(run.record))
        predict = theirs.predictor(config_of(theirs, other.record), model)
        return save({"logits": theirs.problem.checked(predict(arrays), len(arrays["labels"]))})
    except (CatwalkError, ImportError) as error:
        why = str(error)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # by settings of before
        why = f"{type(error).__name__}: {error}"
    return save({"logits": _said_before(run, other, why)}, {_WHY: " ".join(why.split())})


def _predicted(key: str, body: bytes) -> Predicted:
    """
    Raises:
        ArtifactError: this is no such file.
    """
    classes = _classes(_arrays(key, body))
    header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
    return Predicted(classes, header.get("__metadata__", {}).get(_WHY, ""))


def _said_before(run: Run, other: Run, why: str) -> NDArray[np.float32]:
    """The logits that the other run's model gave in its own test, if that was of the same examples.

    Raises:
        ArtifactError: it was not, or they are damaged.
    """
    if _dataset(other).files["test"] != _dataset(run).files["test"]:
        raise ArtifactError(f"its model can't be asked, and was tested on other examples: {why}")
    key = other.key("predictions.safetensors")
    stored = other.store.find(key)
    if stored is None:
        raise ArtifactError(f"its model can't be asked, and what it said in its own test is gone: {why}")
    return _arrays(key, stored.body)["logits"]


def count_decision(run: Run) -> int:
    """Notes that the run's test split has decided about it; returns how many runs it has decided about so far.

    One empty object a run, ``test_splits/<sha256>/decided/<run_id>``: trying again counts once, and a pruned run stays
    counted.
    """
    folder = f"test_splits/{_dataset(run).files['test']}/decided/"
    run.store.put(f"{folder}{run.run_id}", b"")
    return sum(1 for _ in run.store.list(folder))


def _own_predictions(run: Run) -> tuple[Integers, Integers]:
    """Labels and predicted classes, shape (n,) each."""
    key = run.key("predictions.safetensors")
    stored = run.store.find(key)
    if stored is None:
        raise ArtifactError(f"the predictions of run {run.run_id} are missing; start a new run")
    arrays = _arrays(key, stored.body, "labels")
    return arrays["labels"].astype(np.int64), _classes(arrays)


def _arrays(key: str, body: bytes, *also: str) -> dict[str, NDArray[np.float32]]:
    """``logits``, shape (n, classes), and what else is asked for.

    Raises:
        ArtifactError: they are not in the file.
    """
    try:
        arrays = load(body)
        return {name: arrays[name] for name in ("logits", *also)}
    except (SafetensorError, KeyError) as error:
        raise ArtifactError(f"{key} is damaged: {error}") from error


def _classes(arrays: dict[str, NDArray[np.float32]]) -> Integers:
    return np.asarray(arrays["logits"].argmax(axis=1), dtype=np.int64)


def compare_examples(run: Run, champion: Run) -> Examples:
    """What a run was trained on, beside what the champion was: later data of the same feed that has all of the
    champion's is newer. Not newer where that can't be known."""
    try:
        ours, theirs = (_dataset(one) for one in (run, champion))
        dated = Examples.dated(ours, theirs)
        if dated and not dated.newer:
            return dated
        if ours.files == theirs.files:
            return Examples.of(set(), set())
        found = Examples.of(training_examples(run.store, ours), training_examples(run.store, theirs))
        times = f" It is as of {ours.as_of}, and the champion's as of {theirs.as_of}." if dated else ""
        return replace(found, sentence=found.sentence + times)
    except _UNUSABLE as error:
        return Examples(False, f"Whether its data is newer is not known, so it counts as not newer: {error}.")


def _dataset(run: Run) -> DatasetRecord:
    record = run.dataset()
    if record is None:
        raise ArtifactError(f"run {run.run_id} has no dataset record")
    return record

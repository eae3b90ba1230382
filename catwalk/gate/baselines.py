"""The baselines of a challenger: champion and anchor, each on the same examples as the challenger.

If test examples roll on, the champion predicts the challenger's, and the challenger the anchor's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from catwalk.errors import ArtifactError, CatwalkError, DamagedError, NotFoundError
from catwalk.gate.anchor import Figures
from catwalk.gate.config import GateConfig
from catwalk.gate.decision import Baseline, Examples, OwnTest, Role, Ruling, rule
from catwalk.knobs import stored_section
from catwalk.ledger.examples import row_digests, split_body, training_examples
from catwalk.ledger.models.champion import Champions, Current, verified_model
from catwalk.ledger.records.dataset import DatasetRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.model import ChampionRecord
from catwalk.ledger.runs import Run
from catwalk.problems.paired.differences import Integers
from catwalk.trainable import config_of, of_model, of_run


class UnpairedError(ArtifactError):
    """A model can't predict examples that it was not tested on."""


_UNUSABLE = (ArtifactError, DamagedError, NotFoundError)
"""Errors of one run's files, while the store works."""

_WHY = "why not asked"
"""The key in a file's metadata."""
_REMEDY = "`catwalk promote RUN` or `catwalk rollback` puts another model into service"


def standing(run: Run) -> tuple[Current | None, str]:
    """Returns the champion that a run is compared with, and a sentence if it can't be read."""
    try:
        return Champions(run.store).get(run.record.model), ""
    except DamagedError as error:
        return None, f"The champion can't be read: {error}."


def ruling(run: Run, evaluation: EvaluationRecord, champion: ChampionRecord | None, problem: str = "") -> Ruling:
    """Returns the gate's decision about a tested run, compared with the champion; it holds if the champion can't be
    used.

    Args:
        run: The challenger.
        evaluation: Its score on the test split.
        champion: The champion in service; None if there is none.
        problem: Why the champion can't be read, as a sentence; empty if nothing is wrong.

    Raises:
        ArtifactError: the run's own predictions are missing or damaged.
    """
    labels, challenger = _own_predictions(run)
    baselines, examples = [], Examples(False, "")
    for role, run_id in incumbents(run, champion).items():
        other = Run(run.store, run_id)
        try:
            baselines.append(_baseline(run, role, other))
        except UnpairedError as error:
            baselines.append(Baseline(role, run_id, None, f"{error}; {_REMEDY}"))
        except _UNUSABLE as error:
            problem = f"A comparison with the {role} is not possible: {error}; {_REMEDY}."
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
    """Returns the run ids of champion and anchor before this run; the anchor only if it is a different model.

    A decision that was interrupted after the promotion finds its own run in service, or as the anchor; then the
    replaced one counts.
    """
    if champion is None:
        return {}
    own = champion.run_id == run.run_id
    found: dict[Role, str] = {"champion": champion.previous if own else champion.run_id}
    anchor = champion.previous_anchor if run.run_id in (champion.run_id, champion.anchor) else champion.anchor
    if anchor != found["champion"]:
        found["anchor"] = anchor
    return {role: run_id for role, run_id in found.items() if run_id}


def score_incumbents(run: Run) -> None:
    """Scores champion and anchor while everything needed is loaded; `decide` reports what can't be scored."""
    current, _ = standing(run)
    for role, run_id in incumbents(run, current[0] if current else None).items():
        with suppress(*_UNUSABLE):
            _baseline(run, role, Run(run.store, run_id))


def _baseline(run: Run, role: Role, other: Run) -> Baseline:
    if role == "anchor" and has_other_test(run, other):
        return on_own_test(run, other)
    found = predicted_by(run, other)
    return Baseline(role, other.run_id, found.classes, found.why_not_asked)


def has_other_test(run: Run, other: Run) -> bool:
    """Returns whether another run was tested on different examples from this one's.

    Raises:
        ArtifactError: one of them has no dataset.
    """
    return dataset_of(run).files.get("test") != dataset_of(other).files.get("test")


def on_own_test(run: Run, anchor: Run) -> Baseline:
    """Returns an anchor with the examples of its own test, except for those that the run has learnt from; both models
    predict them.

    Raises:
        UnpairedError: the run's model can't predict them.
        ArtifactError: the anchor's answers or examples, or the run's, are missing or damaged, or have different
            classes.
    """
    _check_classes(run, anchor)
    labels, said = _own_predictions(anchor)
    challenger = _kept(run, f"own_tests/{anchor.run_id}.safetensors", lambda: _asked(anchor, run)).classes
    new = _unlearnt(run, anchor)
    own = OwnTest(labels[new], challenger[new], _figures(run, anchor, labels, said))
    return Baseline("anchor", anchor.run_id, said[new], own=own)


def _unlearnt(run: Run, anchor: Run) -> NDArray[np.bool_]:
    """Returns which of an anchor's test examples a run has not learnt from, (n,): in a feed, all except duplicate
    pictures.

    Raises:
        UnpairedError: there are none.
    """
    learnt = training_examples(run.store, dataset_of(run))
    rows = row_digests(load(split_body(run.store, dataset_of(anchor), "test")))
    new = np.asarray([digest not in learnt for digest in rows])
    if not new.any():
        raise UnpairedError(f"run {run.run_id} has learnt from all test examples of run {anchor.run_id}")
    return new


def _figures(run: Run, anchor: Run, labels: Integers, said: Integers) -> Figures | None:
    """Returns the anchor's accuracy in its own test and on the run's examples; None if it can't predict those."""
    try:
        now = predicted_by(run, anchor).classes
    except _UNUSABLE:
        return None
    return Figures(float((labels == said).mean()), float((_own_predictions(run)[0] == now).mean()))


@dataclass(frozen=True)
class Predicted:
    """The predictions of another run's model for a run's test examples."""

    classes: Integers
    """The class index of each example, shape (n,)."""
    why_not_asked: str = ""
    """Why these are the predictions of its own test, on the same examples; empty if it was asked again."""


def predicted_by(run: Run, other: Run) -> Predicted:
    """Returns the predictions of another run's model for this run's test examples.

    They are computed once and stored as ``opponents/<run_id>.safetensors``, which is also the key in old ledgers; a
    damaged file is computed again.

    Raises:
        UnpairedError: the other model can't predict these examples, and has no stored predictions for them.
        ArtifactError: it is missing or damaged, or has different classes.
        DamagedError: a record of the other run is damaged.
    """
    _check_classes(run, other)
    return _kept(run, f"opponents/{other.run_id}.safetensors", lambda: _asked(run, other))


def _check_classes(run: Run, other: Run) -> None:
    ours, theirs = run.record.classes, other.record.classes
    if ours and theirs and ours != theirs:
        raise ArtifactError(f"the classes of run {other.run_id} differ from those of run {run.run_id}")


def _kept(run: Run, name: str, ask: Callable[[], bytes]) -> Predicted:
    """Returns the predictions stored in a file of the run, or otherwise the result of `ask`, which is stored."""
    key = run.key(name)
    kept = run.store.find(key)
    if kept:
        with suppress(ArtifactError):
            return _predicted(key, kept.body)
    run.store.put(key, ask())
    return _predicted(key, run.store.get(key).body)


def _asked(run: Run, other: Run) -> bytes:
    """Returns the logits of the other run's model for this run's test examples, predicted through its own Trainable. If
    that is not possible here, returns its earlier answers, and why.
    """
    model, arrays = verified_model(other), load(split_body(run.store, dataset_of(run), "test"))
    named = run.record if run.record.trainable else other.record  # a run of version 0.1 has none
    try:
        theirs = of_model(other.record, of_run(named))
        predict = theirs.predictor(config_of(theirs, other.record), model)
        return save({"logits": theirs.problem.checked(predict(arrays), len(arrays["labels"]))})
    except (CatwalkError, ImportError) as error:
        why = str(error)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # caused by old settings
        why = f"{type(error).__name__}: {error}"
    return save({"logits": _said_before(run, other, why)}, {_WHY: " ".join(why.split())})


def _predicted(key: str, body: bytes) -> Predicted:
    """Reads a file of predictions.

    Raises:
        ArtifactError: it is not such a file.
    """
    classes = _classes(_arrays(key, body))
    header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
    return Predicted(classes, header.get("__metadata__", {}).get(_WHY, ""))


def _said_before(run: Run, other: Run, why: str) -> NDArray[np.float32]:
    """Returns the logits of the other run's model in its own test, if that had the same examples.

    Raises:
        UnpairedError: it had not.
        ArtifactError: they are missing or damaged.
    """
    if has_other_test(run, other):
        raise UnpairedError(
            f"the model of run {other.run_id} can't be asked, and was tested on different examples: {why}"
        )
    key = other.key("predictions.safetensors")
    stored = other.store.find(key)
    if stored is None:
        raise ArtifactError(f"its model can't be asked, and its answers from its own test are missing: {why}")
    return _arrays(key, stored.body)["logits"]


def _own_predictions(run: Run) -> tuple[Integers, Integers]:
    """Returns labels and predicted classes, shape (n,) each."""
    key = run.key("predictions.safetensors")
    stored = run.store.find(key)
    if stored is None:
        raise ArtifactError(f"the predictions of run {run.run_id} are missing; start a new run")
    arrays = _arrays(key, stored.body, "labels")
    return arrays["labels"].astype(np.int64), _classes(arrays)


def _arrays(key: str, body: bytes, *also: str) -> dict[str, NDArray[np.float32]]:
    """Returns ``logits``, shape (n, classes), and any others requested.

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
    """Compares the training examples of a run and of the champion: later data of the same feed that contains all of the
    champion's is newer. If that is unknown, it is not newer.
    """
    try:
        ours, theirs = (dataset_of(one) for one in (run, champion))
        dated = Examples.dated(ours, theirs)
        if dated and not dated.newer:
            return dated
        if ours.files == theirs.files:
            return Examples.of(set(), set())
        found = Examples.of(training_examples(run.store, ours), training_examples(run.store, theirs))
        times = f" It is as of {ours.as_of}, and the champion's is as of {theirs.as_of}." if dated else ""
        return replace(found, sentence=found.sentence + times)
    except _UNUSABLE as error:
        return Examples(False, f"It is unknown whether its data is newer, so it counts as not newer: {error}.")


def dataset_of(run: Run) -> DatasetRecord:
    """Returns the dataset record of a run.

    Raises:
        ArtifactError: there is none.
    """
    record = run.dataset()
    if record is None:
        raise ArtifactError(f"run {run.run_id} has no dataset record")
    return record

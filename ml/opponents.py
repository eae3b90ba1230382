"""Whom a challenger has to beat: champion and anchor, scored on the challenger's own test images."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from ml.champion import Champions, load_model
from ml.errors import ArtifactError, NotFoundError
from ml.gate import Integers, Opponent, Role, Ruling, rule
from ml.records import ChampionRecord, EvaluationRecord
from ml.runs import Run


def ruling(run: Run, evaluation: EvaluationRecord, champion: ChampionRecord | None) -> Ruling:
    """What the gate says of a tested run against the champion.

    Raises:
        ArtifactError: the run's own predictions are missing.
    """
    labels, challenger = _own_predictions(run)
    opponents, problem = [], ""
    for role, run_id in incumbents(run, champion).items():
        try:
            opponents.append(Opponent(role, run_id, predicted_by(run, Run(run.store, run_id))))
        except (ArtifactError, NotFoundError) as error:
            problem = f"The {role} can't be compared with: {error}."
    training = run.training()
    return rule(
        evaluation,
        labels,
        challenger,
        opponents,
        newer_data=_has_newer_data(run, next((o.run_id for o in opponents if o.role == "champion"), "")),
        model_bytes=training.model_bytes if training else 0,
        problem=problem,
        config=run.record.config.gate,
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
    """Scores champion and anchor while torch is loaded anyway; what can't be scored is for `decide` to say."""
    current = Champions(run.store).get(run.record.model)
    for run_id in incumbents(run, current[0] if current else None).values():
        with suppress(ArtifactError, NotFoundError):
            predicted_by(run, Run(run.store, run_id))


def predicted_by(run: Run, other: Run) -> Integers:
    """Class index that another run's model gives each of this run's test images, shape (n,).

    Computed once and kept as ``opponents/<run_id>.safetensors``.

    Raises:
        ArtifactError: the other model is missing or damaged.
    """
    key = run.key(f"opponents/{other.run_id}.safetensors")
    found = run.store.find(key)
    if found is None:
        _score(run, other, key)
        found = run.store.get(key)
    return _classes(load(found.body)["logits"])


def _score(run: Run, other: Run, key: str) -> None:
    import torch
    from safetensors.torch import save

    from ml.dataset import load_split
    from ml.evaluation import predict

    dataset = run.dataset()
    if dataset is None:
        raise ArtifactError(f"run {run.run_id} has no dataset yet; ingest comes first")
    torch.set_num_threads(run.record.config.training.threads)
    predictions, _ = predict(load_model(other), load_split(run.store, dataset, "test"))
    run.store.put(key, save({"logits": predictions.logits.clone()}))


def count_decision(run: Run) -> int:
    """Notes that the run's test split has decided about it; returns how many runs it has decided about so far.

    One empty object a run, ``test_splits/<sha256>/decided/<run_id>``: trying again counts once, and a pruned run stays
    counted.
    """
    dataset = run.dataset()
    if dataset is None:
        raise ArtifactError(f"run {run.run_id} has no dataset; ingest comes first")
    folder = f"test_splits/{dataset.files['test']}/decided/"
    run.store.put(f"{folder}{run.run_id}", b"")
    return sum(1 for _ in run.store.list(folder))


def _own_predictions(run: Run) -> tuple[Integers, Integers]:
    """Labels and predicted classes, shape (n,) each."""
    try:
        arrays = load(run.store.get(run.key("predictions.safetensors")).body)
    except NotFoundError:
        raise ArtifactError(f"the predictions of run {run.run_id} are missing; start a new run") from None
    return arrays["labels"].astype(np.int64), _classes(arrays["logits"])


def _classes(logits: NDArray[np.float32]) -> Integers:
    return np.asarray(logits.argmax(axis=1), dtype=np.int64)


def _has_newer_data(run: Run, champion_id: str) -> bool:
    """Whether the run started later than the champion and was trained on other data."""
    if not champion_id:
        return False
    champion = Run(run.store, champion_id)
    ours, theirs = run.dataset(), champion.dataset()
    if ours is None or theirs is None:
        return False
    return ours.sha256 != theirs.sha256 and run.record.created > champion.record.created

"""The decision about a run that logs, from what it stored: at its end, or later by `catwalk finish`."""

from __future__ import annotations

import time
from collections.abc import Callable

from catwalk.errors import CatwalkError
from catwalk.gate.baselines import incumbents, standing
from catwalk.gate.config import Thresholds
from catwalk.gate.decision import Examples, Role
from catwalk.gate.judgement import PairedBaseline, judge
from catwalk.gate.promotion import promote
from catwalk.ledger.records.dataset import DatasetRecord
from catwalk.ledger.records.decision import DecisionRecord
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.model import ChampionRecord
from catwalk.ledger.runs import Run
from catwalk.problems import answers as stored
from catwalk.problems import described
from catwalk.problems.answers import Answers, Tested, incomparable, paired
from catwalk.problems.paired.pairing import Pairs
from catwalk.storage.swap import swap

_NO_MODEL = "run.model() was never called, so there is no model to ship."
_ANOTHER = "The last model is not the one that was tested: call run.test(…) after run.model(…)."


def decide(run: Run, evaluation: EvaluationRecord, check: Callable[[], None] = lambda: None) -> DecisionRecord:
    """Decides and, if the run may ship and the model is good enough, promotes it. After losing the race for the
    champion, it decides again, against the new champion.

    Raises:
        ArtifactError: The answers of its test are gone, or its model is not the one that it stored.
        StoreError: The store fails.
    """
    answers = stored.read(run, evaluation)

    def step() -> DecisionRecord:
        current, trouble = standing(run)
        champion = current[0] if current else None
        record = _ruled(run, evaluation, answers, champion, trouble)
        ships = record.decision == "ship" and not (champion and champion.run_id == run.run_id)
        if ships:
            promote(run, current, by="gate", reason=record.reason)
        return record

    return run.put_once("decision.json", swap(f"the champion of {run.record.model}", step, check))


def _ruled(
    run: Run, evaluation: EvaluationRecord, answers: Answers, champion: ChampionRecord | None, trouble: str
) -> DecisionRecord:
    problem, training = described(run.record.problem), run.training()
    sha256 = training.model_sha256 if training else ""
    others = incumbents(run, champion)
    ruling = judge(
        problem,
        answers.outcome(evaluation.scores),
        [PairedBaseline(role, _pairs(run, answers, Run(run.store, other))) for role, other in others.items()],
        answers.slices,
        _examples(run, others),
        Thresholds(**run.record.thresholds),
        trouble or _model_trouble(sha256, evaluation.model_sha256),
    )
    would = ruling.decision == "ship" and not run.record.ships
    return DecisionRecord(
        decision="would_ship" if would else ruling.decision,
        reason=ruling.reason,
        sentence=f"Would {ruling.sentence[0].lower()}{ruling.sentence[1:]}" if would else ruling.sentence,
        checks=ruling.checks,
        champion=others.get("champion", ""),
        model_sha256=sha256,
        finished=time.time(),
    )


def _model_trouble(given: str, tested: str) -> str:
    """Why a run's test doesn't apply to its model; a test that was interrupted before it named its model does."""
    if not given:
        return _NO_MODEL
    return _ANOTHER if tested not in ("", given) else ""


def _pairs(run: Run, answers: Answers, other: Run) -> Pairs:
    """The run and another one on the examples that both were tested on, or why they can't be compared."""
    try:
        return paired(Tested(run.record, answers), Tested(other.record, stored.read(other, other.evaluation())))
    except CatwalkError as error:
        return incomparable(str(error))


def _examples(run: Run, others: dict[Role, str]) -> Examples:
    """Whether the run's data is newer than the champion's, from what both recorded."""
    if "champion" not in others:
        return Examples(False, "")
    ours, theirs = (_dataset(one) for one in (run, Run(run.store, others["champion"])))
    unknown = Examples(False, "It is unknown whether its data is newer: call run.data(as_of=…) in both runs.")
    return (Examples.dated(ours, theirs) if ours and theirs else None) or unknown


def _dataset(run: Run) -> DatasetRecord | None:
    try:
        return run.dataset()
    except CatwalkError:
        return None

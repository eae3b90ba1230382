"""Decide: ships or holds the model."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache, partial

from catwalk.errors import ArtifactError
from catwalk.knobs import stored_section
from catwalk.ledger.records.decision import CheckRecord, DecisionRecord
from catwalk.ledger.runs import Run, with_decision
from catwalk.redaction import without_credentials
from catwalk.stages.lifecycle.attempts import already_done, attempt
from catwalk.storage.swap import swap
from catwalk.telemetry.observer import Observer

log = logging.getLogger(__name__)


def decide(run: Run, observer: Observer) -> None:
    """Writes ``decision.json``; a ship makes the run's model the champion.

    Raises:
        ArtifactError: The model was not tested, or is not the tested one.
    """
    if run.decision():
        already_done(run, "decide")
        return
    with attempt(run, "decide", observer) as this:
        decision = run.put_once("decision.json", _decide(run, this.check_cancelled))
        log.info("%s", decision.sentence)
        this.summarise(lambda summary: with_decision(summary, decision))


def _decide(run: Run, check: Callable[[], None]) -> DecisionRecord:
    """Decides and, on ship, promotes. After losing the race for the champion, it decides again, against the new one."""
    evaluation = run.evaluation()
    if evaluation is None:
        raise ArtifactError(f"run {run.run_id} is not tested yet; run test before decide")
    from catwalk.gate.baselines import dataset_of, incumbents, ruling, standing
    from catwalk.gate.decision import ruled
    from catwalk.gate.exposures import count_decision
    from catwalk.gate.promotion import put_into_place

    decisions = count_decision(run, dataset_of(run))
    served = cache(partial(_served, run, check))

    def step() -> DecisionRecord:
        current, problem = standing(run)
        result = ruling(run, evaluation, current[0] if current else None, problem)
        if result.decision == "ship":
            result = ruled([*result.checks, served()])
            check()  # a cancelled attempt doesn't ship; a retry decides
        put_into_place(run, current, result)
        return DecisionRecord(
            decision=result.decision,
            reason=result.reason,
            sentence=result.sentence,
            checks=result.checks,
            champion=incumbents(run, current[0] if current else None).get("champion", ""),
            model_sha256=evaluation.model_sha256,
            finished=time.time(),
            split_decisions=decisions,
        )

    return swap(f"the champion of {run.record.model}", step, check)


def _served(run: Run, check: Callable[[], None]) -> CheckRecord:
    """Whether the model's answers in a server process are those of the test."""
    from catwalk.gate.config import GateConfig
    from catwalk.gate.served import does_not_serve, not_asked, serves
    from catwalk.serving import candidate

    config = stored_section(GateConfig, run.record.config, "gate")
    if config.serve_check == "off":
        return not_asked("serve_check is off")
    if absent := candidate.missing():
        return not_asked(absent)
    try:
        return serves(candidate.ask(run, config.serve_start_seconds_cap, check), config)
    except candidate.NotServedError as error:
        return does_not_serve(without_credentials(str(error)).rstrip("."))

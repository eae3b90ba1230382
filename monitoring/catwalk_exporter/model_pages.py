"""The exporter's page of models: who answers for each, what it must reach, and where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from catwalk.errors import ConfigError
from catwalk.ledger.models.overview import Overview, overview
from catwalk.ledger.records.retraining import SlotRecord
from catwalk.problems import described
from catwalk.problems.limits import Limit, limits
from catwalk.report.limits_table import limits_table
from catwalk.web.markup import (
    Content,
    Html,
    card,
    descriptions,
    document,
    element,
    joined,
    link,
    links,
    markup,
    navigation,
)  # fmt: skip
from catwalk.web.values import due_text
from catwalk_exporter.exposition import Settings
from catwalk_exporter.pages import ALL_RUNS, anchor, store_notice
from catwalk_exporter.snapshot import Snapshot


def models(snapshot: Snapshot, settings: Settings, now: float, store_up: bool) -> str:
    """Every model, by name.

    Args:
        snapshot: of the ledger.
        settings: of the exporter, which knows the schedule of a DAG whose file says none.
        now: Unix time.
        store_up: the snapshot is fresh.
    """
    problems = {record.model: record.problem for record in snapshot.models}
    found = overview(snapshot.summaries, snapshot.models, snapshot.champions, settings.schedule, settings.since)
    slots = {slot.model: slot for slot in snapshot.slots}
    cards = [_model(model, problems.get(model.model, {}), slots.get(model.model), now) for model in found] or [
        element("p", "No models yet.")
    ]
    return document(
        "Catwalk models", element("h1", "Models"), *store_notice(store_up), *cards, navigation=navigation(ALL_RUNS)
    )


def _model(model: Overview, problem: dict[str, Any], slot: SlotRecord | None, now: float) -> Html:
    facts = [(name, value) for name, value in _facts(model, slot, now) if markup(value)]
    heading = element("h3", model.model, id=anchor(model.model))
    return card(heading, descriptions(facts), limits_table(_limits(model, problem)))


def _facts(model: Overview, slot: SlotRecord | None, now: float) -> Iterator[tuple[str, Content]]:
    yield "state", model.state
    yield "kind", model.problem
    yield "schedule", model.schedule
    yield "next due", due_text(model.due, now)
    yield "owner", model.owner
    yield "links", links(model.links)
    yield "runs", f"{model.runs:,}"
    yield "last run", _run(model.last_run)
    yield "in service", _run(model.champion)
    yield "retraining by alerts", _retraining(slot) if slot else ""


def _retraining(slot: SlotRecord) -> Content:
    """Whether it is allowed, and where it stands, with the run of the last episode."""
    told = "on" if slot.settings.on else "off"
    if not slot.episode:
        return told
    number, verdict = (
        f"{told}, {slot.state}; episode {slot.episode.number}",
        slot.episode.verdict or slot.episode.reason,
    )
    return joined(number, f" {verdict} " if verdict else " ", _run(slot.episode.run_id))


def _run(run_id: str) -> Content:
    return link(f"/runs/{run_id}", run_id) if run_id else ""


def _limits(model: Overview, problem: dict[str, Any]) -> list[Limit]:
    """None of a model whose kind nobody has told, or that this version can't read."""
    try:
        return [*limits(described(problem), model.thresholds, model.threshold_reasons)] if model.thresholds else []
    except (ConfigError, AttributeError, TypeError, ValueError):  # nonsense in a record costs no other model its card
        return []

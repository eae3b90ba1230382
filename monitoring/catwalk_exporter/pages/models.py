"""The exporter's page of models: each model's owner, limits and state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

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
)  # fmt: skip
from catwalk.web.values import due_text
from catwalk_exporter.pages.view import View, anchor, run_link


def page(view: View) -> str:
    """Returns the page of all models, by name."""
    snapshot, settings = view.snapshot, view.settings
    problems = {record.model: record.problem for record in snapshot.models}
    found = overview(snapshot.summaries, snapshot.models, snapshot.champions, settings.schedule, settings.since)
    slots = {slot.model: slot for slot in snapshot.slots}
    cards = [_model(model, problems.get(model.model, {}), slots.get(model.model), view.now) for model in found]
    body = [element("h1", "Models"), *view.notices(), *(cards or [element("p", "There are no models yet.")])]
    return document("Catwalk models", *body, navigation=view.header("Models"))


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
    yield "runs", _of_this_model(model.model, model.runs)
    yield "last run", _run(model.last_run)
    yield "in service", _run(model.champion)
    yield "retraining by alerts", _retraining(slot) if slot else ""


def _retraining(slot: SlotRecord) -> Content:
    """Returns whether retraining is allowed, and its state, with the run of the last episode."""
    allowed = "on" if slot.settings.on else "off"
    if not slot.episode:
        return allowed
    number, verdict = (
        f"{allowed}, {slot.state}; episode {slot.episode.number}",
        slot.episode.verdict or slot.episode.reason,
    )
    return joined(number, f" {verdict} " if verdict else " ", _run(slot.episode.run_id))


def _of_this_model(model: str, runs: int) -> Content:
    """Returns how many runs the model has, with a link to them."""
    return link(f"/?{urlencode({'model': model})}", f"{runs:,}")


def _run(run_id: str) -> Content:
    return run_link(run_id) if run_id else ""


def _limits(model: Overview, problem: dict[str, Any]) -> list[Limit]:
    """Returns a model's limits; none if its kind is unknown or this version can't read it."""
    try:
        return [*limits(described(problem), model.thresholds, model.threshold_reasons)] if model.thresholds else []
    except (
        ConfigError,
        AttributeError,
        TypeError,
        ValueError,
    ):  # a nonsense record must not remove other models' cards
        return []

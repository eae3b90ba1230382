"""The exporter's page of models: who answers for each, what it must reach, and where it stands."""

from __future__ import annotations

from collections.abc import Iterator

from catwalk.errors import ConfigError
from catwalk.ledger.models.overview import Overview, overview
from catwalk.ledger.records.model import WatchedRecord
from catwalk.problems import described
from catwalk.problems.limits import Limit, limits
from catwalk.report.limits_table import limits_table
from catwalk.telemetry.wire.labels import label_value
from catwalk.web.markup import (
    Content,
    Html,
    card,
    descriptions,
    document,
    element,
    link,
    links,
    markup,
    navigation,
)  # fmt: skip
from catwalk_exporter.pages import ALL_RUNS, store_notice
from catwalk_exporter.snapshot import Snapshot


def models(snapshot: Snapshot, store_up: bool) -> str:
    """Every model, by name."""
    known = {record.model: record for record in snapshot.models}
    found = overview(snapshot.summaries, snapshot.models, snapshot.champions)
    cards = [_model(model, known.get(model.model)) for model in found] or [element("p", "No models yet.")]
    return document(
        "Catwalk models", element("h1", "Models"), *store_notice(store_up), *cards, navigation=navigation(ALL_RUNS)
    )


def _model(model: Overview, known: WatchedRecord | None) -> Html:
    facts = [(name, value) for name, value in _facts(model) if markup(value)]
    return card(
        element("h3", model.model, id=f"model-{label_value(model.model)}"),
        descriptions(facts),
        limits_table(_limits(known)),
    )


def _facts(model: Overview) -> Iterator[tuple[str, Content]]:
    yield "state", model.state
    yield "kind", model.problem
    yield "due", model.schedule
    yield "owner", model.owner
    yield "links", links(model.links)
    yield "runs", f"{model.runs:,}"
    yield "last run", _run(model.last_run)
    yield "in service", _run(model.champion)


def _run(run_id: str) -> Content:
    return link(f"/runs/{run_id}", run_id) if run_id else ""


def _limits(known: WatchedRecord | None) -> list[Limit]:
    """None of a model whose kind nobody has told, or that this version can't read."""
    try:
        return [*limits(described(known.problem), known.thresholds, known.threshold_reasons)] if known else []
    except (ConfigError, AttributeError, TypeError, ValueError):  # nonsense in a record costs no other model its card
        return []

"""The common parts of the exporter's pages."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.summaries import shown_state
from catwalk.telemetry.wire.labels import label_value
from catwalk.web.header import header
from catwalk.web.markup import Html, document, element, link
from catwalk_exporter.exposition import Settings
from catwalk_exporter.snapshot import Snapshot


@dataclass(frozen=True)
class View:
    """The ledger at one moment, and the addresses of the other servers."""

    snapshot: Snapshot
    settings: Settings
    now: float
    """The Unix time."""
    store_up: bool
    """Whether the snapshot is fresh."""

    def state(self, summary: SummaryRecord) -> str:
        """Returns a run's state, including `stalled` and `lost`."""
        return shown_state(summary, self.now, self.settings.stalled_seconds)

    def header(self, here: str = "Runs", *own: Html) -> Html:
        """Returns the navigation; see :func:`catwalk.web.header.header`."""
        return header(here, "", self.settings.links.get("courier"), *own)

    def notices(self) -> list[Html]:
        """Returns a notice if the shown state may be old."""
        if self.store_up:
            return []
        return [element("p", "The store does not answer. This page shows the last state that was read.", "bad")]

    def message(self, title: str, sentence: str, *own: Html, refresh_seconds: int = 0) -> str:
        """Returns a page with one message."""
        body = element("h1", title), element("p", sentence)
        return document(title, *body, navigation=self.header("", *own), refresh_seconds=refresh_seconds)

    def not_found(self) -> str:
        """Returns the page for any other address."""
        return self.message("Not found", "There is no such page or run.")


class QueryError(Exception):
    """An address asks for something that can't be shown. The message is a sentence for the page."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


def anchor(model: str) -> str:
    """Returns the anchor of a model's card on its page, by the name that Prometheus and dashboards use."""
    return f"model-{quote(label_value(model), safe='')}"


def run_link(run_id: str) -> Html:
    """Returns a link to a run's report."""
    return link(f"/runs/{run_id}", run_id)

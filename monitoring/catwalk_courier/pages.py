"""The courier's page: alerts that are firing, and the history of notifications. Made for a phone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from catwalk.clients.alertmanager import ActiveAlert
from catwalk.clients.episodes import WATCHDOGS, Episode, subject, unix_time
from catwalk.web.markup import Content, Html, document, element, joined, link
from catwalk.web.values import moment, span
from catwalk_courier.deadman import State, Watch
from catwalk_courier.runbooks import around

_REFRESH_SECONDS = 30
_ANNOTATED = (("runbook_url", "What to do"), ("dashboard", "Dashboard"))
_LOOKS = {"critical": "bad", "warning": "warn"}
"""The CSS class of a firing alert, by severity."""
_CLOCK = "%Y-%m-%d %H:%M UTC"


def index(
    firing: Sequence[ActiveAlert] | None,
    history: Sequence[Episode],
    watch: Watch,
    state: State,
    now: float,
    exporter_url: str,
) -> str:
    """Returns the page.

    Args:
        firing: Alertmanager's alerts; None if it does not answer.
        history: The episodes, newest first.
        watch: The dead-man watch.
        state: The dead-man watch's state.
        now: The Unix time.
        exporter_url: The address of the pages of runs.
    """
    body = [element("h1", "Notifications"), _watchdog(watch, state, now), element("h2", "Firing now")]
    body += _firing(firing, history, now, exporter_url)
    everything = joined("Newest first. ", element("code", "catwalk alerts --history"), " lists all of them.")
    body += [element("h2", "Notification history"), element("p", everything, "quiet")]
    nothing = element("p", "No notification has been sent yet.")
    body += [_article(episode, "sent", now, exporter_url) for episode in history] or [nothing]
    header = around("Notifications")
    return document("Catwalk notifications", *body, navigation=header, refresh_seconds=_REFRESH_SECONDS)


def _firing(
    firing: Sequence[ActiveAlert] | None, history: Sequence[Episode], now: float, exporter_url: str
) -> Iterator[Html]:
    known = [alert for alert in firing or () if alert.labels.get("alertname") not in WATCHDOGS]
    shown = [(_as_episode(alert), alert.state) for alert in known]
    if firing is None:
        yield element("p", "Alertmanager does not answer. These are the alerts that it last reported.", "bad")
        shown = [(episode, "active") for episode in history if episode.ended is None]
    for episode, note in shown:
        yield _article(episode, note, now, exporter_url)
    if not shown:
        yield element("p", "No alerts are firing.", "good")


def not_found() -> str:
    """Returns the page for any other address."""
    body = element("p", "There is no such page.")
    return document("Not found", element("h1", "Not found"), body, navigation=around(""))


def _watchdog(watch: Watch, state: State, now: float) -> Html:
    ago = "" if watch.heard is None else f", last heard {span(now - watch.heard)} ago"
    silent = f"The Watchdog is silent{ago}. Prometheus or Alertmanager is down, and no alert reaches you. "
    said: dict[State, tuple[str, Content]] = {
        "well": ("good", f"Alerting works: the Watchdog was last heard {span(now - (watch.heard or now))} ago."),
        "waiting": ("quiet", f"Waiting for the first Watchdog, for {span(watch.silence)} so far."),
        "silent": ("bad", joined(silent, link("/runbooks/Watchdog", "What to do"))),
        "planned": (
            "quiet",
            f"Planned stop until {moment(watch.planned_until, _CLOCK)}. A silent Watchdog raises no alarm until then.",
        ),
    }
    css, text = said[state]
    return element("p", text, css)


def _article(episode: Episode, note: str, now: float, exporter_url: str) -> Html:
    """Returns an alert.

    Args:
        episode: Its start and, if it is over, its end.
        note: One of sent, active, silenced or inhibited.
        now: The Unix time.
        exporter_url: The address of the pages of runs.
    """
    over, muted = episode.ended is not None, note if note in ("silenced", "inhibited") else ""
    look = "quiet" if over or muted else _LOOKS.get(episode.severity, "")
    words = ["resolved" if over else episode.severity, muted, episode.name]
    description = "" if note == "sent" else episode.annotations.get("description", "")
    parts = [
        element("p", element("b", " · ".join(filter(None, words)), look)),
        element("p", episode.annotations.get("summary") or episode.name, "big"),
        element("p", description) if description else Html(""),
        element("p", _since(episode, note, now), "quiet"),
        element("p", subject(episode.labels), "quiet"),
        element("p", joined(*_links(episode, exporter_url)), "links"),
    ]
    return element("article", joined(*parts), f"card edged {look}".strip())


def _since(episode: Episode, note: str, now: float) -> str:
    since = f"since {moment(episode.started, _CLOCK)} ({span(now - episode.started)} ago)"
    if note != "sent":
        return since
    lasted = "firing" if episode.ended is None else f"resolved after {span(episode.ended - episode.started)}"
    return f"{since}, {lasted}"


def _links(episode: Episode, exporter_url: str) -> Iterator[Html]:
    """Yields only valid links: an alert's annotations may contain anything."""
    addresses = [(episode.annotations.get(name, ""), label) for name, label in _ANNOTATED]
    run_id = episode.labels.get("run_id", "")
    if run_id and exporter_url:
        addresses.append((f"{exporter_url}/runs/{run_id}", "Run page"))
    for address, label in addresses:
        if address.startswith(("http://", "https://")):
            yield link(address, label)


def _as_episode(alert: ActiveAlert) -> Episode:
    started = unix_time(alert.started)
    return Episode(alert.labels.get("alertname", ""), alert.labels, alert.annotations, started, None, started, 1)

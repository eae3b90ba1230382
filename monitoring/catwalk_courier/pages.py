"""The courier's page: what fires now, and what was. Made to be read on a phone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from catwalk.clients.alertmanager import ActiveAlert
from catwalk.clients.episodes import WATCHDOGS, Episode, subject, unix_time
from catwalk.web.markup import Content, Html, document, element, joined, link
from catwalk.web.values import moment, span
from catwalk_courier.deadman import State, Watch
from catwalk_courier.runbooks import LINKS

_REFRESH_SECONDS = 30
_ANNOTATED = (("runbook_url", "What to do"), ("dashboard", "Dashboard"))
_LOOKS = {"critical": "bad", "warning": "warn"}
"""Severity → how an alert that fires looks."""
_CLOCK = "%Y-%m-%d %H:%M UTC"


def index(
    firing: Sequence[ActiveAlert] | None,
    history: Sequence[Episode],
    watch: Watch,
    state: State,
    now: float,
    exporter_url: str,
) -> str:
    """The page.

    Args:
        firing: what Alertmanager says; None where it does not answer.
        history: newest first.
        watch: of the dead-man.
        state: what is to be said of it.
        now: Unix time.
        exporter_url: where runs have their pages.
    """
    body = [element("h1", "Notifications"), _watchdog(watch, state, now), element("h2", "Firing now")]
    body += _firing(firing, history, now, exporter_url)
    everything = joined("Newest first; ", element("code", "catwalk alerts --history"), " has all.")
    body += [element("h2", "Told so far"), element("p", everything, "quiet")]
    body += [_article(episode, "told", now, exporter_url) for episode in history] or [element("p", "Nothing yet.")]
    return document("Catwalk notifications", *body, navigation=LINKS, refresh_seconds=_REFRESH_SECONDS)


def _firing(
    firing: Sequence[ActiveAlert] | None, history: Sequence[Episode], now: float, exporter_url: str
) -> Iterator[Html]:
    known = [alert for alert in firing or () if alert.labels.get("alertname") not in WATCHDOGS]
    shown = [(_as_episode(alert), alert.state) for alert in known]
    if firing is None:
        yield element("p", "Alertmanager does not answer: this is what it last told.", "bad")
        shown = [(episode, "active") for episode in history if episode.ended is None]
    for episode, note in shown:
        yield _article(episode, note, now, exporter_url)
    if not shown:
        yield element("p", "Nothing fires.", "good")


def not_found() -> str:
    """For any other address."""
    body = element("p", "There is no such page.")
    return document("Not found", element("h1", "Not found"), body, navigation=LINKS)


def _watchdog(watch: Watch, state: State, now: float) -> Html:
    ago = "" if watch.heard is None else f", last heard {span(now - watch.heard)} ago"
    silent = f"The Watchdog is silent{ago}: Prometheus or Alertmanager has stopped, and nobody hears of any alert. "
    said: dict[State, tuple[str, Content]] = {
        "well": ("good", f"The alarm chain works: Watchdog heard {span(now - (watch.heard or now))} ago."),
        "waiting": ("quiet", f"The Watchdog was not heard yet, in {span(watch.silence)} of listening."),
        "silent": ("bad", joined(silent, link("/runbooks/Watchdog", "What to do"))),
        "planned": ("quiet", f"Stopped on purpose until {moment(watch.planned_until, _CLOCK)}."),
    }
    css, text = said[state]
    return element("p", text, css)


def _article(episode: Episode, note: str, now: float, exporter_url: str) -> Html:
    """An alert.

    Args:
        episode: its beginning and, if it is over, its end.
        note: told, active, silenced or inhibited.
        now: Unix time.
        exporter_url: where runs have their pages.
    """
    over, muted = episode.ended is not None, note if note in ("silenced", "inhibited") else ""
    look = "quiet" if over or muted else _LOOKS.get(episode.severity, "")
    words = ["resolved" if over else episode.severity, muted, episode.name]
    description = "" if note == "told" else episode.annotations.get("description", "")
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
    if note != "told":
        return since
    lasted = "fires" if episode.ended is None else f"over after {span(episode.ended - episode.started)}"
    return f"{since}, {lasted}"


def _links(episode: Episode, exporter_url: str) -> Iterator[Html]:
    """Those that lead somewhere: what an alert carries may be anything."""
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

"""The courier's page: what fires now, and what was. Made to be read on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from catwalk.clients.alertmanager import ActiveAlert
from catwalk.clients.episodes import WATCHDOG, Episode, subject, unix_time
from catwalk_courier.deadman import State, Watch
from catwalk_exporter.pages import page

_STYLE = """<meta http-equiv="refresh" content="30"><style>
article { border-left: 4px solid var(--quiet); padding: .1rem 0 .1rem .9rem; margin: 1rem 0 }
article p { margin: .15rem 0; overflow-wrap: anywhere } article b { font-size: 1.05rem }
.critical { border-color: var(--bad) } .warning { border-color: var(--warn) } .over { border-color: var(--line) }
.kind { font-size: .85rem; font-weight: 600 }
.critical .kind { color: var(--bad) } .warning .kind { color: var(--warn) }
.over .kind { color: var(--quiet) } .links a { display: inline-block; margin-right: 1rem; padding: .2rem 0 }
.good { color: var(--good) }
</style>"""
_LINKS = (("runbook_url", "What to do"), ("dashboard", "Dashboard"))


def index(
    firing: Sequence[ActiveAlert] | None,
    history: Sequence[Episode],
    watch: Watch,
    state: State,
    now: float,
    registry_url: str,
) -> str:
    """The page.

    Args:
        firing: what Alertmanager says; None where it does not answer.
        history: newest first.
        watch: of the dead-man.
        state: what is to be said of it.
        now: Unix time.
        registry_url: where runs have their pages.
    """
    known = [_as_episode(alert) for alert in firing or () if alert.labels.get("alertname") != WATCHDOG]
    notes = [alert.state for alert in firing or () if alert.labels.get("alertname") != WATCHDOG]
    body = ["<h1>Notifications</h1>", _watchdog(watch, state, now), "<h2>Firing now</h2>"]
    if firing is None:
        body.append('<p class="failed">Alertmanager does not answer: this is what it last told.</p>')
        known = [episode for episode in history if episode.ended is None]
        notes = ["active"] * len(known)
    body += [_article(episode, note, now, registry_url) for episode, note in zip(known, notes, strict=True)]
    if not known:
        body.append('<p class="good">Nothing fires.</p>')
    body.append('<h2>Told so far</h2><p class="quiet">Newest first; <code>catwalk alerts --history</code> has all.</p>')
    told = [_article(episode, "told", now, registry_url) for episode in history]
    body += told or ["<p>Nothing yet.</p>"]
    body.append('<p><a href="/runbooks/">All runbooks</a></p>')
    return page("Catwalk notifications", "".join(body), _STYLE)


def not_found() -> str:
    """For any other address."""
    return page("Not found", '<h1>Not found</h1><p>There is no such page. <a href="/">Notifications</a></p>')


def _watchdog(watch: Watch, state: State, now: float) -> str:
    ago = "" if watch.heard is None else f", last heard {_span(now - watch.heard)} ago"
    said = {
        "well": ("good", f"The alarm chain works: Watchdog heard {_span(now - (watch.heard or now))} ago."),
        "waiting": ("quiet", f"The Watchdog was not heard yet, in {_span(watch.silence)} of listening."),
        "silent": (
            "failed",
            f"The Watchdog is silent{ago}: Prometheus or Alertmanager has stopped, and nobody hears of any alert. "
            '<a href="/runbooks/Watchdog">What to do</a>',
        ),
        "planned": ("quiet", f"Stopped on purpose until {_clock(watch.planned_until)} UTC."),
    }
    kind, text = said[state]
    return f'<p class="{kind}">{text}</p>'


def _article(episode: Episode, note: str, now: float, registry_url: str) -> str:
    over = episode.ended is not None
    kind = "over" if over or note in ("silenced", "inhibited") else escape(episode.severity)
    words = ["resolved" if over else episode.severity, note if note in ("silenced", "inhibited") else "", episode.name]
    lasted = f", over after {_span(episode.ended - episode.started)}" if episode.ended is not None else ", fires"
    lasted = lasted if note == "told" else ""
    since = f"since {_clock(episode.started)} UTC ({_span(now - episode.started)} ago){lasted}"
    notes = episode.annotations
    links = [(notes.get(name, ""), label) for name, label in _LINKS]
    run_id = episode.labels.get("run_id", "")
    if run_id and registry_url:
        links.append((f"{registry_url}/runs/{run_id}", "Run page"))
    shown = "".join(
        f'<a href="{escape(url)}">{label}</a>' for url, label in links if url.startswith(("http://", "https://"))
    )
    description = "" if note == "told" else f"<p>{escape(notes.get('description', ''))}</p>"
    return (
        f'<article class="{kind}"><p class="kind">{escape(" · ".join(word for word in words if word))}</p>'
        f"<p><b>{escape(notes.get('summary') or episode.name)}</b></p>{description}"
        f'<p class="quiet">{since}</p><p class="quiet">{escape(subject(episode.labels))}</p>'
        f'<p class="links">{shown}</p></article>'
    )


def _as_episode(alert: ActiveAlert) -> Episode:
    started = unix_time(alert.started)
    return Episode(alert.labels.get("alertname", ""), alert.labels, alert.annotations, started, None, started, 1)


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def _span(seconds: float) -> str:
    """``12 s``, ``7 min``, ``3 h`` or ``5 d``."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"

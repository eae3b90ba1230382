"""HTML that needs nothing from the network: one style sheet, and the few elements that reports are made of.

Every function that takes text escapes it; what is HTML already is of type :class:`Html`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from catwalk.ledger.records import is_finite
from catwalk.report import NAVIGATION, style

STYLE = """
:root { color-scheme: light dark; --page: #f6f8fa; --card: #ffffff; --ink: #24292f; --quiet: #5d6670; --line: #d3d9df;
  --blue: #0f6cab; --orange: #b34700; --shade: #eef2f5 }
@media (prefers-color-scheme: dark) { :root { --page: #0d1117; --card: #161b22; --ink: #e6edf3; --quiet: #a3adb8;
  --line: #3d444d; --blue: #58a9e6; --orange: #f0883e; --shade: #21262d } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); margin: 0 auto;
  max-width: 74rem; padding: 1.2rem 1rem 3rem }
h1 { font-size: 1.35rem; line-height: 1.3; margin: .2rem 0 .6rem } h1 .run, .big .run { white-space: normal }
h2 { font-size: 1.1rem; margin: 2rem 0 .7rem } h3 { font-size: 1rem; margin: 0 0 .5rem } p { margin: .4rem 0 }
a { color: var(--blue) } code { font-size: .88em; overflow-wrap: anywhere }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .9rem 1rem }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)) }
.grid > :last-child:nth-child(odd) { grid-column: 1 / -1 }
figure { margin: 0; display: flex; flex-direction: column } figure img { display: block; width: 100%; max-width: 34rem;
  margin: 0 auto; height: auto }
figcaption { color: var(--quiet); font-size: .88rem; margin-top: .5rem }
.verdict { border-left: 6px solid var(--line); margin-bottom: 1rem } .verdict.good { border-left-color: var(--blue) }
.verdict.bad { border-left-color: var(--orange) } .verdict p.big { font-size: 1.15rem; font-weight: 600 }
.good b, b.good, td.good { color: var(--blue) } .bad b, b.bad, td.bad { color: var(--orange) }
.quiet { color: var(--quiet) } .missing { border-style: dashed; align-self: start }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .32rem .8rem .32rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: 600 } thead th { color: var(--quiet); font-size: .86rem; white-space: nowrap }
tbody tr:last-child > * { border-bottom: 0 }
.wide th:first-child { position: sticky; left: 0; background: var(--card) }
.n { text-align: right; white-space: nowrap }
.name { white-space: normal; overflow-wrap: anywhere; min-width: 6.5rem }
.nowrap { white-space: nowrap } .run { white-space: nowrap; font-variant-numeric: tabular-nums }
.facts { display: grid; gap: .1rem 1.2rem; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)) }
.facts div { padding: .25rem 0 } .facts dt { color: var(--quiet); font-size: .86rem } dl { margin: 0 }
.facts dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums }
.facts dd.lead { font-size: 1.25rem; font-weight: 600 }
.swatch { display: inline-block; width: 2.6em; height: .8em; vertical-align: baseline; margin-right: .4em }
details summary { cursor: pointer; font-weight: 600 } nav { margin-bottom: .4rem }
@media (max-width: 44rem) { .roomy { display: none } body { padding: .8rem .6rem 2rem } .card { padding: .7rem .6rem }
  h1 { font-size: 1.15rem } th, td { padding-right: .6rem } .run { white-space: normal }
  .stacked thead { display: none } .stacked tr { display: grid; grid-template-columns: 1fr auto; padding: .35rem 0;
  border-bottom: 1px solid var(--line) } .stacked tr > * { border: 0; padding: 0 }
  .stacked .words { grid-column: 1 / -1 } }
@media print { body { background: none } .card { break-inside: avoid } }
"""


@dataclass(frozen=True)
class Html:
    """Markup that is safe to show."""

    text: str


Content = Html | str


def markup(content: Content) -> str:
    """HTML as it is, text escaped."""
    return content.text if isinstance(content, Html) else escape(content)


def document(title: str, body: Iterable[Html]) -> bytes:
    """A whole page."""
    inner = "\n".join(part.text for part in body)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>{NAVIGATION}\n{inner}\n</body></html>\n"
    ).encode(errors="replace")


def element(tag: str, content: Content, css: str = "") -> Html:
    """One element."""
    attribute = f' class="{css}"' if css else ""
    return Html(f"<{tag}{attribute}>{markup(content)}</{tag}>")


def joined(*parts: Content) -> Html:
    """Several parts, one after the other."""
    return Html("".join(map(markup, parts)))


def card(*parts: Content, css: str = "") -> Html:
    """A box that stands out from the page."""
    return element("div", joined(*parts), f"card {css}".strip())


def table(
    header: Sequence[Content], rows: Iterable[Sequence[Content]], css: Sequence[str] = (), stacked: bool = False
) -> Html:
    """A table that scrolls sideways where it is too wide.

    Args:
        header: a cell a column.
        rows: cells; the first of each row is its header.
        css: a class a column.
        stacked: on a phone, cells of class `words` go below the others.
    """
    classes = [*css, *[""] * (len(header) - len(css))]

    def line(cells: Sequence[Content], tag: str) -> str:
        tags = ["th" if index == 0 else tag for index in range(len(cells))]
        return "".join(element(t, cell, c).text for t, cell, c in zip(tags, cells, classes, strict=True))

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    head, css_class = f"<thead><tr>{line(header, 'th')}</tr></thead>", "wide" + " stacked" * stacked
    return Html(f'<div class="{css_class}"><table>{head}<tbody>{body}</tbody></table></div>')


def facts(entries: Iterable[tuple[str, Content]], lead: int = 0) -> Html:
    """Names and values in as many columns as fit; the first `lead` values are large."""
    cells = []
    for number, (name, value) in enumerate(entries):
        css = "lead" if number < lead else ""
        cells.append(f"<div>{element('dt', name).text}{element('dd', value, css).text}</div>")
    return Html(f'<dl class="facts">{"".join(cells)}</dl>')


def figure(drawing: style.Drawing) -> Html:
    """A figure as an image within the page."""
    source = base64.b64encode(style.as_svg(drawing).encode()).decode()
    image = f'<img alt="{escape(drawing.alt)}" src="data:image/svg+xml;base64,{source}">'
    caption = element("figcaption", drawing.note).text if drawing.note else ""
    return Html(f'<figure class="card">{element("h3", drawing.title).text}{image}{caption}</figure>')


def missing(title: str, sentence: str) -> Html:
    """What stands where something can't be shown."""
    return card(element("h3", title), element("p", sentence, "quiet"), css="missing")


def swatch(run_id: str) -> Html:
    """A piece of a run's line, so that it is found again in figures."""
    look = style.run_style(run_id)
    dashes = f' stroke-dasharray="{" ".join(f"{2.4 * length:g}" for length in look.dashes)}"' if look.dashes else ""
    dark = style.DARK[look.colour]
    shape = _marker(look.marker)
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 52 16">'
        f"<style>:root{{color:{look.colour}}}@media (prefers-color-scheme: dark){{:root{{color:{dark}}}}}</style>"
        f'<path d="M0 8H52" stroke="currentColor" stroke-width="2.6"{dashes}/>{shape}</svg>'
    )
    source = base64.b64encode(svg.encode()).decode()
    return Html(f'<img class="swatch" alt="" src="data:image/svg+xml;base64,{source}">')


def _marker(marker: str) -> str:
    paths = {
        "o": "M26 2a6 6 0 1 0 .01 0z",
        "s": "M20.5 2.5h11v11h-11z",
        "D": "M26 0l8 8-8 8-8-8z",
        "^": "M26 1l7.5 13h-15z",
        "v": "M26 15l7.5-13h-15z",
        "P": "M23.5 1h5v4.5h4.5v5h-4.5v4.5h-5v-4.5h-4.5v-5h4.5z",
    }
    return f'<path d="{paths[marker]}" fill="currentColor"/>'


def run_name(run_id: str) -> Html:
    """A run's id after its swatch."""
    return Html(f'<span class="run">{swatch(run_id).text}{escape(run_id)}</span>')


def moment(seconds: float | None) -> str:
    """A time in UTC, or a dash."""
    if seconds is None:
        return "–"
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return "–"


def duration(seconds: float | None) -> str:
    """Seconds as people read them, or a dash."""
    if not is_finite(seconds):
        return "–"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {left:02} s"

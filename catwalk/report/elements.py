"""Elements that only reports have: figures, runs with their swatch, and placeholders for what is missing."""

from __future__ import annotations

import base64

from catwalk.report import NAVIGATION
from catwalk.report.figures import style
from catwalk.web import markup
from catwalk.web.markup import Html, card, element, joined

_MARKERS = {
    "o": "M26 2a6 6 0 1 0 .01 0z",
    "s": "M20.5 2.5h11v11h-11z",
    "D": "M26 0l8 8-8 8-8-8z",
    "^": "M26 1l7.5 13h-15z",
    "v": "M26 15l7.5-13h-15z",
    "P": "M23.5 1h5v4.5h4.5v5h-4.5v4.5h-5v-4.5h-4.5v-5h4.5z",
}
"""Maps a marker of matplotlib to its outline in a swatch of 52 × 16."""


def document(title: str, *body: Html) -> bytes:
    """Returns a whole page, to be stored as a file."""
    return markup.document(title, *body, navigation=Html(NAVIGATION)).encode(errors="replace")


def figure(drawing: style.Drawing) -> Html:
    """Returns a figure as an image within the page."""
    image = _image(style.as_svg(drawing), drawing.alt, "")
    caption = element("figcaption", drawing.note) if drawing.note else ""
    return element("figure", joined(element("h3", drawing.title), image, caption), "card")


def missing(title: str, sentence: str) -> Html:
    """Returns the placeholder for something that can't be shown."""
    return card(element("h3", title), element("p", sentence, "quiet"), css="missing")


def swatch(run_id: str) -> Html:
    """Returns a piece of a run's line, which identifies the run in figures."""
    look = style.run_style(run_id)
    dashes = f' stroke-dasharray="{" ".join(f"{2.4 * length:g}" for length in look.dashes)}"' if look.dashes else ""
    dark = style.DARK[look.colour]
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 52 16">'
        f"<style>:root{{color:{look.colour}}}@media (prefers-color-scheme: dark){{:root{{color:{dark}}}}}</style>"
        f'<path d="M0 8H52" stroke="currentColor" stroke-width="2.6"{dashes}/>'
        f'<path d="{_MARKERS[look.marker]}" fill="currentColor"/></svg>'
    )
    return _image(svg, "", "swatch")


def run_name(run_id: str) -> Html:
    """Returns a run's swatch and id."""
    return element("span", joined(swatch(run_id), run_id), "run")


def _image(svg: str, alt: str, css: str) -> Html:
    source = base64.b64encode(svg.encode()).decode()
    return markup.image(f"data:image/svg+xml;base64,{source}", alt, css)

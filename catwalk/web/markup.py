"""The few HTML elements that make up all of Catwalk's pages; they need nothing from the network.

Every function that takes text escapes it; HTML has the type :class:`Html`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from catwalk.web.stylesheet import STYLE

_SAFE_ADDRESS = re.compile(r"https?://|/(?!/)|#")


@dataclass(frozen=True)
class Html:
    """Markup that is safe to show."""

    text: str


Content = Html | str


def markup(content: Content) -> str:
    """Returns HTML unchanged, and text escaped."""
    return content.text if isinstance(content, Html) else escape(content)


def element(tag: str, content: Content, css: str = "", **attributes: str) -> Html:
    """Returns one element.

    Args:
        tag: Its name.
        content: Its content.
        css: Its classes.
        attributes: Other attributes, such as an `id`.
    """
    given = {"class": css, **attributes}
    written = "".join(f' {name}="{escape(value)}"' for name, value in given.items() if value)
    return Html(f"<{tag}{written}>{markup(content)}</{tag}>")


def image(source: str, alt: str, css: str = "") -> Html:
    """Returns a picture.

    Args:
        source: A `data:` address, or one of this server.
        alt: The text alternative; empty if the picture adds nothing to the text.
        css: Its classes.
    """
    kind = f' class="{css}"' if css else ""
    return Html(f'<img{kind} alt="{escape(alt)}" src="{escape(source)}">')


def joined(*parts: Content) -> Html:
    """Returns several parts, one after the other."""
    return Html("".join(map(markup, parts)))


def link(address: str, content: Content) -> Html:
    """Returns a link, or only the content if the address is not one of the web, of this server or of this page."""
    if not _SAFE_ADDRESS.match(address):
        return joined(content)
    return element("a", content, href=address)


def side_by_side(parts: Iterable[Html]) -> Html:
    """Returns several parts on a line, separated by dots."""
    return Html(" · ".join(part.text for part in parts))


def links(addresses: Mapping[str, str]) -> Html:
    """Returns links side by side; `addresses` maps names to addresses."""
    return side_by_side([link(address, name) for name, address in addresses.items()])


def navigation(*links: Html) -> Html:
    """Returns a page's first line, with its links."""
    return element("nav", side_by_side(links))


def card(*parts: Content, css: str = "") -> Html:
    """Returns a box that stands out from the page."""
    return element("div", joined(*parts), f"card {css}".strip())


def table(
    header: Sequence[Content],
    rows: Iterable[Sequence[Content]],
    css: Sequence[str] = (),
    stacked: bool = False,
    labels: Sequence[str] = (),
) -> Html:
    """Returns a table that scrolls sideways if it is too wide.

    Args:
        header: One cell per column.
        rows: Cells; the first cell of each row is its header.
        css: One class per column.
        stacked: On a phone, cells of class `words` are below the others.
        labels: One name per column; if given, each row is a block of named values on a phone.
    """
    classes = [*css, *[""] * (len(header) - len(css))]
    names = [*labels, *[""] * (len(header) - len(labels))]

    def line(cells: Sequence[Content], tag: str) -> str:
        tags = ["th" if index == 0 else tag for index in range(len(cells))]
        named = [{"data-label": name} if t == "td" else {} for t, name in zip(tags, names, strict=True)]
        shown = zip(tags, cells, classes, named, strict=True)
        return "".join(element(t, cell, c, **attributes).text for t, cell, c, attributes in shown)

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    head, css_class = (
        f"<thead><tr>{line(header, 'th')}</tr></thead>",
        f"wide{' stacked' * stacked}{' named' * bool(labels)}",
    )
    return Html(f'<div class="{css_class}"><table>{head}<tbody>{body}</tbody></table></div>')


def descriptions(entries: Iterable[tuple[str, Content]], lead: int = 0) -> Html:
    """Returns names and values in as many columns as fit; the first `lead` values are large."""
    cells = []
    for number, (name, value) in enumerate(entries):
        css = "lead" if number < lead else ""
        cells.append(f"<div>{element('dt', name).text}{element('dd', value, css).text}</div>")
    return Html(f'<dl class="facts">{"".join(cells)}</dl>')


def listing(entries: Iterable[tuple[str, Content]]) -> Html:
    """Returns names and values, one per line, for long values such as a hash."""
    rows = "".join(f"<tr>{element('th', name).text}{element('td', value).text}</tr>" for name, value in entries)
    return Html(f'<table class="facts"><tbody>{rows}</tbody></table>')


def document(title: str, *body: Html, navigation: Html | None = None, css: str = "", refresh_seconds: int = 0) -> str:
    """Returns a whole page.

    Args:
        title: The title of the window.
        body: Its content.
        navigation: Its first line, if any.
        css: The classes of what is below that.
        refresh_seconds: How often it reloads; 0 for never.
    """
    refresh = f'<meta http-equiv="refresh" content="{refresh_seconds}">' if refresh_seconds else ""
    inner = element("main", Html("\n".join(part.text for part in body)), css)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{refresh}'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body>{navigation.text if navigation else ''}\n{inner.text}\n</body></html>\n"
    )

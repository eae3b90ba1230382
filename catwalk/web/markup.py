"""HTML that needs nothing from the network: the few elements that all of Catwalk's pages are made of.

Every function that takes text escapes it; what is HTML already is of type :class:`Html`.
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
    """HTML as it is, text escaped."""
    return content.text if isinstance(content, Html) else escape(content)


def element(tag: str, content: Content, css: str = "", **attributes: str) -> Html:
    """One element.

    Args:
        tag: its name.
        content: what is in it.
        css: its classes.
        attributes: others, such as an `id`.
    """
    given = {"class": css, **attributes}
    told = "".join(f' {name}="{escape(value)}"' for name, value in given.items() if value)
    return Html(f"<{tag}{told}>{markup(content)}</{tag}>")


def image(source: str, alt: str, css: str = "") -> Html:
    """A picture.

    Args:
        source: a `data:` address, or one of this server.
        alt: what it shows, for who can't see it; empty: nothing that the text does not say.
        css: its classes.
    """
    kind = f' class="{css}"' if css else ""
    return Html(f'<img{kind} alt="{escape(alt)}" src="{escape(source)}">')


def joined(*parts: Content) -> Html:
    """Several parts, one after the other."""
    return Html("".join(map(markup, parts)))


def link(address: str, content: Content) -> Html:
    """A link; the content alone where the address is none of the web, of this server or of this page."""
    if not _SAFE_ADDRESS.match(address):
        return joined(content)
    return element("a", content, href=address)


def side_by_side(parts: Iterable[Html]) -> Html:
    """Several parts on a line, with a dot between two."""
    return Html(" · ".join(part.text for part in parts))


def links(addresses: Mapping[str, str]) -> Html:
    """Links side by side: name → address."""
    return side_by_side([link(address, name) for name, address in addresses.items()])


def navigation(*links: Html) -> Html:
    """Where a page leads to: its first line."""
    return element("nav", side_by_side(links))


def card(*parts: Content, css: str = "") -> Html:
    """A box that stands out from the page."""
    return element("div", joined(*parts), f"card {css}".strip())


def table(
    header: Sequence[Content],
    rows: Iterable[Sequence[Content]],
    css: Sequence[str] = (),
    stacked: bool = False,
    labels: Sequence[str] = (),
) -> Html:
    """A table that scrolls sideways where it is too wide.

    Args:
        header: a cell a column.
        rows: cells; the first of each row is its header.
        css: a class a column.
        stacked: on a phone, cells of class `words` go below the others.
        labels: a name a column; if given, on a phone each row is a block of named values.
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
    """Names and values in as many columns as fit; the first `lead` values are large."""
    cells = []
    for number, (name, value) in enumerate(entries):
        css = "lead" if number < lead else ""
        cells.append(f"<div>{element('dt', name).text}{element('dd', value, css).text}</div>")
    return Html(f'<dl class="facts">{"".join(cells)}</dl>')


def listing(entries: Iterable[tuple[str, Content]]) -> Html:
    """Names and values, a line each: for values that are long, such as a hash."""
    rows = "".join(f"<tr>{element('th', name).text}{element('td', value).text}</tr>" for name, value in entries)
    return Html(f'<table class="facts"><tbody>{rows}</tbody></table>')


def document(title: str, *body: Html, navigation: Html | None = None, css: str = "", refresh_seconds: int = 0) -> str:
    """A whole page.

    Args:
        title: of the window.
        body: what it shows.
        navigation: its first line, if any.
        css: classes of what is below that.
        refresh_seconds: how often it reloads; 0: never.
    """
    refresh = f'<meta http-equiv="refresh" content="{refresh_seconds}">' if refresh_seconds else ""
    inner = element("main", Html("\n".join(part.text for part in body)), css)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{refresh}'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body>{navigation.text if navigation else ''}\n{inner.text}\n</body></html>\n"
    )

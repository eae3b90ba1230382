"""Runbooks as web pages: ``prometheus/runbooks/<AlertName>.md``, the targets of the links in alerts."""

from __future__ import annotations

import re
from pathlib import Path

from markdown_it import MarkdownIt

from catwalk import assets
from catwalk.environment.parts import public_url
from catwalk.web.header import header
from catwalk.web.markup import Html, document, element, joined, link

FOLDER = assets.path("prometheus/runbooks")
CONTAINERS = assets.path("prometheus/containers.md")
"""The equivalents of the runbooks' native commands in containers, at the end of each page."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,80}")


def around(here: str) -> Html:
    """Returns the header of a page of the courier."""
    return header(here, public_url("exporter"), "")


def names(folder: Path = FOLDER) -> list[str]:
    """Returns the alerts that have a runbook, in alphabetical order."""
    return sorted(path.stem for path in folder.glob("*.md") if _NAME.fullmatch(path.stem) and path.stem != "README")


def index(folder: Path = FOLDER) -> str:
    """Returns a page with a link to each runbook."""
    items = [element("li", _entry(folder, name)) for name in names(folder)]
    shown = element("ul", joined(*items)) if items else element("p", "There are no runbooks.")
    return document("Runbooks", element("h1", "Runbooks"), shown, navigation=around("Runbooks"), css="prose")


def _entry(folder: Path, name: str) -> Html:
    return joined(link(f"/runbooks/{name}", name), " ", element("span", _first_sentence(folder, name), "quiet"))


def runbook(name: str, folder: Path = FOLDER) -> str | None:
    """Returns the page of one alert, with or without ``.md`` after its name; None if there is no runbook.

    The name is used as a path only after a check that it consists of letters and digits.
    """
    name = name.removesuffix(".md")
    path = folder / f"{name}.md"
    if not _NAME.fullmatch(name) or not path.is_file():
        return None
    # Raw HTML stays text: a runbook is only Markdown.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    html = Html(markdown.render(f"{path.read_text()}\n{CONTAINERS.read_text()}"))
    return document(name, html, navigation=around("Runbooks"), css="prose")


def _first_sentence(folder: Path, name: str) -> str:
    """Returns the first sentence of the first paragraph below the headings, without code marks."""
    paragraphs = re.split(r"\n\s*\n", (folder / f"{name}.md").read_text())
    text = next((" ".join(paragraph.split()) for paragraph in paragraphs if paragraph.strip()[:1] not in ("", "#")), "")
    return re.split(r"(?<=\.) ", text.replace("`", ""), maxsplit=1)[0]

"""Runbooks as web pages: ``prometheus/runbooks/<AlertName>.md``, where the links in alerts lead."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt

from catwalk import assets
from catwalk_exporter.pages import page

FOLDER = assets.path("prometheus/runbooks")
CONTAINERS = assets.path("prometheus/containers.md")
"""What the native commands of all runbooks are in containers; ends each page."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,80}")
_STYLE = """<style>
main { max-width: 46rem } pre { background: #8882; padding: .7rem .9rem; border-radius: 6px; overflow-x: auto }
pre code { overflow-wrap: normal } code { background: #8882; padding: .1em .3em; border-radius: 4px }
pre code { background: none; padding: 0 } main table { display: block; overflow-x: auto }
</style>"""


def names(folder: Path = FOLDER) -> list[str]:
    """Alerts that have a runbook, by the alphabet."""
    return sorted(path.stem for path in folder.glob("*.md") if _NAME.fullmatch(path.stem) and path.stem != "README")


def index(folder: Path = FOLDER) -> str:
    """A page with a link to each."""
    items = "".join(
        f'<li><a href="/runbooks/{name}">{name}</a> <span class="quiet">{_first_sentence(folder, name)}</span></li>'
        for name in names(folder)
    )
    body = '<p><a href="/">Notifications</a></p><h1>Runbooks</h1>'
    return page("Runbooks", body + (f"<ul>{items}</ul>" if items else "<p>There are none yet.</p>"), _STYLE)


def runbook(name: str, folder: Path = FOLDER) -> str | None:
    """The page of one alert, with or without ``.md`` behind its name; None where there is no runbook.

    The name decides on the file only after it was found to consist of letters and digits.
    """
    name = name.removesuffix(".md")
    path = folder / f"{name}.md"
    if not _NAME.fullmatch(name) or not path.is_file():
        return None
    # Raw HTML stays text: a runbook is Markdown and nothing else.
    html = (
        MarkdownIt("commonmark", {"html": False})
        .enable("table")
        .render(f"{path.read_text()}\n{CONTAINERS.read_text()}")
    )
    links = '<p><a href="/">Notifications</a> · <a href="/runbooks/">Runbooks</a></p>'
    return page(name, f"{links}<main>{html}</main>", _STYLE)


def _first_sentence(folder: Path, name: str) -> str:
    """Of the first paragraph below the headings, without its marks for code, as HTML."""
    paragraphs = re.split(r"\n\s*\n", (folder / f"{name}.md").read_text())
    text = next((" ".join(paragraph.split()) for paragraph in paragraphs if paragraph.strip()[:1] not in ("", "#")), "")
    return escape(re.split(r"(?<=\.) ", text.replace("`", ""), maxsplit=1)[0])

"""The site of the documentation: it has every page, every link leads somewhere, and nothing is loaded from
elsewhere.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from stack.settings import PROJECT
from tests.stack.test_docs import PAGES

_ROOT = "http://site.invalid/"
_RAW = re.compile(r"```|\n[-*] |\n\| ")
"""Markdown that the builder did not understand: a code block, a list or a table within a paragraph."""


@dataclass
class Page(HTMLParser):
    """Identifiers, links, what a browser loads for a page, and the text of its paragraphs."""

    html: str
    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    paragraphs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._within = False
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids.add(found.get("id") or "")
        if tag == "a" and found.get("href"):
            self.links.append(str(found["href"]))
        source = found.get("href") if tag == "link" else found.get("src")
        if source:
            self.loaded.append(source)
        if tag == "p":
            self._within = True
            self.paragraphs.append("")

    def handle_endtag(self, tag: str) -> None:
        self._within = self._within and tag != "p"

    def handle_data(self, data: str) -> None:
        if self._within:
            self.paragraphs[-1] += data


def broken(pages: dict[str, Page], files: set[str]) -> list[str]:
    """Returns the links and loaded files that lead nowhere within the site, each as ``page: link``."""
    found = []
    for name, page in pages.items():
        for link in (*page.links, *page.loaded):
            target = urlsplit(urljoin(_ROOT + name, link))
            if not f"{target.scheme}://{target.netloc}/".startswith(_ROOT):
                continue
            path = unquote(target.path).lstrip("/")
            path = f"{path}index.html" if path.endswith("/") or not path else path
            anchor = unquote(target.fragment)
            if path not in files or (anchor and path in pages and anchor not in pages[path].ids):
                found.append(f"{name}: {link}")
    return found


def foreign(page: Page) -> list[str]:
    """Returns what a browser would load from another server."""
    return [source for source in page.loaded if urlsplit(source).netloc]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(out)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {str(path.relative_to(site)): Page(path.read_text()) for path in site.rglob("*.html")}


def test_every_page_of_the_repository_is_in_the_site(pages: dict[str, Page]) -> None:
    for path in PAGES:
        name = path.relative_to(PROJECT)
        folder = name.parent if name.name == "README.md" else name.with_suffix("")
        assert str(folder / "index.html") in pages


def test_every_link_and_anchor_leads_somewhere(site: Path, pages: dict[str, Page]) -> None:
    files = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    assert broken({name: page for name, page in pages.items() if name != "404.html"}, files) == []


def test_a_browser_loads_nothing_from_elsewhere(site: Path, pages: dict[str, Page]) -> None:
    assert {name: foreign(page) for name, page in pages.items() if foreign(page)} == {}
    styles = [path.read_text() for path in site.rglob("*.css")]
    assert styles
    assert [
        found for style in styles for found in re.findall(r"(?:url\(|@import\s*)[\"']?(?:https?:)?//[^)\"']+", style)
    ] == []


def test_all_markdown_is_understood(pages: dict[str, Page]) -> None:
    assert [(name, text[:80]) for name, page in pages.items() for text in page.paragraphs if _RAW.search(text)] == []


@pytest.mark.parametrize("link", ["b/", "#nowhere", "../a/#nowhere", "picture.png"])
def test_a_link_that_leads_nowhere_is_found(link: str) -> None:
    planted = Page(f'<h1 id="top"><a href="{link}">somewhere</a> <a href="#top">here</a></h1>')
    assert broken({"a/index.html": planted}, {"a/index.html"}) == [f"a/index.html: {link}"]


def test_what_comes_from_elsewhere_and_what_was_not_understood_are_found() -> None:
    planted = Page('<link href="//fonts.example/a.css"><img src="b.png"><p>Two of them:\n- one\n- two</p>')
    assert foreign(planted) == ["//fonts.example/a.css"]
    assert [text for text in planted.paragraphs if _RAW.search(text)]

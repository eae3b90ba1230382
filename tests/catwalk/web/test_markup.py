"""The kit for all pages: text from others stays text, and pages load nothing from anywhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from catwalk.web.markup import (
    Html,
    card,
    descriptions,
    document,
    element,
    image,
    joined,
    link,
    listing,
    navigation,
    table,
)  # fmt: skip
from stack.settings import PROJECT
from tests.catwalk.report.conftest import Page

HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.mark.parametrize(
    "build",
    [
        lambda text: element("p", text),
        lambda text: joined("a", text),
        lambda text: card(text),
        lambda text: link("/runs/1", text),
        lambda text: link("javascript:alert(1)", text),
        lambda text: navigation(link("/", text)),
        lambda text: table([text, text], [[text, text]], ["n", "name"], stacked=True),
        lambda text: descriptions([(text, text)], lead=1),
        lambda text: listing([(text, text)]),
    ],
)
def test_text_from_others_is_shown_and_never_executed(build: Callable[[str], Html]) -> None:
    page = Page(document(HOSTILE, build(HOSTILE)).encode())
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 2, "in the title and where it was inserted"


def test_attributes_from_others_do_not_end_early() -> None:
    links = link(f"/{HOSTILE}", ""), link(f"https://a/{HOSTILE}", "")
    page = Page(joined(element("h2", "", id=HOSTILE), image("data:,", HOSTILE), *links).text.encode())
    assert page.tags == {"h2", "img", "a"}
    assert page.images[0]["alt"] == HOSTILE
    assert page.addresses == ["data:,"] and [*page.links] == [f"/{HOSTILE}", f"https://a/{HOSTILE}"]


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "JavaScript:x", " javascript:x", "data:text/html,x", "//a", ""]
)
def test_only_web_addresses_become_links(address: str) -> None:
    assert link(address, "here") == Html("here")
    assert link("#damaged", "here") == Html('<a href="#damaged">here</a>')


def test_a_document_is_complete_and_loads_nothing() -> None:
    text = document("Runs", element("h1", "Runs"), navigation=navigation(link("/", "All")), refresh_seconds=30)
    page = Page(text.encode())
    assert page.tags <= {"html", "head", "meta", "title", "style", "body", "nav", "a", "main", "h1"}
    assert page.addresses == [] and page.links == {"/": "All"}
    assert '<html lang="en">' in text and 'name="viewport"' in text
    assert text.count('http-equiv="refresh" content="30"') == 1
    assert "http-equiv" not in document("Runs")


def test_pages_need_no_matplotlib() -> None:
    """They need no numpy either, which comes with it: the exporter and the courier start fast and with little
    memory.
    """
    code = "import sys, catwalk.web.markup, catwalk.web.palette; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0

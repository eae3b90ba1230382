"""One palette for every page and figure: legible in both schemes, and no module has its own colours."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from catwalk.clients.alertmanager import ActiveAlert
from catwalk.clients.episodes import Episode
from catwalk.web import palette
from catwalk.web.stylesheet import STYLE
from catwalk_courier import pages as courier_pages
from catwalk_courier import runbooks
from catwalk_courier.deadman import Watch
from catwalk_exporter.pages import comparison, models, run_list
from catwalk_exporter.pages.run_facts import run_page
from catwalk_exporter.pages.run_query import parsed
from catwalk_exporter.pages.view import QueryError
from stack.settings import PROJECT
from tests.catwalk.report.conftest import Page
from tests.catwalk.report.test_style import contrast
from tests.support.ledgers import summary
from tests.support.views import view

NOW = 1_800_000_000.0
RUN = "20261123T030000Z-00000001"
_HEX = re.compile(r"#[0-9a-fA-F]{3,8}\b")
_OTHER_COLOURS = re.compile(r"\b(?:rgba?|hsla?|oklch|lab)\(")
_SCHEMES = ("light", "dark")


def sources() -> list[Path]:
    """Every module that shows something, except the palette."""
    folders = ("catwalk/report", "catwalk/web", "monitoring/catwalk_exporter", "monitoring/catwalk_courier")
    found = [path for folder in folders for path in (PROJECT / folder).rglob("*.py")]
    return [path for path in found if path.name != "palette.py"]


def pages() -> Iterator[tuple[str, str]]:
    """Each page of the exporter and of the courier."""
    damaged = {"summaries/a.json": "it is damaged"}
    runs = (summary(RUN), summary("20261124T030000Z-00000002", state="failed", error="the loss is not finite"))
    shown = view(*runs, now=NOW, store_up=False, damaged=damaged, links={"courier": "http://127.0.0.1:9181"})
    yield "runs", run_list.page(shown, parsed(f"q=mlp&run={RUN}&run=20261124T030000Z-00000003"))
    yield "no such runs", run_list.page(shown, parsed("model=none"))
    yield "no runs", run_list.page(view(now=NOW), parsed(""))
    yield "a wrong query", run_list.refusal(shown, QueryError("It is wrong."))
    yield "comparison", comparison.waiting(shown, runs, 2)
    yield "models", models.page(shown)
    yield "run", run_page(runs[0], shown)
    yield "no run", shown.not_found()
    labels = {"alertname": "ModelPlateaued", "severity": "warning", "run_id": RUN}
    notes = {"summary": "It learns nothing.", "runbook_url": "http://127.0.0.1:9181/runbooks/ModelPlateaued"}
    firing = [ActiveAlert(labels, notes, "2026-11-23T03:00:00Z", state) for state in ("active", "silenced")]
    told = [Episode("ModelPlateaued", labels, notes, NOW - 60, NOW - 30, NOW - 30, 1)]
    for state in ("well", "waiting", "silent", "planned"):
        text = courier_pages.index(firing, told, Watch(heard=NOW), state, NOW, "http://127.0.0.1:9180")
        yield f"notifications, {state}", text
    yield "no alert", courier_pages.not_found()
    yield "runbooks", runbooks.index()
    for name in runbooks.names():
        yield name, runbooks.runbook(name) or ""


@pytest.mark.parametrize("scheme", _SCHEMES)
def test_text_contrasts_with_every_background(scheme: str) -> None:
    """WCAG 2, level AA: 4.5 to 1."""
    for (text, colour), (ground, behind) in product(palette.TEXTS.items(), palette.GROUNDS.items()):
        ratio = contrast(getattr(colour, scheme), getattr(behind, scheme))
        assert ratio >= 4.5, f"{text} on {ground}: {ratio:.2f}"


def test_each_variable_has_a_light_and_a_dark_value() -> None:
    light, mark, dark = STYLE.partition("@media (prefers-color-scheme: dark)")
    dark = dark.partition("\n")[0]
    assert mark and "color-scheme:light dark" in light
    for name, colour in palette.TOKENS.items():
        assert re.search(rf"--{name}:{colour.light}\b", light), name
        assert re.search(rf"--{name}:{colour.dark}\b", dark), name
    assert set(re.findall(r"var\(--([\w-]+)\)", STYLE)) == palette.TOKENS.keys(), "all are used, and all are defined"


def test_the_stylesheet_knows_phones_and_paper() -> None:
    assert "@media (max-width:" in STYLE and "@media print" in STYLE
    assert not re.search(r"url\(|@import", STYLE)


def test_no_module_has_its_own_colours() -> None:
    own = {}
    for path in sources():
        text = path.read_text()
        if found := _HEX.findall(text) + _OTHER_COLOURS.findall(text) + list(named_colours(text)):
            own[str(path.relative_to(PROJECT))] = found
    assert len(sources()) > 40
    assert own == {}, "name it in catwalk/web/palette.py"


def named_colours(source: str) -> Iterator[str]:
    """Yields the colours that are passed to matplotlib by name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and "color" in (node.arg or "") and isinstance(node.value, ast.Constant):
            yield from {str(node.value.value)} - {"none"}


def test_every_page_uses_only_the_palette_and_loads_nothing() -> None:
    known = {shown for colour in palette.TOKENS.values() for shown in colour}
    for name, text in pages():
        page = Page(text.encode())
        assert set(_HEX.findall(text.partition("</style>")[0])) == known, name
        assert not _HEX.findall(re.sub(r'href="#[^"]*"', "", text.partition("</style>")[2])), name
        assert not page.tags & {"script", "link", "img", "iframe", "object", "embed"}, name
        assert not re.search(r"url\(|@import| style=", text), name
        assert {"main", "h1"} <= page.tags, name

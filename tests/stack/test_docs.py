"""What the documentation names exists: links, headings, files, `make` targets, commands, variables."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from markdown_it import MarkdownIt
from markdown_it.token import Token

from catwalk.cli.main import app
from catwalk.environment.addresses import PORTS, port_variable
from catwalk.trainable import Checkable, Fit, Readable, Trainable
from grafana.board import all_panels
from grafana.dashboards import DASHBOARDS
from grafana.dashboards.run import LOSS_CURVES
from stack.settings import PROJECT
from tests.prometheus.book import SCENARIOS
from tests.prometheus.rulebook import RUNBOOKS, alerts, records

DOCS = PROJECT / "docs"
ARCHITECTURE = DOCS / "architecture.md"
GENERATED = ("drift.md", "gate.md", "metrics.md", "nights.md", "paired-tests.md")
README_LINES = 150
PAGES = sorted(
    [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", PROJECT / "grafana" / "README.md"]
    + [page for folder in ("docs", "prometheus") for page in (PROJECT / folder).rglob("*.md")]
)
FOLDERS = ("catwalk", "dags", "docs", "grafana", "ml", "monitoring", "prometheus", "stack", "tests")
SOURCES = ("catwalk", "dags", "ml", "monitoring", "stack")
_PARSER = MarkdownIt("commonmark").enable("table")
_PATH = re.compile(r"[\w.-]+(/[\w.*-]+)*/?")
_SHELL = ("", "sh", "text")
"""Languages of code blocks that contain commands."""


def tokens(text: str) -> Iterator[Token]:
    """Yields all tokens of a page, including those within paragraphs."""
    for token in _PARSER.parse(text):
        yield token
        yield from token.children or ()


def links(text: str) -> Iterator[str]:
    """Returns the targets of links and pictures within the repository."""
    found = (token.attrGet("href") or token.attrGet("src") for token in tokens(text))
    return (str(target) for target in found if target and not re.match(r"[a-z]+:", str(target)))


def anchors(text: str) -> set[str]:
    """Returns a page's headings as GitHub makes anchors of them."""
    found = list(tokens(text))
    headings = [after.content for token, after in pairwise(found) if token.type == "heading_open"]
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def inline_code(text: str) -> list[str]:
    return [token.content for token in tokens(text) if token.type == "code_inline"]


def commands(text: str) -> str:
    """Returns everything that a page tells people to type."""
    blocks = [token.content for token in tokens(text) if token.type == "fence" and token.info in _SHELL]
    return "\n".join(inline_code(text) + blocks)


def broken_links(text: str, folder: Path) -> list[str]:
    return [link for link in links(text) if not _leads_somewhere(link, text, folder)]


def _leads_somewhere(link: str, text: str, folder: Path) -> bool:
    target, _, anchor = link.partition("#")
    path = folder / target
    return path.exists() and (not anchor or anchor in anchors(path.read_text() if target else text))


def missing_files(text: str, folder: Path) -> list[str]:
    """Returns paths that look like the repository's, and don't exist. Names in capitals stand for any."""
    paths = [code for code in inline_code(text) if _PATH.fullmatch(code) and _is_ours(code)]
    return [path for path in paths if not any(_exists(root, path) for root in (PROJECT, folder))]


def _is_ours(path: str) -> bool:
    first, slash, _ = path.partition("/")
    return bool(slash) and (first in FOLDERS or (path.endswith((".py", ".md")) and not path.startswith(".")))


def _exists(root: Path, path: str) -> bool:
    return any(root.glob(re.sub(r"\b[A-Z]+\b(?!\.md)", "*", path.rstrip("/"))))


def unknown_targets(text: str, _: Path) -> list[str]:
    known = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    return sorted(set(re.findall(r"\bmake ([a-z-]+)", commands(text))) - set(known))


def unknown_commands(text: str, _: Path) -> list[str]:
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return sorted(set(re.findall(r"(?:^|[ /])catwalk ([a-z]+)", commands(text), re.MULTILINE)) - set(known))


def variables(text: str) -> set[str]:
    return set(re.findall(r"\bCATWALK_[A-Z0-9_]*[A-Z0-9]\b", text))


def variables_of_sources() -> set[str]:
    """Returns every variable that programs, containers and Grafana know."""
    files = [file for folder in SOURCES for file in (PROJECT / folder).rglob("*.py")]
    texts = [file.read_text() for file in (*files, PROJECT / "docker-compose.yaml", PROJECT / ".env.example")]
    return set().union(*map(variables, texts)) | {port_variable(part) for part in PORTS}


def unknown_variables(text: str, _: Path) -> list[str]:
    return sorted(variables(text) - variables_of_sources())


COUNTED = {
    "alerts": len({rule.name for rule in alerts()}),
    "alert rules": len(alerts()),
    "recorded series": len(records()),
    "scenarios": len(SCENARIOS),
    "dashboards": len(DASHBOARDS),
    "panels": sum(panel["type"] != "row" for dashboard in DASHBOARDS for panel in all_panels(dashboard)),
    "runbooks": len(list(RUNBOOKS.glob("*.md"))),
}
"""What the tree has → how many."""
_WORDS = ["no", *["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]]
_COUNT = re.compile(
    rf"\b(\d[\d,]*|{'|'.join(_WORDS[1:])})\s+(?:[A-Za-z]+\s+)?({'|'.join(sorted(COUNTED, reverse=True, key=len))})\b",
    re.I,
)


def wrong_counts(text: str, _: Path) -> list[str]:
    """Returns where a page states a number of something that differs from the tree's."""
    return [found[0] for found in _COUNT.finditer(text) if _number(found[1]) != COUNTED[found[2].lower()]]


def _number(text: str) -> int:
    return _WORDS.index(text.lower()) if text.lower() in _WORDS else int(text.replace(",", ""))


Check = Callable[[str, Path], list[str]]
CHECKS: list[Check] = [broken_links, missing_files, unknown_targets, unknown_commands, unknown_variables, wrong_counts]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_what_a_page_names_exists(page: Path, check: Check) -> None:
    assert check(page.read_text(), page.parent) == []


@pytest.mark.parametrize(
    ("check", "planted", "found"),
    [
        (broken_links, "[a page](nowhere.md)", "nowhere.md"),
        (broken_links, "![a picture](nothing.png)", "nothing.png"),
        (broken_links, "| [a heading](operations.md#no-such-heading) |\n|-|\n", "operations.md#no-such-heading"),
        (broken_links, "[a heading of its own](#no-such-heading)", "#no-such-heading"),
        (missing_files, "`catwalk/telemetry/roads.py`", "catwalk/telemetry/roads.py"),
        (missing_files, "`stack/tools/NAME/go.work`", "stack/tools/NAME/go.work"),
        (missing_files, "`vanished/module.py`", "vanished/module.py"),
        (missing_files, "`catwalk/vanished/`", "catwalk/vanished/"),
        (unknown_targets, "`make coffee`", "coffee"),
        (unknown_targets, "```sh\ncd x && make coffee\n```\n", "coffee"),
        (unknown_commands, "`catwalk purr`", "purr"),
        (unknown_commands, "```sh\n.venv/bin/catwalk purr RUN\n```\n", "purr"),
        (unknown_variables, "`CATWALK_WHISKERS`", "CATWALK_WHISKERS"),
        (wrong_counts, "It has 9 tested alerts.", "9 tested alerts"),
        (wrong_counts, "It has five\nGrafana dashboards.", "five\nGrafana dashboards"),
        (wrong_counts, "It has 1,000 alert rules.", "1,000 alert rules"),
    ],
)
def test_a_wrong_name_is_found(check: Check, planted: str, found: str) -> None:
    assert check(planted, DOCS) == [found]


def test_the_readme_is_short_enough_to_read_in_one_sitting() -> None:
    assert len((PROJECT / "README.md").read_text().splitlines()) <= README_LINES


def test_every_page_begins_with_the_question_that_it_answers_and_is_in_the_index() -> None:
    pages = sorted(page.name for page in DOCS.glob("*.md"))
    for name in set(pages) - set(GENERATED):
        assert re.match(r"# [^\n]+\n\nThis page answers: \*[^*]+\?\*\n", (DOCS / name).read_text()), name
    assert sorted({*links((DOCS / "README.md").read_text())} & {*pages}) == sorted({*pages} - {"README.md"})


def test_every_variable_and_every_port_is_documented() -> None:
    text = (DOCS / "configuration.md").read_text()
    assert sorted(variables_of_sources() - variables(text)) == []
    assert dict(re.findall(r"\| `CATWALK_PORT_([A-Z0-9_]+)` \| (\d+) \|", text)) == {
        name.upper(): str(port) for name, port in PORTS.items()
    }


def test_the_page_on_models_has_every_member_of_a_trainable() -> None:
    named = set(inline_code((DOCS / "models.md").read_text()))
    for protocol in (Trainable, Fit, Readable, Checkable):
        assert {name for name in vars(protocol) if not name.startswith("_")} <= named, protocol


EXCERPTS = ("catwalk/telemetry/*.py", "catwalk/telemetry/*.yaml", "prometheus/rules/*.yml", "dags/*.py")
"""Files that pages show excerpts of."""


@pytest.mark.parametrize("name", ["architecture.md", "models.md"])
def test_excerpts_match_the_files(name: str) -> None:
    texts = [" ".join(file.read_text().split()) for pattern in EXCERPTS for file in PROJECT.glob(pattern)]
    blocks = [token.content for token in tokens((DOCS / name).read_text()) if token.info in ("yaml", "python")]
    assert blocks
    for block in blocks:
        assert any(" ".join(block.split()) in text for text in texts), block


def test_the_order_of_imports_is_that_of_the_contracts() -> None:
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = (contract["layers"] for contract in contracts if contract.get("containers") == ["catwalk"])
    held = [set(layer.split(" | ")) for layer in layers]
    [block] = re.findall(r"each line may import those below it:\n(.+?)```", ARCHITECTURE.read_text(), re.DOTALL)
    said = [{name.removesuffix(".py") for name in line.split()} for line in block.splitlines()]
    assert [{"__main__"}, *said] == held


def test_the_query_that_the_page_follows_is_the_panels() -> None:
    assert LOSS_CURVES in ARCHITECTURE.read_text()

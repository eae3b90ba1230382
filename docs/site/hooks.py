"""Gives MkDocs the repository's pages at their own paths, so that one link works in a checkout and in the site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PROJECT = Path(__file__).resolve().parents[2]
PAGES = ("*.md", "docs/*.md", "grafana/*.md", "prometheus/**/*.md")
STYLES = "docs/site/*.css"
_LINK = re.compile(r"\]\(([^)#:\s]+)\)")
_CODE_IN_A_CELL = re.compile(r"(?<=<td><code>)[^<]+(?=</code>)")
_WORDS_BEHIND_A_LANGUAGE = re.compile(r"^(```\w+) .+$", re.MULTILINE)


def on_config(config: MkDocsConfig) -> None:
    """Puts every runbook into the navigation, where mkdocs.yml has the folder's name."""
    _expand(config.nav)


def _expand(items: list[dict[str, object]]) -> None:
    for item in items:
        for title, target in item.items():
            if isinstance(target, list):
                _expand(target)
            elif isinstance(target, str) and target.endswith("/"):
                item[title] = sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / target).glob("*.md"))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages, what they link to, and what the theme brings; nothing that MkDocs has found in docs/ by itself."""
    kept = [file for file in files if file.src_dir != config.docs_dir]
    pages = {path for pattern in PAGES for path in PROJECT.glob(pattern)}
    ours = pages | set(PROJECT.glob(STYLES)) | {target for page in pages for target in _linked(page)}
    names = sorted(str(path.relative_to(PROJECT)) for path in ours)
    return Files([*kept, *(File.generated(config, name, abs_src_path=str(PROJECT / name)) for name in names)])


def _linked(page: Path) -> Iterator[Path]:
    targets = ((page.parent / link).resolve() for link in _LINK.findall(page.read_text()))
    return (target for target in targets if target.is_file() and target.suffix != ".md")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Takes off the words behind a code block's language, by which tests find it: superfences reads them as options."""
    return _WORDS_BEHIND_A_LANGUAGE.sub(r"\1", markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lets the names in a table's cells break after an underscore or a colon, and nowhere else."""
    return _CODE_IN_A_CELL.sub(lambda name: re.sub(r"([_:]+)", r"\1<wbr>", name[0]), html)

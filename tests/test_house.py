"""The library, the services and the stack know no model: everything specific to Fashion-MNIST is in its own folder."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.settings import PROJECT

_DEMO = PROJECT / "stack" / "demo.py"
_WORDS = re.compile(
    r"fashion|mnist|garment|trouser|t-shirt|(?<![a-z])mlp(?![a-z])|28 ?[x×] ?28|(?<!\d)784(?!\d)", re.IGNORECASE
)
_NUMBERS = {28, 784}
_TEN = re.compile(r"(?i)\b(ten|10) classes\b")
_TRAINED_BY_DEFAULT = "CATWALK_TRAINABLE=ml.fashion_mnist:CLASSIFIER\n"
_DATA = {".env", ".json", ".md", ".sh", ".tmpl", ".yaml", ".yml"}


def files() -> Iterator[Path]:
    for folder in ("catwalk", "monitoring", "grafana", "stack"):
        yield from (path for path in sorted((PROJECT / folder).rglob("*.py")) if path != _DEMO)


def data() -> Iterator[Path]:
    """Rules, runbooks, dashboards, mapping and settings; from the documentation, only what a service hands out."""
    for folder in ("catwalk", "monitoring", "grafana", "prometheus", "stack"):
        found = (path for path in sorted((PROJECT / folder).rglob("*")) if path.suffix in _DATA)
        yield from (path for path in found if path.name != "README.md")


def said(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of each name, string and number in a module, including its documentation."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant):
            if isinstance(node.value, int) and node.value in _NUMBERS and not isinstance(node.value, bool):
                yield line, f"mlp {node.value}"  # the number alone gives it away
            yield line, str(node.value)
        elif isinstance(node, ast.alias):
            yield line, node.name
        elif isinstance(node, ast.ImportFrom):
            yield line, node.module or ""
        for field in ("id", "attr", "name", "arg"):
            found = getattr(node, field, None)
            if isinstance(found, str):
                yield line, found


def guilty(text: str) -> list[str]:
    tree = ast.parse(text)
    return [f"{line}: {what[:80]}" for line, what in said(tree) if is_slip(what)]


def is_slip(text: str) -> bool:
    return bool(_WORDS.search(text) or _TEN.search(text))


@pytest.mark.parametrize("path", list(files()), ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_model_is_known_by_name_or_shape(path: Path) -> None:
    assert guilty(path.read_text()) == []


def test_no_data_knows_a_model_except_the_setting_that_names_what_the_stack_trains() -> None:
    files = {path: path.read_text() for path in data()}
    assert {path.suffix for path in files} == _DATA
    settings = PROJECT / "stack" / "catwalk.env"
    assert files[settings].count(_TRAINED_BY_DEFAULT) == 1
    files[settings] = files[settings].replace(_TRAINED_BY_DEFAULT, "")
    slips = [
        f"{path.relative_to(PROJECT)}:{number}: {line.strip()[:120]}"
        for path, text in files.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if is_slip(line)
    ]
    assert slips == []


@pytest.mark.parametrize(
    "text",
    ['x = "mlp"', "from ml.fashion_mnist import CLASSIFIER", "PIXELS = 784", "shape = (28, 28)", "fashion_dag = 1",
     '"""Of ten classes."""', '"""With 10 classes."""', 'dag = "fashion_training"', '"""28×28 pixels."""',
     'source = "MNIST"'],
)  # fmt: skip
def test_a_slip_would_be_found(text: str) -> None:
    assert guilty(text)


def test_letters_within_words_and_other_numbers_are_not_a_slip() -> None:
    assert guilty('simple, old = "implement 1784 of 280", "amlpha"') == []

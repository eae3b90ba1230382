"""The documentation follows the style in docs/style, and the checker finds a banned phrase in pages and in code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stack.settings import PROJECT
from tests.prometheus.rulebook import alerts
from tests.prose import findings, modules, pages


def test_the_pages_follow_the_style() -> None:
    assert {PROJECT / "README.md", PROJECT / "docs" / "operations.md"} < {*pages()}
    assert findings(pages()) == []


def test_the_code_follows_the_style() -> None:
    assert {PROJECT / "catwalk" / "cli" / "main.py", PROJECT / "tests" / "prose.py"} < {*modules()}
    assert findings(modules()) == []


def test_what_alerts_say_follows_the_style(tmp_path: Path) -> None:
    said = [rule.body["annotations"][key] for rule in alerts() for key in ("summary", "description")]
    assert len(said) > 100
    page = tmp_path / "annotations.md"
    page.write_text("\n\n".join(said))
    assert findings([page]) == []


@pytest.mark.parametrize(
    ("planted", "rule"),
    [
        ("Nobody is woken.", "Phrases"),
        ("The file is written anew.", "Phrases"),
        ("The owner is told of it.", "Phrases"),
        ("An hour, for who saves twice.", "Phrases"),
        ("The page lists what fires.", "Phrases"),
        ("The first ships, for there is no champion.", "Phrases"),
        ("The service has stopped to answer.", "Phrases"),
        ("The estimate is not to be trusted.", "Phrases"),
        ("A retraining was not to be had.", "Phrases"),
        ("The version before keeps answering.", "Phrases"),
        ("Of equally good models few ship.", "Inversions"),
        ("Read the log. Else ask its owner.", "Inversions"),
        ("The gate holds the candidate model.", "Terms"),
        ("Grafana's side car finds it.", "Terms"),
    ],
)
def test_a_banned_phrase_is_found(planted: str, rule: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n{planted}\n")
    [found] = findings([page])
    assert found.startswith(f"{page}:3:")
    assert f":Catwalk.{rule}:" in found


def test_code_and_plain_words_are_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n\nThe alert is firing, see `nobody`.\n\n```sh\necho told anew\n```\n")
    assert findings([page]) == []


def test_a_banned_phrase_over_two_lines_of_a_page_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n\nThe list says which rule is firing, and so\nmany runs are held.\n")
    [found] = findings([page])
    assert found.startswith(f"{page}:3:41:Catwalk.Phrases:")


DOCSTRING = """\
def ship(model: str) -> None:
    \"\"\"Ships a model.

    The owner is told
    of it, and so
    many others.
    \"\"\"
"""


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        (DOCSTRING, [4, 5]),
        ("x = 1\n\n# The file is written anew.\ny = 2\n", [3]),
        ("x = 1  # The file is written anew.\n", [1]),
        ("#: Runs that so\n#: many readers want.\nx = 1\n", [1]),
        ('x = 1\nraise ValueError(f"{model} is told of {name!r}")\n', [2]),
        ('raise ValueError(\n    f"{model} is read so "\n    f"many times: {count}"\n)\n', [2]),
        ("x = 'the file is written anew'\n", [1]),
        ('x = "line one\\nnobody reads line two"\n', [1]),
        ('x = "a \\" quote"\ny = "nobody reads this"\n', [2]),
        ('x = f"""A table:\n{name\n}\nNobody reads it.\n"""\n', [4]),
    ],
)
def test_a_banned_phrase_in_python_is_found_on_its_line(source: str, lines: list[int], tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(source)
    found = findings([module])
    assert [line.split(":Catwalk.")[0] for line in found] == [f"{module}:{number}" for number in lines]


@pytest.mark.parametrize(
    "source",
    [
        "nobody = told(anew)\n",
        'told = "nobody"\n',
        'names = {"told": nobody["anew"]}\n',
        '"""See `nobody` and ``is told anew``."""\n',
        '# `told` is what `read("nobody else")` returns.\n',
        "raise ValueError(f\"{told} of {nobody['anew']!r}\")\n",
        "raise ValueError(f\"runs: {', '.join(f'{told} anew' for told in nobody)}\")\n",
        "x = '# not a comment'\nnobody = 1\n",
    ],
)
def test_code_in_python_is_left_alone(source: str, tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(source)
    assert findings([module]) == []


def test_each_finding_names_its_own_file(tmp_path: Path) -> None:
    page, *code = paths = [tmp_path / name for name in ("page.md", "a.py", "b.py", "c.py")]
    for path in paths:
        path.write_text("# All is well.\n")
    page.write_text("Nobody reads this.\n")
    code[1].write_text("# Nobody reads this.\n")
    advice = "Catwalk.Phrases:Write 'no one, or who does not' instead of 'Nobody'"
    assert findings(paths) == [f"{code[1]}:1:{advice}", f"{page}:1:1:{advice}"]


def test_a_file_that_is_missing_is_one_line(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.py")
    done = subprocess.run([sys.executable, "-m", "tests.prose", missing], cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"prose: [Errno 2] No such file or directory: '{missing}'\n"

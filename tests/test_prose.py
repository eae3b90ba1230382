"""The documentation follows the style in docs/style, and a phrase that the style bans is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack.settings import PROJECT
from tests.prometheus.rulebook import alerts
from tests.prose import findings, pages


def test_the_pages_follow_the_style() -> None:
    assert {PROJECT / "README.md", PROJECT / "docs" / "operations.md"} < {*pages()}
    assert findings(pages()) == []


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

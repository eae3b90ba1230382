from __future__ import annotations

from pathlib import Path

import pytest

from catwalk_courier import runbooks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "runbooks"
    folder.mkdir()
    (folder / "StoreSlow.md").write_text(
        "# StoreSlow\n\nS3 answers `late`,\nvery late. Look.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "```sh\ncatwalk doctor\n```\n\n<b>bold</b>\n"
    )
    (folder / "README.md").write_text("# How to write one\n")
    return folder


def test_a_runbook_is_a_page(folder: Path) -> None:
    for name in ("StoreSlow", "StoreSlow.md"):
        page = runbooks.runbook(name, folder)
        assert page is not None
        assert "<h1>StoreSlow</h1>" in page
        assert "<td>2</td>" in page
        assert "catwalk doctor" in page
        assert "&lt;b&gt;bold" in page
        assert page.index("catwalk doctor") < page.index("<h2>In containers</h2>") < page.index("docker compose up -d")


def test_the_index_lists_the_runbooks(folder: Path) -> None:
    page = runbooks.index(folder)
    assert '<a href="/runbooks/StoreSlow">StoreSlow</a>' in page
    assert '<span class="quiet">S3 answers late, very late.</span>' in page
    assert "README" not in page


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../secret.txt", "..%2fsecret", "/etc/passwd", "StoreSlow/../StoreSlow", "a" * 200, "Str\0"]
)
def test_no_other_file_is_read(folder: Path, name: str) -> None:
    assert runbooks.runbook(name, folder) is None

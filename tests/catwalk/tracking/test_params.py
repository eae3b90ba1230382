"""What a caller says about a run that can't be stored unchanged: secrets inside texts, and values without an end."""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import catwalk
from catwalk.errors import InputError
from catwalk.ledger.runs import Ledger
from catwalk.redaction import without_credentials
from tests.catwalk.tracking.conftest import only


@dataclass
class Connection:
    """A setting with its own class, as a user might have it."""

    password: str = "p1"
    dbApiKey: str = "p 2, still"
    dsn: str = "postgres://me:p3@host/db"
    tokens: int = 512


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Connection(), "tokens=512"),
        ([{"deep": Connection()}, (Connection(),)], "tokens=512"),
        (argparse.Namespace(secret="p1", of=argparse.Namespace(token="p2\\'", depth=3)), "depth=3"),
        ('{"password": "p1", "of": {"access_key": "p\\"2"}, "depth": 3}', '"depth": 3'),
        ("DB_PASSWORD=p1 API_KEY='p 2' run --depth 3", "run --depth 3"),
        (json.dumps({"of": json.dumps({"password": 'p 1"still', "depth": 3})}), '\\\\"depth\\\\": 3'),
        (json.dumps(json.dumps(json.dumps({"token": "p1", "depth": 3}))), "depth"),
        ("postgres://me:p1/p2@host/db?depth=3", "postgres://(redacted)@host/db?depth=3"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("db:\n  pwd: p1\n  depth: 3", "depth: 3"),
        ("--api-key=p1 --password 'p 2' --db-token p3 --use-token --depth 3", "--use-token --depth 3"),
        (["train.py", "--secret-key", "p1", "--password", "--depth", "3"], "'--password', '--depth', '3'"),
        ((("--token", "p1"), 3), "3"),
        ("PGPASSWORD=p1 SECRET_KEY=p2 AccountKey=p3; depth=3", "depth=3"),
        ("X-Api-Key: p1\nAuthorization: Bearer p2\nAccept: text", "Accept: text"),
        ({"Authorization": "Bearer p1", "secret_key": "p2", "PGPASSWORD": "p3", "depth": 3}, "3"),
        ("https://host/a?token=p1#part", "https://host/a?token=(redacted)#part"),
        ("https://host/a?sig=p1&token=p2", "&token=(redacted)'"),
        ("GET 'https://host/a?token=p1&x=1', depth=3", "token=(redacted)&x=1', depth=3"),
        (
            "Tokenizer(eos_token='</s>', pad_token=0, use_cls_token=True)",
            "eos_token='</s>', pad_token=0, use_cls_token=T",
        ),
        ({"eos_token": "</s>", "padToken": "<pad>", "token": "p1"}, "</s>"),
        ("Client(secret=b'p1', token=rb\"p2\", depth=3)", "depth=3"),
        ("tokenizer=bpe; max_tokens=3; keyboard: yes", "tokenizer=bpe; max_tokens=3; keyboard: yes"),
    ],
)
def test_secrets_inside_a_values_text_are_not_stored(ledger: Ledger, value: Any, kept: str) -> None:
    with catwalk.run("churn", catwalk.Binary(), params={"connection": value}):
        pass
    stored = str(only(ledger).record.parameters)
    assert kept in stored
    assert not re.search(r"p ?\\*\"?[123]\b|still", stored), stored


def test_secrets_in_the_error_that_ended_a_run_are_not_stored(ledger: Ledger) -> None:
    with pytest.raises(OSError, match="p1"), catwalk.run("churn", catwalk.Binary()):
        raise OSError("no answer of postgres://me:p1@host/db with password='p2', depth=3")
    stored = [ledger.store.get(entry.key).body for entry in ledger.store.list("")]
    assert not [body for body in stored if b"p1" in body or b"p2" in body]
    assert len([body for body in stored if b"depth=3" in body]) == 2, "of the attempt and of the summary"


@pytest.mark.parametrize(
    "text",
    ["aB" * 500_000, "--" * 500_000, "a_" * 500_000, "password" * 100_000, "://a:" * 50_000, "?token" * 50_000],
)
def test_a_long_text_is_searched_fast(text: str) -> None:
    """Quadratic time would take hours."""
    assert without_credentials(text) == text


def in_itself() -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["self"] = found
    return found


def very_deep() -> Any:
    return functools.reduce(lambda inner, _: [inner], range(5_000), [])


class Unwritable:
    """A user's class with a mistake."""

    def __repr__(self) -> str:
        raise RuntimeError("half\nmade")


@pytest.mark.parametrize(
    ("told", "arguments"),
    [
        ("params: expected finite values; got one that contains itself", {"params": in_itself()}),
        ("params: expected finite values", {"params": {"deep": very_deep()}}),
        (
            "params['n']: expected a number or text; .* an integer may have at most 480 digits",
            {"params": {"n": -(10**5_000)}},
        ),
        ("params['n']: expected a number or text", {"params": {"n": [10**490]}}),
        ("params: expected names as text; got <int that can't be written", {"params": {10**5_000: 1}}),
        (
            "params['b']: .* got <Unwritable that can't be written as text> (RuntimeError: half made)",
            {"params": {"b": Unwritable()}},
        ),
        ("thresholds['auc']: expected a number", {"thresholds": {"auc": 10**5_000}}),
        ("params: expected a dict of name → value; got int <int that can't be written", {"params": 10**5_000}),
        ("run_key, or CATWALK_RUN_KEY: expected text in UTF-8; got 'a\\udc80'", {"run_key": "a\udc80"}),
    ],
)
def test_what_cannot_be_stored_is_refused_in_one_line(
    ledger: Ledger, tmp_path: Path, told: str, arguments: dict[str, Any]
) -> None:
    pattern = re.escape(told).replace(r"\.\*", ".*")
    with pytest.raises(InputError, match=pattern) as refused:
        catwalk.run("m", catwalk.Binary(), **arguments)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "ledger").exists(), "nothing is half written"


def test_a_key_in_the_environment_that_is_not_text(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_RUN_KEY", os.fsdecode(b"night \xff"))
    with pytest.raises(InputError, match="CATWALK_RUN_KEY: expected text in UTF-8"):
        catwalk.run("m", catwalk.Binary())


def test_the_longest_whole_number_that_fits(ledger: Ledger) -> None:
    with catwalk.run("m", catwalk.Binary(), params={"seed": 10**480}):
        pass
    assert only(ledger).record.parameters["seed"] == 10**480


@pytest.mark.parametrize("path", ["a" * 5_000, "/".join(["a" * 200] * 30), "a" * 300, Path("/tmp", "b" * 5_000)])
def test_a_path_that_no_file_system_allows(ledger: Ledger, path: str | Path) -> None:
    with catwalk.run("m", catwalk.Binary()) as run, pytest.raises(InputError, match="there is nothing at") as refused:
        run.model(path)
    assert len(str(refused.value)) < 600

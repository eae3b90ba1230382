"""Names of models: in any script, with one spelling each, and the same everywhere."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest

from catwalk.clients.airflow_api import champion_assets
from catwalk.errors import ConfigError
from catwalk.ledger.model_names import LONGEST_BYTES, checked, spelling
from catwalk.ledger.models import watched
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.model import WatchedRecord
from catwalk.storage.file_store import FileStore
from catwalk.telemetry.wire.labels import label_value

NAMES = (
    "churn", "fashion-mnist", "a.b_c-2", "x" * 100, "Кредит", "需要予測", "größe v2", "churn (EU)", "C+D @home & more",
    "نموذج", "שלום", "हिन्दी", "ไทย", "Ελλάδα", "d’été", "col·lecció", "サービス・東京", "2026 v1.0", "字" * 66,
)  # fmt: skip
REFUSED = {
    "": "is not one", "..": "does not begin with a letter or a digit", "../x": "has '/' (U+002F)", "a/b": "has '/'",
    ".hidden": "does not begin", " a": "does not begin", "a ": "has a trailing space", "a  b": "two spaces in a row",
    "a\nb": "has '\\n' (U+000A)", "a\x00": "(U+0000)", "a\u202eb": "has '\\u202e' (U+202E)", "a\u200bb": "(U+200B)",
    "\u200fa": "(U+200F)", "a\u2066b": "(U+2066)", "a\ufeffb": "(U+FEFF)", "a\u00a0b": "(U+00A0)",
    "a\u3164b": "(U+3164)", "a\ufe0fb": "(U+FE0F)", "a\ud800b": "(U+D800)", "🙂": "(U+1F642)", "a:b": "has ':'",
    "a%b": "has '%'", "a|b": "has '|'", "a#b": "has '#'", "a,b": "has ','", "a=b": "has '='", "a[b]": "has '['",
    'a"b': "has '\"'", "a'b": 'has "\'"', "a\\b": "has '\\\\'", "a$b": "has '$'", "a{b}": "has '{'", "a*b": "has '*'",
    "a?b": "has '?'", "<b>": "has '<'", "\u0301a": "does not begin", "x" * 101: "has more than 100 characters",
    "字" * 67: "200 bytes",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_the_same_everywhere(name: str, tmp_path: Path) -> None:
    assert checked(name) == name == checked(unicodedata.normalize("NFD", name)) and checked(name) == spelling(name)
    assert label_value(name) == name, "the wire, the exporter and the ledger have one name"
    (own, _) = champion_assets(name)
    assert own.isascii() and unquote(own) == f"catwalk_champion_{name}"
    store = FileStore((tmp_path / "ledger").as_uri())
    watched.add(store, WatchedRecord(name))
    assert watched.names(store) == [name] and watched.key(name) == f"models/{name}.json"
    assert [len(path.name.encode()) <= 255 for path in tmp_path.rglob("*")].count(False) == 0
    store.put(f"champions/{unicodedata.normalize('NFD', name)}.json", b"{}")  # as HFS+ would list it
    assert Champions(store).models() == [name]


@pytest.mark.parametrize(("name", "told"), REFUSED.items())
def test_an_invalid_name_is_refused_in_one_clear_line(name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=r"^model: expected a name of letters and digits of any script") as caught:
        checked(name)
    message = str(caught.value)
    assert told in message and message.isascii() and len(message.splitlines()) == 1


@pytest.mark.parametrize("name", [None, 7, b"churn", Path("churn")])
def test_a_name_is_text(name: Any) -> None:
    with pytest.raises(ConfigError, match="model: expected a name"):
        checked(name)


def test_no_character_allowed_in_a_name_has_a_special_meaning_on_the_way() -> None:
    """Otherwise, a label, an address or a file would have another name than the ledger."""
    accepted = 0
    for number in range(0x110000):
        name = spelling(f"a{chr(number)}b")
        try:
            checked(name)
        except ConfigError:
            continue
        accepted += 1
        assert label_value.__wrapped__(name) == name and unquote(quote(name, safe="")) == name
        assert not {*name} & {*"/\\\"'$`{}[]|,:;=#%*?<>\0"} and name.isprintable()
        assert len(f"{name.encode().decode()}.json") < 255
    assert accepted > 100_000, "letters of all scripts"
    assert LONGEST_BYTES + len(".json") <= 255


def test_two_names_that_a_file_system_can_not_tell_apart_are_never_one_model(tmp_path: Path) -> None:
    """If case does not matter, the record of one model is found under the name of the other."""
    store = FileStore((tmp_path / "ledger").as_uri())
    store.put_record(watched.key("churn"), WatchedRecord("Churn", owner="growth"))
    for tried in (
        lambda: watched.check_name(store, "churn"),
        lambda: watched.add(store, WatchedRecord("churn")),
        lambda: watched.retire(store, "churn", "ada"),
    ):
        with pytest.raises(
            ConfigError, match="model: this ledger can't distinguish churn from Churn; use that spelling"
        ):
            tried()
    known = watched.watched(store, "churn")
    assert known and (known.model, known.owner) == ("Churn", "growth")

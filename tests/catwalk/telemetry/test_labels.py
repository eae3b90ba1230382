from __future__ import annotations

import sys
from urllib.parse import unquote

import pytest

from catwalk.telemetry.wire.labels import label_value, label_values


def test_names_of_any_script_stay_as_they_are() -> None:
    for name in ("t-shirt-top", "20261123T030000Z-7f3a90c1", "猫", "犬", "Größe 42", "a+b@c/d~e", 'quoted "name"'):
        assert label_value(name) == name


def test_every_character_can_be_read_back_and_none_becomes_another() -> None:
    for number in range(sys.maxunicode + 1):
        text = f"a{chr(number)}b"
        value = label_value.__wrapped__(text)
        assert value.encode()
        assert unquote(value, errors="surrogatepass") == text


@pytest.mark.parametrize("pair", [("a:b", "a_b"), ("a:b", "a%3Ab"), ("a%3Ab", "a%253Ab"), ("a|b", "a,b")])
def test_two_names_never_collide(pair: tuple[str, str]) -> None:
    assert label_value(pair[0]) != label_value(pair[1])


def test_an_empty_label_is_none() -> None:
    assert label_values({"model": "", "class": "a:b"}) == {"class": "a%3Ab"}

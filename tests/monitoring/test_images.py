"""Any picture becomes 28×28 grey pixels, a light garment on black."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ml.errors import CatwalkError
from monitoring.images import SIDE, Invert, read_image


def pixels(path: Path, invert: Invert = "auto") -> np.ndarray:
    return np.frombuffer(read_image(path, invert), dtype=np.uint8).reshape(SIDE, SIDE)


def garment(mode: str, size: tuple[int, int], ground: object, cloth: object) -> Image.Image:
    picture = Image.new(mode, size, ground)  # type: ignore[arg-type]
    width, height = size
    ImageDraw.Draw(picture).rectangle((width // 4, height // 4, 3 * width // 4, 3 * height // 4), fill=cloth)  # type: ignore[arg-type]
    return picture


def test_a_picture_of_the_dataset_stays_as_it_is(tmp_path: Path) -> None:
    original = np.zeros((SIDE, SIDE), dtype=np.uint8)
    original[5:20, 3:25] = np.arange(22, dtype=np.uint8) * 11
    Image.fromarray(original).save(tmp_path / "a.png")
    assert np.array_equal(pixels(tmp_path / "a.png"), original)


@pytest.mark.parametrize(
    ("mode", "size", "ground", "cloth"),
    [
        ("L", (280, 280), 0, 255),
        ("RGB", (300, 200), (250, 250, 250), (20, 20, 20)),
        ("RGB", (200, 300), (5, 5, 5), (220, 220, 220)),
        ("RGBA", (100, 100), (255, 255, 255, 0), (230, 230, 230, 255)),
        ("LA", (100, 100), (255, 0), (230, 255)),
        ("1", (100, 100), 0, 1),
        ("I;16", (100, 100), 100, 60_000),
    ],
)
def test_every_kind_of_picture_is_light_on_black(
    tmp_path: Path, mode: str, size: tuple[int, int], ground: object, cloth: object
) -> None:
    garment(mode, size, ground, cloth).save(tmp_path / "a.png")
    found = pixels(tmp_path / "a.png")
    assert found[0].max() < 30 and found[:, 0].max() < 30
    assert found[SIDE // 2, SIDE // 2] > 200


def test_palettes_with_transparency(tmp_path: Path) -> None:
    garment("L", (64, 64), 0, 200).convert("P").save(tmp_path / "a.gif", transparency=0)
    assert pixels(tmp_path / "a.gif")[0].max() < 30


def test_inverting_can_be_asked_for_or_forbidden(tmp_path: Path) -> None:
    garment("L", (56, 56), 255, 0).save(tmp_path / "a.png")
    assert pixels(tmp_path / "a.png", "no")[0, 0] == 255
    assert pixels(tmp_path / "a.png", "auto")[0, 0] == 0
    garment("L", (56, 56), 0, 255).save(tmp_path / "b.png")
    assert pixels(tmp_path / "b.png", "yes")[0, 0] == 255


@pytest.mark.parametrize(
    "body",
    [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"GIF89a" + b"\xff" * 30, b"\xff\xd8\xff\xe0" + b"x" * 100],
)
def test_what_is_no_picture_is_one_line(tmp_path: Path, body: bytes) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(body)
    with pytest.raises(CatwalkError, match=r"a\.png") as refused:
        read_image(file, "auto")
    assert "\n" not in str(refused.value)


def test_a_truncated_and_a_huge_picture_are_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:5_000])
    with pytest.raises(CatwalkError, match="can't be read as a picture"):
        read_image(tmp_path / "cut.png", "auto")
    Image.new("1", (11_000, 11_000)).save(tmp_path / "huge.png")
    with pytest.raises(CatwalkError, match="too large"):
        read_image(tmp_path / "huge.png", "auto")

"""Any picture becomes 28×28 grey pixels, a light garment on black."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from catwalk.errors import CatwalkError
from catwalk.trainable import Invert
from ml.fashion_mnist.config import SIDE
from ml.fashion_mnist.pictures import STDIN, read_image


def pixels(path: Path, invert: Invert = "auto") -> np.ndarray:
    return np.frombuffer(read_image(path, invert), dtype=np.uint8).reshape(SIDE, SIDE)


def garment(mode: str, size: tuple[int, int], ground: object, cloth: object) -> Image.Image:
    picture = Image.new(mode, size, ground)  # type: ignore[arg-type]
    width, height = size
    ImageDraw.Draw(picture).rectangle((width // 4, height // 4, 3 * width // 4, 3 * height // 4), fill=cloth)  # type: ignore[arg-type]
    return picture


def test_a_picture_of_the_dataset_stays_unchanged(tmp_path: Path) -> None:
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


def cut_out(cloth: object, size: tuple[int, int] = (100, 100)) -> Image.Image:
    """A garment on a transparent background, whose colour must not matter."""
    return garment("RGBA", size, (128, 128, 128, 0), cloth)


@pytest.mark.parametrize("shade", [0, 40, 90, 160, 255])
def test_a_cut_out_garment_is_light_on_black_whatever_its_shade(tmp_path: Path, shade: int) -> None:
    cut_out((shade, shade, shade, 255)).save(tmp_path / "a.png")
    found = pixels(tmp_path / "a.png")
    assert found[0].max() == found[:, 0].max() == 0
    assert found[SIDE // 2, SIDE // 2] >= 128


def test_a_cut_out_that_fills_its_picture_is_recognised_by_its_mask(tmp_path: Path) -> None:
    cut_out((20, 20, 20, 255)).crop((25, 25, 100, 75)).save(tmp_path / "a.png")
    found = pixels(tmp_path / "a.png")
    assert found[SIDE // 2, 2] > 200
    assert found[SIDE // 2, -1] == found[0].max() == 0


def test_a_silhouette_is_the_picture_of_its_mask(tmp_path: Path) -> None:
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    mask[5:20, 3:25] = np.arange(22, dtype=np.uint8) * 11
    black = np.zeros_like(mask)
    for name, shade in (("dark", black), ("light", black + 255)):
        Image.fromarray(np.dstack([shade, shade, shade, mask])).save(tmp_path / f"{name}.png")
        assert np.array_equal(pixels(tmp_path / f"{name}.png"), mask), name


def test_a_cut_out_can_be_taken_for_a_photograph_or_for_one_of_the_dataset(tmp_path: Path) -> None:
    cut_out((200, 200, 200, 255)).save(tmp_path / "a.png")
    assert pixels(tmp_path / "a.png", "yes")[SIDE // 2, SIDE // 2] == 55
    assert pixels(tmp_path / "a.png", "no")[SIDE // 2, SIDE // 2] == 200
    for invert in ("yes", "no"):
        assert pixels(tmp_path / "a.png", invert)[0].max() == 0


def test_rounded_corners_cut_nothing_out(tmp_path: Path) -> None:
    picture = garment("RGBA", (100, 100), (250, 250, 250, 255), (20, 20, 20, 255))
    for corner in ((0, 0), (99, 0), (0, 99), (99, 99)):
        picture.putpixel(corner, (0, 0, 0, 0))
    picture.save(tmp_path / "a.png")
    found = pixels(tmp_path / "a.png")
    assert found[0].max() < 30
    assert found[SIDE // 2, SIDE // 2] > 200


def blank(mode: str, colour: object, size: tuple[int, int] = (100, 80)) -> Image.Image:
    return Image.new(mode, size, colour)  # type: ignore[arg-type]


def noise(low: int, high: int, kind: Any) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(low, high, (90, 90)).astype(kind))


@pytest.mark.parametrize("invert", ["auto", "yes", "no"])
@pytest.mark.parametrize(
    "picture",
    [
        blank("RGB", (255, 255, 255)),
        blank("RGB", (0, 0, 0)),
        blank("RGB", (255, 0, 0), (1, 1)),
        blank("L", 7, (1, 9_000)),
        blank("RGBA", (9, 9, 9, 0)),
        blank("RGBA", (255, 255, 255, 255)),
        blank("LA", (0, 0)),
        blank("1", 1),
        blank("P", 3),
        blank("I;16", 60_000),
        noise(250, 255, np.uint8),
        noise(60_000, 60_020, np.uint16),
        noise(0, 20, np.uint16),
    ],
)
def test_a_picture_of_one_shade_shows_nothing(tmp_path: Path, picture: Image.Image, invert: Invert) -> None:
    picture.save(tmp_path / "a.png")
    with pytest.raises(CatwalkError, match=r"a\.png shows nothing: it has only one shade"):
        read_image(tmp_path / "a.png", invert)


@pytest.mark.parametrize(("mode", "name"), [("P", "a.png"), ("CMYK", "a.jpg"), ("CMYK", "a.tif"), ("YCbCr", "a.jpg")])
def test_colours_of_every_kind_are_read(tmp_path: Path, mode: str, name: str) -> None:
    garment("RGB", (280, 280), (250, 250, 250), (20, 20, 20)).convert(mode).save(tmp_path / name)
    found = pixels(tmp_path / name)
    assert found[0].max() < 40
    assert found[SIDE // 2, SIDE // 2] > 200


def test_sixteen_bits_turned_pictures_and_animations(tmp_path: Path) -> None:
    upright = garment("L", (280, 280), 250, 20)
    ImageDraw.Draw(upright).rectangle((70, 210, 280, 230), fill=20)  # a foot to the right
    upright.save(tmp_path / "upright.png")
    expected = pixels(tmp_path / "upright.png").astype(int)
    Image.fromarray(np.asarray(upright).astype(np.uint16) * 257).save(tmp_path / "16.png")
    exif = Image.Exif()
    exif[274] = 6  # shown turned by 90 degrees to the right
    upright.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    upright.save(tmp_path / "a.gif", save_all=True, append_images=[blank("L", 255, (280, 280))])
    for name in ("16.png", "turned.png", "a.gif"):
        assert np.abs(pixels(tmp_path / name) - expected).max() <= 32, name


def test_a_picture_can_come_by_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    garment("L", (56, 56), 255, 0).save(tmp_path / "a.png")
    with (tmp_path / "a.png").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert read_image(STDIN, "auto") == read_image(tmp_path / "a.png", "auto")


def test_palettes_with_transparency(tmp_path: Path) -> None:
    garment("L", (64, 64), 0, 200).convert("P").save(tmp_path / "a.gif", transparency=0)
    assert pixels(tmp_path / "a.gif")[0].max() < 30


def test_inverting_can_be_forced_or_forbidden(tmp_path: Path) -> None:
    garment("L", (56, 56), 255, 0).save(tmp_path / "a.png")
    assert pixels(tmp_path / "a.png", "no")[0, 0] == 255
    assert pixels(tmp_path / "a.png", "auto")[0, 0] == 0
    garment("L", (56, 56), 0, 255).save(tmp_path / "b.png")
    assert pixels(tmp_path / "b.png", "yes")[0, 0] == 255


@pytest.mark.parametrize(
    "body",
    [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"GIF89a" + b"\xff" * 30, b"\xff\xd8\xff\xe0" + b"x" * 100],
)
def test_a_file_that_is_not_a_picture_is_one_line(tmp_path: Path, body: bytes) -> None:
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

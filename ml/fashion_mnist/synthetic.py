"""Synthetic images: a dataset in Fashion-MNIST's file format, for machines that can't get the real one.

Ten silhouettes, each drawn with random position, width, brightness and grain. Tops differ only slightly, as in the real
data, so that a model is right about nine times in ten. Everything trained on them is labelled `synthetic`.
"""

from __future__ import annotations

import os
import struct
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Bytes = NDArray[np.uint8]
Shape = list[tuple[float, float]]

# Corners on a 28 x 28 canvas, mirrored around x = 13.5 if a garment is symmetric.
_BODY: Shape = [(8, 5), (11, 4), (16, 4), (19, 5), (19, 24), (8, 24)]
_SHAPES: tuple[list[Shape], ...] = (
    [_BODY, [(8, 5), (3, 9), (5, 13), (8, 11)], [(19, 5), (24, 9), (22, 13), (19, 11)]],  # t-shirt-top
    [[(9, 3), (18, 3), (19, 25), (15, 25), (13.5, 10), (12, 25), (8, 25)]],  # trouser
    [
        _BODY,
        [(8, 5), (3, 10), (3, 23), (6, 23), (8, 12)],
        [(19, 5), (24, 10), (24, 23), (21, 23), (19, 12)],
    ],  # pullover
    [[(10, 3), (17, 3), (16, 12), (20, 25), (7, 25), (11, 12)]],  # dress
    [
        [(7, 4), (20, 4), (20, 26), (7, 26)],
        [(7, 4), (3, 10), (3, 22), (6, 22)],
        [(20, 4), (24, 10), (24, 22), (21, 22)],
    ],
    [[(3, 20), (12, 15), (23, 19), (25, 22), (3, 22)], [(14, 10), (16, 10), (18, 19), (15, 19)]],  # sandal
    [_BODY, [(8, 5), (4, 10), (4, 20), (7, 20), (8, 12)], [(19, 5), (23, 10), (23, 20), (20, 20), (19, 12)]],  # shirt
    [[(2, 17), (10, 16), (15, 12), (19, 13), (25, 17), (25, 21), (2, 21)]],  # sneaker
    [
        [(4, 11), (23, 11), (24, 24), (3, 24)],
        [(9, 11), (10, 5), (17, 5), (18, 11), (16, 11), (15, 7), (12, 7), (11, 11)],
    ],
    [[(9, 4), (17, 4), (17, 15), (25, 19), (25, 24), (9, 24)]],  # ankle-boot
)
_CHUNK = 5_000


def draw_files() -> dict[str, bytes]:
    """Returns the four IDX files by name, always the same bytes: 60,000 training and 10,000 test images, 28 x 28 grey
    bytes, the same number of each class.
    """
    files = {}
    for name, count, seed in (("train", 60_000, 1), ("t10k", 10_000, 2)):
        rng = np.random.default_rng(seed)
        classes = rng.permutation(np.arange(count, dtype=np.int64) % len(_SHAPES)).astype(np.uint8)
        pixels = np.concatenate([_draw(classes[start : start + _CHUNK], rng) for start in range(0, count, _CHUNK)])
        files[f"{name}-images-idx3-ubyte"] = struct.pack(">4i", 0x803, count, 28, 28) + pixels.tobytes()
        files[f"{name}-labels-idx1-ubyte"] = struct.pack(">2i", 0x801, count) + classes.tobytes()
    return files


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Writes files by name, each atomically, even if two processes write at once.

    Raises:
        OSError: the folder can't be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        _write(folder / name, content)


def _draw(classes: Bytes, rng: np.random.Generator) -> Bytes:
    """Returns images (n, 28, 28) of the given classes (n,)."""
    n = len(classes)
    variants = rng.integers(0, len(_WIDTHS), n)
    shift = rng.integers(-2, 3, (2, n, 1))
    steps = np.arange(28)
    rows, columns = np.clip(steps + shift[0], 0, 27), np.clip(steps + shift[1], 0, 27)
    images = _TEMPLATES[classes, variants][np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
    weave = 1 + 0.25 * rng.uniform(-1, 1, (n, 1, 1)) * np.sin(steps[None, :, None] * rng.uniform(0.3, 2.5, (n, 1, 1)))
    brightness = rng.uniform(0.35, 1.0, (n, 1, 1))
    grain = rng.normal(0, 0.12, images.shape) * (images > 0) + rng.normal(0, 0.02, images.shape)
    drawn: Bytes = (np.clip(images * brightness * weave + grain, 0, 1) * 255).astype(np.uint8)
    return drawn


_WIDTHS = (0.78, 0.86, 0.94, 1.02, 1.1)


def _templates() -> NDArray[np.float32]:
    """Returns each class in each width: (classes, widths, 28, 28), 0 to 1, drawn four times as large and
    scaled down.
    """
    drawn = np.zeros((len(_SHAPES), len(_WIDTHS), 28, 28), dtype=np.float32)
    for label, parts in enumerate(_SHAPES):
        for variant, width in enumerate(_WIDTHS):
            canvas = Image.new("L", (112, 112))
            pen = ImageDraw.Draw(canvas)
            for part in parts:
                pen.polygon([(4 * (13.5 + (x - 13.5) * width), 4 * y) for x, y in part], fill=255)
            drawn[label, variant] = np.asarray(canvas.resize((28, 28), Image.Resampling.BOX), dtype=np.float32) / 255
    return drawn


_TEMPLATES = _templates()


def _write(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise

"""Converts any picture to the format that the model was trained on: 28×28 grey pixels, a light garment on black."""

from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from catwalk.errors import CatwalkError
from catwalk.trainable import Invert
from ml.fashion_mnist.config import SIDE

if TYPE_CHECKING:
    from PIL import Image

STDIN = Path("-")
"""Stands for standard input, as usual."""
_MAX_PIXELS = 100_000_000
_CUT_OUT = 0.05
"""A picture with more than this share of transparent pixels shows a cut-out garment; less is a rounded corner."""
_ONE_SHADE = 16
"""Grey values that differ by less than this count as one shade, like a photo of a blank wall."""


def read_image(path: Path, invert: Invert) -> bytes:
    """Reads a picture as 784 grey values, row by row, 0 black to 255 white.

    The whole picture is scaled to fit, and the rest of the square gets the colour of the background: that of the
        picture's border, or, for a cut-out garment, one that contrasts with it. Only the first picture of an animation
        is used.

    Args:
        path: A file in any format that Pillow supports, or :data:`STDIN`.
        invert: Photos mostly show a garment on a light background, Fashion-MNIST on black. ``auto`` inverts if the
            background is light, and puts a dark cut-out on a light background.

    Raises:
        CatwalkError: the file can't be read, is not a picture, or shows nothing.
    """
    from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about a large picture before it refuses a huge one
            with Image.open(io.BytesIO(sys.stdin.buffer.read()) if path == STDIN else path) as opened:
                if opened.width * opened.height > _MAX_PIXELS:
                    raise CatwalkError(f"{path} is too large ({opened.width}×{opened.height}); scale it down")
                grey, alpha = _layers(ImageOps.exif_transpose(opened))
        ground = _ground(grey, alpha, invert)
        flat = Image.composite(grey, Image.new("L", grey.size, ground), alpha)
        if invert == "yes" or (invert == "auto" and ground > 127):
            flat, ground = ImageChops.invert(flat), 255 - ground
        pixels = ImageOps.pad(flat, (SIDE, SIDE), color=ground).tobytes()
    except UnidentifiedImageError:
        raise CatwalkError(f"{path} is not a readable picture; give a PNG, JPEG or similar file") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise CatwalkError(f"{path} can't be read as a picture: {reason}") from error
    if max(pixels) - min(pixels) < _ONE_SHADE:
        raise CatwalkError(f"{path} shows nothing: it has only one shade; give a picture of a garment")
    return pixels


def _layers(picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Returns shades of grey, and how opaque they are."""
    from PIL import Image

    if picture.mode.startswith(("I", "F")):
        return _scaled(picture), Image.new("L", picture.size, 255)
    if not picture.has_transparency_data:
        return picture.convert("L"), Image.new("L", picture.size, 255)
    layered = picture.convert("RGBA")
    return layered.convert("L"), layered.getchannel("A")


def _scaled(picture: Image.Image) -> Image.Image:
    """Returns 16 or 32 bits per pixel, which convert() would clip, as 8: from the lowest value to the highest."""
    import numpy as np
    from PIL import Image

    values = np.nan_to_num(np.asarray(picture, dtype=np.float64), posinf=0.0, neginf=0.0)
    whole = 65_535.0 if picture.mode.startswith("I;16") else float(np.abs(values).max())
    span = float(np.ptp(values))
    if span * 256 < whole:  # one shade with noise, which would be amplified to a picture
        return Image.new("L", picture.size, 0)
    return Image.fromarray(((values - values.min()) * (255 / (span or 1.0))).astype(np.uint8))


def _ground(grey: Image.Image, alpha: Image.Image, invert: Invert) -> int:
    """Returns the shade of the background."""
    import numpy as np

    shades, opacity = np.asarray(grey), np.asarray(alpha)
    if (opacity < 128).mean() > _CUT_OUT:
        dark = opacity.any() and np.average(shades, weights=opacity) < 128
        return 255 if invert == "yes" or (invert == "auto" and dark) else 0
    edge = np.zeros(shades.shape, dtype=bool)
    edge[[0, -1], :] = edge[:, [0, -1]] = True
    seen = shades[edge & (opacity >= 128)]
    return int(np.median(seen)) if len(seen) else 0

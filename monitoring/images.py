"""Any picture as what the model was trained on: 28×28 grey pixels, a light garment on black."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ml.errors import CatwalkError

if TYPE_CHECKING:
    from PIL import Image

Invert = Literal["auto", "yes", "no"]
SIDE = 28
_MAX_PIXELS = 100_000_000


def read_image(path: Path, invert: Invert) -> bytes:
    """Reads a picture as 784 grey values, row by row, 0 black to 255 white.

    Transparency becomes black, the whole picture is scaled to fit, and what is left of the square takes the colour
    of the picture's border.

    Args:
        path: a file in any format that Pillow knows.
        invert: photographs mostly show a garment on a light ground, Fashion-MNIST on black. ``auto`` inverts where the
            border is light.

    Raises:
        CatwalkError: the file can't be read or is no picture.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of a large picture before it refuses a huge one
            with Image.open(path) as opened:
                if opened.width * opened.height > _MAX_PIXELS:
                    raise CatwalkError(f"{path} is too large ({opened.width}×{opened.height}); scale it down")
                picture = _grey(ImageOps.exif_transpose(opened))
    except UnidentifiedImageError:
        raise CatwalkError(f"{path} is no picture that can be read; give a PNG, JPEG or similar file") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise CatwalkError(f"{path} can't be read as a picture: {reason}") from error
    border = _border(picture)
    if invert == "yes" or (invert == "auto" and border > 127):
        picture, border = ImageOps.invert(picture), 255 - border
    return ImageOps.pad(picture, (SIDE, SIDE), color=border).tobytes()


def _grey(picture: Image.Image) -> Image.Image:
    import numpy as np
    from PIL import Image

    if picture.mode.startswith(("I", "F")):  # 16 and 32 bits a pixel, which convert() would clip instead of scale
        values = np.nan_to_num(np.asarray(picture, dtype=np.float64), posinf=0.0, neginf=0.0)
        scaled = (values - values.min()) * (255 / (np.ptp(values) or 1.0))
        return Image.fromarray(scaled.astype(np.uint8))
    if picture.has_transparency_data:
        layered = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layered.size, (0, 0, 0, 255)), layered)
    return picture.convert("L")


def _border(picture: Image.Image) -> int:
    """Median of the outermost pixels."""
    pixels = picture.tobytes()
    width = picture.width
    edge = sorted(pixels[:width] + pixels[-width:] + pixels[::width] + pixels[width - 1 :: width])
    return edge[len(edge) // 2]

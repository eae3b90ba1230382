"""Reads a model's inputs from the body of a request, by the names, types and shapes of its test examples."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from catwalk.errors import ArtifactError, CatwalkError, shown
from catwalk.serving.limits import MOST_PIXELS, RefusedError
from catwalk.trainable import Readable

if TYPE_CHECKING:
    from catwalk.trainable import Arrays, Invert, Trainable

_UNPROCESSABLE = 422
_TOO_LARGE = 413
_UNSUPPORTED = 415
_LEAVES: dict[str, set[type]] = {"b": {bool}, "u": {int}, "i": {int}, "f": {int, float}}
"""Kind of dtype → Python types that JSON gives for its values."""


@dataclass(frozen=True)
class Input:
    """One array that the model takes."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    """The shape of one example."""
    may_lack: bool
    """Its test examples have NaN, so ``null`` is a value."""

    @classmethod
    def of(cls, name: str, values: NDArray[Any]) -> Input:
        """The input that an array of test examples, (n, …), describes."""
        if values.dtype.kind not in "biuf":
            raise ArtifactError(f"{name} has the type {values.dtype}, which no request can hold")
        return cls(name, values.dtype, values.shape[1:], values.dtype.kind == "f" and bool(np.isnan(values).any()))

    def read(self, value: Any) -> NDArray[Any]:
        """A JSON value as n examples, (n, …).

        Raises:
            RefusedError: It has another type or shape, or is out of range.
        """
        try:
            found = np.asarray(value, dtype=object)  # any other type pads all texts to the longest
            self._check_leaves(found)
            typed = found.astype(np.float64) if self.dtype.kind == "f" else found
        except (TypeError, ValueError, OverflowError, MemoryError):
            raise self._refusal("values that are too large") from None
        with np.errstate(over="ignore"):
            return self.checked(typed.astype(self.dtype, copy=False))

    def checked(self, found: NDArray[Any]) -> NDArray[Any]:
        """Values of its type as n examples, (n, …).

        Raises:
            RefusedError: They have another shape, or are not finite.
        """
        if found.shape == self.shape:
            found = found[None]
        if found.shape[1:] != self.shape or not found.ndim:
            raise self._refusal(f"shape {list(found.shape)}")
        if self.dtype.kind == "f" and not (np.isfinite(found) | (np.isnan(found) & self.may_lack)).all():
            raise self._refusal("values that are not finite")
        return found

    def _check_leaves(self, found: NDArray[Any]) -> None:
        """
        Raises:
            RefusedError: One of these Python values has another type, or is out of range.
        """
        leaves = found.ravel().tolist()  # whose types and limits Python finds faster than NumPy does
        types = set(map(type, leaves))
        if list in types:
            raise self._refusal("lists of unequal length, or too deep")
        if types - _LEAVES[self.dtype.kind] - ({type(None)} if self.may_lack else set()):
            raise self._refusal("values of another type")
        if self.dtype.kind in "iu" and leaves:
            limits, least, most = np.iinfo(self.dtype), min(leaves), max(leaves)
            if least < limits.min or most > limits.max:
                raise self._refusal(f"values from {shown(least)} to {shown(most)}")

    def _refusal(self, came: str) -> RefusedError:
        return RefusedError(_UNPROCESSABLE, f"{self.name}: expected {self.words}; got {came}")

    @property
    def words(self) -> str:
        """What it takes, in words."""
        limits = np.iinfo(self.dtype) if self.dtype.kind in "iu" else None
        kind = {"b": "true or false", "f": "finite numbers" + (" or null" if self.may_lack else "")}
        told = f"whole numbers from {limits.min} to {limits.max}" if limits else kind[self.dtype.kind]
        return f"{told}, of shape {list(self.shape)} for one example or [n{''.join(f', {n}' for n in self.shape)}]"


@dataclass(frozen=True)
class Inputs:
    """All that a model takes, and how a file is read for it."""

    named: Mapping[str, Input]
    trainable: Trainable

    @classmethod
    def of(cls, examples: Arrays, trainable: Trainable) -> Inputs:
        """Those of a test split.

        Raises:
            ArtifactError: an input is of a type that no request can hold.
        """
        named = {name: Input.of(name, values) for name, values in sorted(examples.items()) if name != "labels"}
        return cls(named, trainable)

    def from_json(self, value: Any) -> Arrays:
        """Name → values, or where there is one input, its values alone, as n examples.

        Raises:
            RefusedError: The model does not take them.
        """
        if not isinstance(value, dict) and len(self.named) == 1:
            value = {next(iter(self.named)): value}
        if not isinstance(value, dict) or set(value) != set(self.named):
            raise RefusedError(_UNPROCESSABLE, f"inputs: expected {', '.join(self.named)}, by name")
        found = {name: taken.read(value[name]) for name, taken in self.named.items()}
        if len({len(values) for values in found.values()}) > 1:
            raise RefusedError(_UNPROCESSABLE, f"inputs: {', '.join(found)} must have the same number of examples")
        return found

    def from_bytes(self, body: bytes) -> Arrays:
        """The values of the one input, as they lie in memory (little-endian, row by row), of n examples.

        Raises:
            RefusedError: The model takes several inputs, or the bytes don't end with a whole example.
        """
        if len(self.named) != 1:
            raise RefusedError(
                _UNSUPPORTED, f"raw values are for a model with one input; this one takes {len(self.named)}"
            )
        [taken] = self.named.values()
        bytes_each = taken.dtype.itemsize * int(np.prod(taken.shape))
        if not body or len(body) % bytes_each:
            sentence = f"{taken.name}: expected {bytes_each:,} bytes per example, {taken.dtype}; got {len(body):,}"
            raise RefusedError(_UNPROCESSABLE, sentence)
        values = np.frombuffer(body, taken.dtype.newbyteorder("<")).reshape(-1, *taken.shape)
        return {taken.name: taken.checked(values.astype(taken.dtype, copy=False))}

    def from_picture(self, body: bytes, invert: Invert) -> Arrays:
        """A picture in a file format, as the Trainable reads it.

        Raises:
            RefusedError: The Trainable reads no files, or can't read this one.
        """
        if not isinstance(self.trainable, Readable):
            raise RefusedError(_UNSUPPORTED, "this model reads no picture files; send JSON or raw values")
        _check_pixels(body)
        with tempfile.NamedTemporaryFile(prefix="catwalk-") as file:
            file.write(body)
            file.flush()
            try:
                return self.trainable.read(Path(file.name), invert)
            except CatwalkError as error:
                raise RefusedError(_UNPROCESSABLE, str(error).replace(file.name, "the picture")) from error


def _check_pixels(body: bytes) -> None:
    """
    Raises:
        RefusedError: It is not a picture, or has too many pixels.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(body)) as opened:
            pixels = opened.width * opened.height
    except Image.DecompressionBombError:
        pixels = MOST_PIXELS + 1
    except Exception:  # each format's reader has its own errors
        raise RefusedError(_UNPROCESSABLE, "the body is not a readable picture; send a PNG or JPEG file") from None
    if pixels > MOST_PIXELS:
        raise RefusedError(_TOO_LARGE, f"the picture has more than {MOST_PIXELS:,} pixels; scale it down")

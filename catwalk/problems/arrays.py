"""Converts labels, scores and slices from callers into numpy arrays of the right shape, or fails with a one-line error.

Tensors are detected by their methods, so that neither torch nor pandas is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catwalk.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def array(argument: str, given: Any, expected: str) -> NDArray[Any]:
    """Returns any array-like as an array; a tensor is first detached and moved to the CPU.

    Raises:
        InputError: it is not an array-like, or its rows have different lengths.
    """
    found = given
    for step in ("detach", "cpu"):
        found = getattr(found, step, lambda found=found: found)()
    if str(getattr(found, "dtype", "")) == "torch.bfloat16":  # numpy has no such type
        found = found.float()
    try:
        found = np.asarray(found)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{argument}: expected {expected}; got {type(given).__name__}: {error!s:.100}") from error
    if found.ndim == 0:
        raise InputError(
            f"{argument}: expected {expected}; got {type(given).__name__} {given!r:.60}, which has no rows"
        )
    if not len(found):
        raise InputError(f"{argument}: expected {expected}; got no examples, shape {found.shape}")
    return found


def column(argument: str, given: Any, expected: str, rows: int | None = None) -> NDArray[Any]:
    """Returns one value per example, (n,); a single column (n, 1) is flattened.

    Raises:
        InputError: it has a different shape, or a different number of rows.
    """
    found = array(argument, given, expected)
    flat = found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found
    if flat.ndim != 1 or (rows is not None and len(flat) != rows):
        raise wrong(argument, expected, found)
    return flat


def texts(found: NDArray[Any]) -> list[str | None]:
    """Returns each value of a column as text, the same for every library; None if it is missing.

    Whole numbers are written without a fraction, because pandas turns them into floats if some are missing.
    """
    converted = found.astype("datetime64[us]") if found.dtype.kind == "M" else found
    return [_text(value) for value in converted.tolist()]


def _text(value: Any) -> str | None:
    if isinstance(value, float):
        return None if value != value else str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    missing = value is None or type(value).__name__ in ("NAType", "NaTType")  # pandas' missing values
    return None if missing else str(value)


def floats(argument: str, found: NDArray[Any], expected: str) -> Floats:
    """Returns the values as float64, all finite.

    Raises:
        InputError: they are not numbers, or some are NaN or infinite.
    """
    try:
        numbers = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise wrong(argument, expected, found) from error
    broken = ~np.isfinite(numbers)
    if broken.any():
        row = int(np.argwhere(broken)[0][0])
        count = int(broken.sum())
        raise InputError(
            f"{argument}: expected {expected}; {count:,} of {numbers.size:,} values are NaN or infinite, the first in "
            f"row {row}"
        )
    return numbers


def class_indices(argument: str, given: Any, classes: Sequence[str], rows: int | None = None) -> Integers:
    """Returns labels as class indices, (n,): whole numbers and booleans are indices, texts are names.

    Args:
        argument: Its name, for errors.
        given: The caller's value.
        classes: Names in label order; if empty, any whole number from 0 is an index.
        rows: How many are expected; None for any number.

    Raises:
        InputError: it is neither, or contains an unknown class.
    """
    expected = _expected(classes, rows)
    found = column(argument, given, expected, rows)
    if found.dtype.kind in "OUST":
        if all(isinstance(value, str) for value in found.tolist()):
            return _by_name(argument, found, classes, expected)
        if any(value is None or isinstance(value, str) for value in found.tolist()):
            raise wrong(argument, expected, found)
    numbers = floats(argument, found, expected)
    beyond = (numbers < 0) | (numbers != np.floor(numbers))
    if classes:
        beyond |= numbers >= len(classes)
    if beyond.any():
        raise InputError(f"{argument}: expected {expected}; got {numbers[beyond][0]:g} in row {int(beyond.argmax())}")
    return numbers.astype(np.int64)


def _expected(classes: Sequence[str], rows: int | None) -> str:
    shape = f"shape ({'n' if rows is None else rows},)"
    if not classes:
        return f"class indices, whole numbers from 0, {shape}"
    named = ", ".join(classes) if len(classes) <= 4 else f"{', '.join(classes[:3])} … {classes[-1]}"
    return f"class indices from 0 to {len(classes) - 1}, or names out of {named:.200}, {shape}"


def _by_name(argument: str, found: NDArray[Any], classes: Sequence[str], expected: str) -> Integers:
    index = {name: position for position, name in enumerate(classes)}
    indices = np.asarray([index.get(name, -1) for name in found.tolist()], dtype=np.int64)
    unknown = indices < 0
    if unknown.any():
        row = int(unknown.argmax())
        raise InputError(f"{argument}: expected {expected}; got {str(found[row])!r:.60} in row {row}")
    return indices


def wrong(argument: str, expected: str, found: NDArray[Any]) -> InputError:
    """Returns the error for an array with a wrong type or shape."""
    return InputError(f"{argument}: expected {expected}; got {_kind(found)}, shape {found.shape}")


def _kind(found: NDArray[Any]) -> str:
    if found.dtype.kind != "O":
        return str(found.dtype) if found.dtype.kind not in "UST" else "text"
    return " and ".join(sorted({type(value).__name__ for value in found.ravel()[:1000].tolist()}))

"""Images of a run's worst mistakes, stored beside it: showing them needs neither the model's code nor its data."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any

from catwalk.errors import PreconditionFailedError
from catwalk.ledger.runs import Run
from catwalk.trainable import Previewable, Trainable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from catwalk.trainable import Arrays

log = logging.getLogger(__name__)

MOST = 200
"""Images that a run keeps."""
_SIDE = 128
"""Rows and columns of an image; a larger one is subsampled."""


def store(run: Run, trainable: Trainable, inputs: Arrays, logits: NDArray[Any], labels: NDArray[Any]) -> str:
    """Writes ``previews.safetensors``: the wrong answers with the highest confidence, in this order.

    An error of the Trainable here costs only the images, not the run.

    Args:
        run: The tested run.
        trainable: The run's Trainable.
        inputs: The inputs of n test examples.
        logits: The model's answers, shape (n, classes).
        labels: The true labels, shape (n,).

    Returns:
        The file's sha256; empty without a file, because all answers are right or the Trainable draws no images.
    """
    worst = _worst(logits, labels)
    if not len(worst) or not isinstance(trainable, Previewable):
        return ""
    try:
        pictures = _small(trainable.preview({name: values[worst] for name, values in inputs.items()}), len(worst))
    except Exception as error:
        log.warning("no previews of the worst mistakes: %s", " ".join(f"{type(error).__name__}: {error}".split()))
        return ""
    return _put_once(run, {"indices": worst, "pictures": pictures})


def _worst(logits: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """Indices of the wrong answers, those with the highest probability first."""
    import numpy as np

    from catwalk.problems.scores import log_probabilities

    wrong = np.flatnonzero(logits.argmax(axis=1) != labels)
    with np.errstate(invalid="ignore"):
        confidence = log_probabilities(logits[wrong]).max(axis=1)
    return wrong[np.argsort(-confidence, kind="stable")][:MOST].astype(np.int64)


def _small(found: Any, count: int) -> NDArray[Any]:
    """
    Raises:
        ValueError: These are not images of this number of examples.
    """
    import numpy as np

    pictures = np.asarray(found)
    coloured = pictures.ndim == 4 and pictures.shape[3] in (3, 4)
    if pictures.dtype != np.uint8 or len(pictures) != count or not (pictures.ndim == 3 or coloured):
        shape = f"{pictures.dtype} of shape {pictures.shape}"
        raise ValueError(f"preview returned {shape}, not uint8 ({count}, height, width), or with 3 or 4 channels")
    every = max(1, -(-max(pictures.shape[1:3]) // _SIDE))
    return np.ascontiguousarray(pictures[:, ::every, ::every])


def _put_once(run: Run, arrays: dict[str, Any]) -> str:
    """Keeps an existing file: an older attempt that is still running may have recorded its sha256."""
    from safetensors.numpy import save

    key, body = run.key("previews.safetensors"), save(arrays)
    try:
        run.store.put(key, body, create=True)
    except PreconditionFailedError:
        body = run.store.get(key).body
    return hashlib.sha256(body).hexdigest()

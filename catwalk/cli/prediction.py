"""What a model says of pictures. Needs torch."""

from __future__ import annotations

import torch

from catwalk.cli.images import SIDE
from catwalk.ledger.records import RunRecord, class_names
from ml.fashion_mnist.config import RunConfig
from ml.fashion_mnist.training import load_network, score

Answer = list[tuple[str, float]]
"""Classes with their probabilities, the likeliest first."""


def top_classes(run: RunRecord, weights: bytes, pictures: list[bytes], count: int) -> list[Answer]:
    """The likeliest classes of each picture, with their probabilities, likeliest first.

    Args:
        run: that made the weights.
        weights: verified safetensors bytes.
        pictures: 784 grey values each, see :func:`catwalk.cli.images.read_image`.
        count: classes for each picture, at most.

    Raises:
        ArtifactError: the weights are no such network.
    """
    network = load_network(RunConfig.from_dict(run.config), weights)
    images = torch.frombuffer(bytearray(b"".join(pictures)), dtype=torch.uint8).reshape(-1, SIDE, SIDE)
    logits = score(network, network.standardise(images))
    names = class_names(run.classes, logits.shape[1])
    probabilities, classes = torch.softmax(logits, 1).topk(min(count, len(names)))
    return [
        [(names[label], value) for label, value in zip(labels, values, strict=True)]
        for labels, values in zip(classes.tolist(), probabilities.tolist(), strict=True)
    ]

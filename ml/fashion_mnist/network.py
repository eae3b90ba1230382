"""The network: a multilayer perceptron from 784 pixels to one logit per class."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from ml.fashion_mnist.config import SIDE, NetworkConfig

PIXELS = SIDE * SIDE


class ByteDropout(nn.Module):
    """Dropout (Srivastava et al., 2014) that draws eight decisions from each random number.

    `torch.nn.Dropout` draws one number per activation, which takes a fifth of a training step here on a CPU.
    """

    def __init__(self, share: float) -> None:
        """
        Args:
            share: The share of the activations to drop, rounded to a whole number of 256ths.
        """
        super().__init__()
        self.threshold = round(share * 256)
        self.scale = 256 / (256 - self.threshold)

    def forward(self, inputs: Tensor) -> Tensor:
        """Drops activations of any shape, and scales up the others, so that the expectation stays the same. Drops
        nothing in evaluation mode.
        """
        if not self.training or not self.threshold:
            return inputs
        if inputs.is_cuda:  # torch has a single kernel for it
            return dropout(inputs, self.threshold / 256)
        numbers = torch.empty((inputs.numel() + 7) // 8, dtype=torch.int64, device=inputs.device)
        # random_() without bounds would leave the sign bit 0 in every eighth byte.
        numbers.random_(torch.iinfo(torch.int64).min, None)
        kept = numbers.view(torch.uint8)[: inputs.numel()].view_as(inputs) >= self.threshold
        return inputs * (kept.to(inputs.dtype) * self.scale)


class Perceptron(nn.Module):
    """Linear + ReLU + dropout layers down to the logits; stores the standardisation of its inputs with its weights."""

    pixel_mean: Tensor
    pixel_stddev: Tensor

    def __init__(self, config: NetworkConfig, classes: int, pixel_mean: float = 0.0, pixel_stddev: float = 1.0) -> None:
        """
        Args:
            config: The hidden layers.
            classes: The number of classes.
            pixel_mean: The mean of the training pixels, 0 to 1.
            pixel_stddev: Their standard deviation.
        """
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((PIXELS, *config.hidden)):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
            if config.dropout:
                layers.append(ByteDropout(config.dropout))
        last = config.hidden[-1] if config.hidden else PIXELS
        self.layers = nn.Sequential(*layers, nn.Linear(last, classes))
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean, dtype=torch.float32))
        self.register_buffer("pixel_stddev", torch.tensor(pixel_stddev, dtype=torch.float32))

    def standardise(self, images: Tensor) -> Tensor:
        """Converts uint8 (n, 28, 28) to float32 (n, 784), with mean 0 and standard deviation 1 over the training
        pixels.
        """
        flat = images.reshape(len(images), PIXELS).to(torch.float32)
        return flat.div_(255).sub_(self.pixel_mean).div_(self.pixel_stddev)

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the logits (n, classes) of standardised inputs (n, 784)."""
        return self.layers(inputs)  # type: ignore[no-any-return]

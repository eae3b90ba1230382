"""The training loop: cross-entropy, SGD with Nesterov momentum, a one-cycle rate; resumes bit for bit.

No state of a random generator is stored: each epoch reseeds from (seed, epoch), and the learning rate is a pure
function of the step. So a later attempt only needs the weights and momentum at the end of an epoch.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.nn.functional import cross_entropy, pad
from torch.optim.sgd import sgd

from catwalk.environment.cpus import usable_cpus
from catwalk.errors import ArtifactError, ConfigError
from catwalk.ledger.records.training import EpochRecord
from ml.fashion_mnist.capture import Work, captured
from ml.fashion_mnist.config import CLASSES, SIDE, RunConfig
from ml.fashion_mnist.dataset import Split
from ml.fashion_mnist.network import Perceptron

TRAIN_SAMPLE = 5_000
"""How many training examples are measured after each epoch, in evaluation mode like validation."""
_SCORE_CHUNK = {"cpu": 2_000}
"""How many examples a kind of device scores at once, so that they fit its caches; others score 20,000."""
_SIDES = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]
"""Where an example may be shifted: rows down, columns to the right."""
_AT_ONCE = 4
"""How many steps a GPU takes in one launch."""


def choose_device(name: str) -> torch.device:
    """Returns a device; `auto` is a GPU if there is one.

    Raises:
        ConfigError: the device does not exist.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r} can't be used here; use auto or cpu") from error
    return device


def multiplies_in_bfloat16(precision: str, device: torch.device) -> bool:
    """Returns whether matrix products in training use bfloat16: half the bytes, and on a CPU about half the time."""
    if precision != "auto":
        return precision == "bfloat16"
    can = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(can.get("avx512_bf16") or can.get("amx_bf16"))


def learning_rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """Returns the one-cycle rate (Smith and Topin, 2018) with cosine arcs: peak/25, up to peak, down to almost 0.

    Args:
        step: The step, 0 for the first.
        steps: The steps of the whole training.
        peak: The highest rate.
        warmup: The share of the steps in which the rate rises.
    """
    turn = warmup * steps - 1
    if step < turn:
        low, high, share = peak / 25, peak, step / turn
    else:
        low, high, share = peak / 250_000, peak, 1 - (step - turn) / max(steps - 1 - turn, 1)
    return low + (high - low) * (1 - math.cos(math.pi * share)) / 2


def epoch_seed(seed: int, epoch: int) -> int:
    """Returns the seed of the generators in an epoch."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{epoch}".encode()).digest()[:7], "big")


@dataclass
class Trainer:
    """A network in training; see :class:`catwalk.trainable.Fit`."""

    config: RunConfig
    seed: int
    network: Perceptron
    device: torch.device
    train: Split
    validation: Split
    """The split that is measured after each epoch."""

    @classmethod
    def start(
        cls, config: RunConfig, seed: int, train: Split, validation: Split, statistics: Mapping[str, float]
    ) -> Trainer:
        """Returns a trainer with new weights from the seed.

        Raises:
            ConfigError: the device does not exist.
        """
        torch.set_num_threads(config.training.threads or usable_cpus())
        torch.manual_seed(epoch_seed(seed, 0))
        device = choose_device(config.training.device)
        mean, stddev = statistics["pixel_mean"], statistics["pixel_stddev"]
        network = Perceptron(config.network, len(CLASSES), mean, stddev)
        return cls(config, seed, network.to(device), device, train, validation)

    def __post_init__(self) -> None:
        self._parameters: list[Tensor] = list(self.network.parameters())
        self._momentum = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._norms = torch.zeros((), device=self.device)
        self._black = float(-self.network.pixel_mean / self.network.pixel_stddev)
        self._bfloat16 = multiplies_in_bfloat16(self.config.training.precision, self.device)
        self._at_once = _AT_ONCE if self.device.type == "cuda" else 1

    @property
    def fingerprint(self) -> dict[str, str]:
        """What the bits of the weights depend on, besides configuration and seed."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        name += " in bfloat16" if self._bfloat16 else ""
        return {"device": name, "threads": str(torch.get_num_threads()), "torch": torch.__version__}

    @property
    def parameters(self) -> int:
        """The number of trainable parameters of the network."""
        return sum(parameter.numel() for parameter in self._parameters)

    def epochs(self, done: int, check: Callable[[], None]) -> Iterator[EpochRecord]:
        """Trains the remaining epochs; the examples and a standardised copy stay on the device.

        Args:
            done: How many epochs are already trained.
            check: Called before each step, or on a GPU every few steps; may raise to stop at once.
        """
        inputs, labels = self._resident(self.train)
        sample = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(0))[:TRAIN_SAMPLE]
        sample = sample.to(self.device)
        sample_data, validation_data = (inputs[sample], labels[sample]), self._resident(self.validation)
        descend = self._launched(inputs, labels)
        for epoch in range(done + 1, self.config.training.epochs + 1):
            started = time.perf_counter()
            gradient_norm, rate = self._train_epoch(epoch, inputs, labels, descend, check)
            seconds = time.perf_counter() - started
            train_loss, train_accuracy, _ = self._measure(*sample_data)
            validation_loss, validation_accuracy, class_accuracy = self._measure(*validation_data)
            yield EpochRecord(
                epoch=epoch,
                train_loss=train_loss,
                train_accuracy=train_accuracy,
                validation_loss=validation_loss,
                validation_accuracy=validation_accuracy,
                class_accuracy=class_accuracy,
                learning_rate=rate,
                gradient_norm=gradient_norm,
                duration_seconds=seconds,
                examples_per_second=len(labels) / seconds,
                finished=time.time(),
            )

    def _resident(self, split: Split) -> tuple[Tensor, Tensor]:
        """Returns standardised inputs (n, 784) and labels (n,) on the device."""
        return self.network.standardise(split.images.to(self.device)), split.labels.to(self.device).long()

    def _launched(self, inputs: Tensor, labels: Tensor) -> Work:
        """Returns :meth:`_descend`, captured on a GPU if possible. Does not change weights and momentum."""
        if self.device.type != "cuda":
            return self._descend
        before = self.state()
        self.network.train()
        by_size = {len(part[0]): part for part in self._parts(inputs, labels, self._rates(1, len(labels)))}
        launched = captured(self._descend, self.device, by_size.values())
        self.restore(before)
        return launched

    def _rates(self, epoch: int, examples: int) -> list[float]:
        """Returns the learning rate of each step of an epoch."""
        training = self.config.training
        steps = math.ceil(examples / training.batch_size)
        return [
            learning_rate(step, training.epochs * steps, training.peak_learning_rate, training.warmup)
            for step in range((epoch - 1) * steps, epoch * steps)
        ]

    def _parts(self, inputs: Tensor, labels: Tensor, rates: list[float]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yields an epoch's examples and rates, in parts for one launch."""
        precision = torch.float64 if self.device.type == "cpu" else torch.float32  # a GPU's optimiser takes no other
        examples = self._at_once * self.config.training.batch_size
        return zip(
            torch.split(inputs, examples),
            torch.split(labels, examples),
            torch.split(torch.tensor(rates, dtype=precision).to(self.device), self._at_once),
            strict=True,
        )

    def _train_epoch(
        self, epoch: int, inputs: Tensor, labels: Tensor, descend: Work, check: Callable[[], None]
    ) -> tuple[float, float]:
        """Trains one epoch; returns the mean L2 norm of the steps' gradients, and the last learning rate."""
        torch.manual_seed(epoch_seed(self.seed, epoch))
        order = torch.randperm(len(labels), dtype=torch.int32, device=self.device)
        rates = self._rates(epoch, len(labels))
        self._norms.zero_()
        self.network.train()
        # One shuffled copy per epoch: a step then slices contiguous memory instead of gathering rows.
        shuffled = self._shifted(inputs[order])
        for part in self._parts(shuffled, labels[order], rates):
            check()
            descend(*part)
        return float(self._norms) / len(rates), rates[-1]

    def _shifted(self, inputs: Tensor) -> Tensor:
        """Shifts a random share of the examples (n, 784) by one pixel, in place; new pixels are black."""
        count = round(self.config.training.shift * len(inputs))
        if not count:  # and draw no random numbers: without shifts, the bits are the same as before the setting existed
            return inputs
        moved = torch.randperm(len(inputs), device=self.device)[:count]
        for (down, right), some in zip(_SIDES, moved.tensor_split(len(_SIDES)), strict=True):
            padded = pad(inputs[some].view(-1, SIDE, SIDE), (1, 1, 1, 1), value=self._black)
            inputs[some] = padded[:, 1 - down : 1 - down + SIDE, 1 - right : 1 - right + SIDE].flatten(1)
        return inputs

    def _descend(self, inputs: Tensor, labels: Tensor, rates: Tensor) -> None:
        """Takes as many steps of gradient descent as there are rates, each on the next batch."""
        batch_size, smoothing = self.config.training.batch_size, self.config.training.label_smoothing
        batches = torch.split(inputs, batch_size), torch.split(labels, batch_size)
        for some, their_labels, rate in zip(*batches, rates, strict=True):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16):
                logits = self.network(some)
            loss = cross_entropy(logits.float(), their_labels, label_smoothing=smoothing)
            gradients = list(torch.autograd.grad(loss, self._parameters))
            self._norms += torch.nn.utils.get_total_norm(gradients)
            self._update(gradients, rate)

    @torch.no_grad()
    def _update(self, gradients: list[Tensor], rate: Tensor) -> None:
        """Takes a step of SGD. Its class, :class:`torch.optim.SGD`, would import torch's compiler, which
        takes seconds.
        """
        training = self.config.training
        sgd(
            self._parameters,
            gradients,
            [*self._momentum],
            fused=True,
            lr=rate,
            momentum=training.momentum,
            weight_decay=training.weight_decay,
            dampening=0,
            nesterov=training.momentum > 0,
            maximize=False,
        )

    def _measure(self, inputs: Tensor, labels: Tensor) -> tuple[float, float, list[float]]:
        """Returns the mean cross-entropy, the accuracy, and the recall of each class."""
        logits = score(self.network, inputs)
        right = (logits.argmax(1) == labels).double()
        counts = torch.bincount(labels, minlength=logits.shape[1])
        hits = torch.bincount(labels, weights=right, minlength=logits.shape[1])
        recall = (hits / counts.clamp(min=1)).tolist()
        return float(cross_entropy(logits, labels)), float(right.mean()), recall

    def state(self) -> bytes:
        """Returns weights and momentum as one safetensors file."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"momentum.{index}": value for index, value in enumerate(self._momentum)}
        return save({name: value.cpu().contiguous() for name, value in tensors.items()})

    def restore(self, state: bytes) -> None:
        """Continues from the result of :meth:`state`.

        Raises:
            ArtifactError: it is damaged.
        """
        try:
            tensors = load(state)
            self.network.load_state_dict(
                {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
            )
            for index, place in enumerate(self._momentum):
                place.copy_(tensors.get(f"momentum.{index}", torch.zeros(())))  # older ones have none if it is off
        except (SafetensorError, RuntimeError) as error:
            raise ArtifactError(
                f"the weights in the checkpoint are damaged ({' '.join(str(error).split()):.200})"
            ) from error

    def model(self) -> bytes:
        """Returns only the network, as safetensors, for test and service."""
        return save({name: value.cpu().contiguous() for name, value in self.network.state_dict().items()})


def score(network: Perceptron, inputs: Tensor) -> Tensor:
    """Returns the logits (n, classes) of standardised inputs (n, 784), in evaluation mode."""
    if network.training:  # to set what is set already takes a fifth of a service's call
        network.eval()
    with torch.inference_mode():
        chunks = torch.split(inputs, _SCORE_CHUNK.get(inputs.device.type, 20_000))
        return torch.cat([network(chunk) for chunk in chunks])


def load_network(config: RunConfig, weights: bytes) -> Perceptron:
    """Rebuilds a network from its run's configuration and its safetensors file; nothing is unpickled.

    Raises:
        ArtifactError: the bytes are not such a file, have different shapes, or another version made a different
            network.
    """
    unknown = config.unknown.get("network")
    if unknown:  # the weights might still fit, and the answers would be wrong
        raise ArtifactError(f"the network has settings that this version can't read ({', '.join(unknown)})")
    try:
        network = Perceptron(config.network, len(CLASSES))
        network.load_state_dict(load(weights))
    except (ArithmeticError, SafetensorError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"the model is not a safetensors file of this network ({reason})") from error
    return network

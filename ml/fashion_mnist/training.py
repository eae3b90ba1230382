"""The training loop: cross-entropy, SGD with Nesterov momentum, a one-cycle rate; resumes bit for bit.

No state of a random generator is kept: each epoch reseeds from (seed, epoch), and the learning rate is a pure function
of the step. Weights and momentum at the end of an epoch are thus all that a later attempt needs.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.nn.functional import cross_entropy

from catwalk.codec import from_json, to_json
from catwalk.errors import ArtifactError, ConfigError, NonFiniteLossError
from catwalk.ledger.records import EpochRecord
from ml.fashion_mnist.config import CLASSES, RunConfig
from ml.fashion_mnist.dataset import Split
from ml.fashion_mnist.network import Perceptron

TRAIN_SAMPLE = 5_000
"""Training examples whose loss and accuracy are measured after each epoch, in evaluation mode like validation."""
_SCORE_CHUNK = 2_000


def choose_device(name: str) -> torch.device:
    """`auto` is a GPU when there is one.

    Raises:
        ConfigError: the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r} can't be used here; use auto or cpu") from error
    return device


def learning_rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """One-cycle rate (Smith and Topin, 2018) with cosine arcs: peak/25, up to peak, down to almost 0.

    Args:
        step: 0 for the first.
        steps: of the whole training.
        peak: the highest rate.
        warmup: share of the steps in which the rate rises.
    """
    turn = warmup * steps - 1
    if step < turn:
        low, high, share = peak / 25, peak, step / turn
    else:
        low, high, share = peak / 250_000, peak, 1 - (step - turn) / max(steps - 1 - turn, 1)
    return low + (high - low) * (1 - math.cos(math.pi * share)) / 2


def epoch_seed(seed: int, epoch: int) -> int:
    """What the generators start from in an epoch."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{epoch}".encode()).digest()[:7], "big")


@dataclass
class Trainer:
    """A network in training. Between two epochs its state can be saved and restored."""

    config: RunConfig
    seed: int
    network: Perceptron
    device: torch.device
    reproducible: bool = True
    """False once restored from a state that was computed on another device, thread count or torch build."""
    epochs: list[EpochRecord] = field(default_factory=list)

    @classmethod
    def start(cls, config: RunConfig, seed: int, pixel_mean: float, pixel_stddev: float) -> Trainer:
        """Fresh weights from the seed."""
        torch.set_num_threads(config.training.threads)
        torch.manual_seed(epoch_seed(seed, 0))
        device = choose_device(config.training.device)
        network = Perceptron(config.network, len(CLASSES), pixel_mean, pixel_stddev)
        return cls(config, seed, network.to(device), device)

    def __post_init__(self) -> None:
        training = self.config.training
        self._parameters = list(self.network.parameters())
        self._optimiser = torch.optim.SGD(
            self._parameters,
            lr=training.peak_learning_rate,
            momentum=training.momentum,
            weight_decay=training.weight_decay,
            nesterov=training.momentum > 0,
            fused=True,
        )

    @property
    def fingerprint(self) -> dict[str, str]:
        """What the bits of the weights depend on beside configuration and seed."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return {"device": name, "threads": str(torch.get_num_threads()), "torch": torch.__version__}

    def run(
        self, train: Split, validation: Split, after_epoch: Callable[[EpochRecord], None], check: Callable[[], None]
    ) -> None:
        """Trains the epochs that are left.

        Args:
            train: the training examples; they and a standardised copy stay on the device.
            validation: measured after each epoch.
            after_epoch: called with each epoch's record, when :meth:`state` is that epoch's.
            check: called before each step; may raise to stop at once.

        Raises:
            NonFiniteLossError: the loss became NaN or infinite, after that epoch's record was handed over.
        """
        inputs, labels = self._resident(train)
        sample = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:TRAIN_SAMPLE].to(self.device)
        sample_data, validation_data = (inputs[sample], labels[sample]), self._resident(validation)
        steps_an_epoch = math.ceil(len(labels) / self.config.training.batch_size)
        for epoch in range(len(self.epochs) + 1, self.config.training.epochs + 1):
            started = time.perf_counter()
            gradient_norm, rate = self._train_epoch(epoch, steps_an_epoch, inputs, labels, check)
            seconds = time.perf_counter() - started
            train_loss, train_accuracy, _ = self._measure(*sample_data)
            validation_loss, validation_accuracy, class_accuracy = self._measure(*validation_data)
            record = EpochRecord(
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
            self.epochs.append(record)
            after_epoch(record)
            if not (math.isfinite(train_loss) and math.isfinite(validation_loss)):
                raise NonFiniteLossError(
                    f"the loss is not finite after epoch {epoch} (train {train_loss}, validation {validation_loss}); "
                    f"lower peak_learning_rate (now {self.config.training.peak_learning_rate}) and start a new run"
                )

    def _resident(self, split: Split) -> tuple[Tensor, Tensor]:
        """Standardised inputs (n, 784) and labels (n,) on the device."""
        return self.network.standardise(split.images.to(self.device)), split.labels.to(self.device).long()

    def _train_epoch(
        self, epoch: int, steps_an_epoch: int, inputs: Tensor, labels: Tensor, check: Callable[[], None]
    ) -> tuple[float, float]:
        """Returns the mean L2 norm of the steps' gradients, and the last learning rate."""
        training = self.config.training
        torch.manual_seed(epoch_seed(self.seed, epoch))
        order = torch.randperm(len(labels)).to(self.device)
        # One shuffled copy an epoch: a step then slices contiguous memory instead of gathering rows.
        inputs, labels = inputs[order], labels[order]
        norms = torch.zeros((), device=self.device)
        steps, rate = training.epochs * steps_an_epoch, 0.0
        self.network.train()
        for step in range(steps_an_epoch):
            check()
            batch = slice(step * training.batch_size, (step + 1) * training.batch_size)
            rate = learning_rate(
                (epoch - 1) * steps_an_epoch + step, steps, training.peak_learning_rate, training.warmup
            )
            self._optimiser.param_groups[0]["lr"] = rate
            self._optimiser.zero_grad()
            cross_entropy(self.network(inputs[batch]), labels[batch]).backward()  # type: ignore[no-untyped-call]
            norms += torch.nn.utils.get_total_norm([p.grad for p in self._parameters if p.grad is not None])
            self._optimiser.step()
        return float(norms) / steps_an_epoch, rate  # the epoch's one wait for the device

    def _measure(self, inputs: Tensor, labels: Tensor) -> tuple[float, float, list[float]]:
        """Mean cross-entropy, accuracy, and recall of each class."""
        logits = score(self.network, inputs)
        right = (logits.argmax(1) == labels).double()
        counts = torch.bincount(labels, minlength=logits.shape[1])
        hits = torch.bincount(labels, weights=right, minlength=logits.shape[1])
        recall = (hits / counts.clamp(min=1)).tolist()
        return float(cross_entropy(logits, labels)), float(right.mean()), recall

    def state(self, attempt: int) -> bytes:
        """Weights, momentum and history as one safetensors file; the header holds what is no tensor."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for index, parameter in enumerate(self._parameters):
            momentum = self._optimiser.state.get(parameter, {}).get("momentum_buffer")
            if momentum is not None:
                tensors[f"momentum.{index}"] = momentum
        header = {
            "attempt": str(attempt),
            "config": self.config.digest,
            "seed": str(self.seed),
            "reproducible": json.dumps(self.reproducible),
            "epochs": json.dumps([to_json(record).decode() for record in self.epochs]),
            **self.fingerprint,
        }
        return save({name: value.cpu().contiguous() for name, value in tensors.items()}, header)

    def restore(self, state: bytes) -> None:
        """Continues from what :meth:`state` gave.

        Raises:
            ArtifactError: this is no state, or that of another configuration or seed.
        """
        header = read_header(state)
        if header.get("config") != self.config.digest or header.get("seed") != str(self.seed):
            raise ArtifactError("the checkpoint belongs to another configuration; start a new run")
        tensors = load(state)
        self.network.load_state_dict(
            {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
        )
        for index, parameter in enumerate(self._parameters):
            if f"momentum.{index}" in tensors:
                self._optimiser.state[parameter]["momentum_buffer"] = tensors[f"momentum.{index}"].to(self.device)
        self.epochs = [from_json(EpochRecord, text.encode()) for text in json.loads(header["epochs"])]
        same = all(header.get(key) == value for key, value in self.fingerprint.items())
        self.reproducible = same and bool(json.loads(header["reproducible"]))

    def weights(self) -> bytes:
        """The network alone, as safetensors: what tests and ships."""
        return save({name: value.cpu().contiguous() for name, value in self.network.state_dict().items()})


def read_header(state: bytes) -> dict[str, str]:
    """The header of a safetensors file.

    Raises:
        ArtifactError: it has none.
    """
    try:
        length = int.from_bytes(state[:8], "little")
        header = json.loads(state[8 : 8 + length])["__metadata__"]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError("the checkpoint is damaged: it has no safetensors header") from error
    return dict(header)


def score(network: Perceptron, inputs: Tensor) -> Tensor:
    """Logits (n, classes) of standardised inputs (n, 784), in evaluation mode."""
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(chunk) for chunk in torch.split(inputs, _SCORE_CHUNK)])


def load_network(config: RunConfig, weights: bytes) -> Perceptron:
    """Rebuilds a network from its run's configuration and its safetensors file; nothing is unpickled.

    Raises:
        ArtifactError: the bytes are no such file, have other shapes, or another version has made another network.
    """
    unknown = config.unknown.get("network")
    if unknown:  # the weights might fit all the same, and the answers would be wrong
        raise ArtifactError(f"the network has settings that this version can't read ({', '.join(unknown)})")
    try:
        network = Perceptron(config.network, len(CLASSES))
        network.load_state_dict(load(weights))
    except (ArithmeticError, SafetensorError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"the model is no safetensors file of this network ({reason})") from error
    return network

"""The loop: same seed, same bits; resumed, same bits; and figures that match an independent computation."""

from __future__ import annotations

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from catwalk.errors import ArtifactError, CancelledError, ConfigError
from catwalk.ledger.records.training import EpochRecord
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import RunConfig
from ml.fashion_mnist.dataset import Split
from ml.fashion_mnist.network import ByteDropout, Perceptron
from ml.fashion_mnist.training import Trainer, choose_device, learning_rate, load_network, multiplies_in_bfloat16
from stack.settings import PROJECT

KNOBS: dict[str, Any] = {"hidden": "16", "epochs": 3, "batch_size": 32, "threads": 1, "dropout": 0.3}


def split(seed: int, examples: int = 200) -> Split:
    """Noise with a bright stripe whose position depends on the class, so that there is something to learn."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 10, (examples,), generator=generator)
    images = torch.randint(0, 200, (examples, 28, 28), generator=generator)
    images[torch.arange(examples), :, 2 * labels] = 255
    return Split(images.to(torch.uint8), labels.to(torch.uint8))


TRAIN, VALIDATION = split(1), split(2)


def trainer(seed: int = 5, **changes: Any) -> Trainer:
    statistics = {"pixel_mean": 0.3, "pixel_stddev": 0.2}
    return Trainer.start(RunConfig.from_flat({**KNOBS, **changes}), seed, TRAIN, VALIDATION, statistics)


def run(subject: Trainer, after: Any = lambda record: None, check: Any = lambda: None, done: int = 0) -> Trainer:
    for record in subject.epochs(done, check):
        after(record)
    return subject


def test_one_seed_gives_the_same_bits_and_another_seed_others() -> None:
    assert run(trainer()).model() == run(trainer()).model()
    assert run(trainer()).model() != run(trainer(seed=6)).model()


def test_a_predictor_answers_several_threads_as_it_answers_one() -> None:
    predict = CLASSIFIER.predictor(RunConfig.from_flat(KNOBS), run(trainer(epochs=1)).model())
    batches = [{"images": split(seed, 1 + seed % 40).images.numpy()} for seed in range(120)]
    with ThreadPoolExecutor(1) as thread, ThreadPoolExecutor(4) as threads:
        alone, together = list(thread.map(predict, batches)), list(threads.map(predict, batches))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_a_training_loads_no_compiler() -> None:
    """torch's compiler takes longer to import than a small training needs for everything else."""
    code = (
        "import sys; from tests.ml.fashion_mnist.test_training import run, trainer; run(trainer(epochs=1)); "
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_resumed_after_any_epoch_it_ends_with_the_same_bits(epoch: int) -> None:
    states: list[bytes] = []
    whole = trainer()
    losses: list[float] = []

    def after(record: EpochRecord) -> None:
        states.append(whole.state())
        losses.append(record.validation_loss)

    run(whole, after)
    torch.manual_seed(99)  # whatever another process has done to the generators
    resumed = trainer()
    resumed.restore(states[epoch - 1])
    again = losses[:epoch]
    assert run(resumed, lambda record: again.append(record.validation_loss), done=epoch).model() == whole.model()
    assert again == losses


def test_a_stop_between_steps_leaves_the_last_epoch_to_resume_from() -> None:
    """The computed part of the next epoch is thrown away: the state handed over before is complete."""
    whole, stopped = run(trainer()), trainer()
    states: list[bytes] = []
    steps = 0

    def check() -> None:
        nonlocal steps
        steps += 1
        if steps == 10:  # 7 steps for each epoch
            raise CancelledError("stop")

    with pytest.raises(CancelledError):
        run(stopped, lambda record: states.append(stopped.state()), check)
    resumed = trainer()
    resumed.restore(states[-1])
    assert len(states) == 1
    assert run(resumed, done=1).model() == whole.model()


def test_the_bits_depend_on_device_threads_and_torch() -> None:
    subject = trainer()
    before = subject.fingerprint
    assert set(before) == {"device", "threads", "torch"}
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert subject.fingerprint != before
    finally:
        torch.set_num_threads(threads)


def test_threads_are_as_many_as_the_process_may_use_unless_they_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml.fashion_mnist.training.usable_cpus", lambda: 3)
    threads = torch.get_num_threads()
    try:
        assert trainer(threads=None).fingerprint["threads"] == "3"
        assert trainer(threads=1).fingerprint["threads"] == "1"
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("state", [b"", b"\x80\x04.", b"\xff" * 64, (2).to_bytes(8, "little") + b"{}"])
def test_a_damaged_state_is_one_line(state: bytes) -> None:
    with pytest.raises(ArtifactError, match="damaged"):
        trainer().restore(state)


def test_the_record_of_an_epoch_agrees_with_plain_torch() -> None:
    records: list[EpochRecord] = []
    subject = run(trainer(dropout=0, epochs=1), records.append)
    subject.network.eval()
    logits = subject.network(subject.network.standardise(VALIDATION.images)).detach()
    labels = VALIDATION.labels.long()
    assert records[0].validation_loss == pytest.approx(float(cross_entropy(logits, labels)), abs=1e-6)
    assert records[0].validation_accuracy == pytest.approx(float((logits.argmax(1) == labels).double().mean()))
    of_three = labels == 3
    assert records[0].class_accuracy[3] == pytest.approx(float((logits.argmax(1)[of_three] == 3).double().mean()))
    assert records[0].epoch == 1
    assert records[0].examples_per_second == pytest.approx(200 / records[0].duration_seconds)


def test_the_gradient_norm_is_the_mean_of_the_steps_l2_norms() -> None:
    """With one step for each epoch, and weights that hardly move, the norm is that of the full gradient."""
    records: list[EpochRecord] = []
    plain = {"dropout": 0, "weight_decay": 0, "shift": 0, "label_smoothing": 0, "precision": "float32"}
    subject = trainer(epochs=1, batch_size=200, peak_learning_rate=1e-12, **plain)
    network = Perceptron(subject.config.network, 10, 0.3, 0.2)
    network.load_state_dict(subject.network.state_dict())
    run(subject, records.append)
    cross_entropy(network(network.standardise(TRAIN.images)), TRAIN.labels.long()).backward()  # type: ignore[no-untyped-call]
    squares = sum(float((p.grad.double() ** 2).sum()) for p in network.parameters() if p.grad is not None)
    assert records[0].gradient_norm == pytest.approx(math.sqrt(squares), rel=1e-4)


def test_a_share_of_the_examples_is_moved_by_one_pixel_to_every_side() -> None:
    subject = trainer(shift=0.4)
    inputs = subject.network.standardise(TRAIN.images)
    found = [side_of_move(subject, before, after) for before, after in zip(inputs, shifted(subject, 3), strict=True)]
    assert sum(side != (0, 0) for side in found) == 80
    assert {side: found.count(side) for side in found if side != (0, 0)} == dict.fromkeys(SIDES, 10)
    assert torch.equal(shifted(subject, 3), shifted(subject, 3))
    assert not torch.equal(shifted(subject, 3), shifted(subject, 4))
    assert torch.equal(shifted(trainer(shift=0), 3), inputs)


SIDES = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)]


def shifted(subject: Trainer, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return subject._shifted(subject.network.standardise(TRAIN.images))


def side_of_move(subject: Trainer, before: Tensor, after: Tensor) -> tuple[int, int]:
    """Rows move down and columns to the right; the new pixels must be black."""
    black = subject.network.standardise(torch.zeros(1, 28, 28, dtype=torch.uint8))[0, 0].item()
    for down, right in [(0, 0), *SIDES]:
        expected = torch.full((30, 30), black)
        expected[1 + down : 29 + down, 1 + right : 29 + right] = before.view(28, 28)
        if torch.equal(expected[1:29, 1:29].flatten(), after):
            return down, right
    raise AssertionError("it is another picture")


def test_smoothed_labels_keep_the_network_from_being_sure() -> None:
    sure = [confidence(run(trainer(epochs=20, label_smoothing=share)).network) for share in (0.0, 0.3)]
    assert sure[1] < sure[0] < 1


@torch.no_grad()
def confidence(network: Perceptron) -> float:
    """Returns the mean probability of the class that the network finds most likely."""
    return float(network.eval()(network.standardise(TRAIN.images)).softmax(1).amax(1).mean())


@pytest.mark.parametrize(
    ("precision", "device", "cpu", "expected"),
    [
        ("auto", "cpu", {"avx512_bf16": True}, True),
        ("auto", "cpu", {"amx_bf16": True, "avx512_bf16": False}, True),
        ("auto", "cpu", {"avx512_f": True}, False),
        ("auto", "cuda", {"avx512_bf16": True}, False),
        ("bfloat16", "cpu", {}, True),
        ("float32", "cpu", {"avx512_bf16": True}, False),
    ],
)
def test_bfloat16_is_used_if_the_cpu_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, precision: str, device: str, cpu: dict[str, bool], expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu)
    assert multiplies_in_bfloat16(precision, torch.device(device)) is expected


def test_bfloat16_gives_other_but_repeatable_bits_and_says_so() -> None:
    """Weights, momentum and all measurements stay float32."""
    half, whole = trainer(precision="bfloat16"), trainer(precision="float32")
    assert half.fingerprint["device"] == "cpu in bfloat16"
    assert whole.fingerprint["device"] == "cpu"
    model = run(half).model()
    assert model == run(trainer(precision="bfloat16")).model()
    assert model != run(whole).model()
    assert {parameter.dtype for parameter in half.network.parameters()} == {torch.float32}


def test_an_older_run_has_the_neutral_value_of_a_newer_setting() -> None:
    old = RunConfig.from_flat({"epochs": 7}).to_dict()
    for setting in ("label_smoothing", "shift", "precision"):
        del old["training"][setting]
    training = RunConfig.from_dict(CLASSIFIER.upgrade(old)).training
    assert (training.epochs, training.label_smoothing, training.shift, training.precision) == (7, 0, 0, "float32")
    new = RunConfig.from_flat({"shift": 0.5}).to_dict()
    assert CLASSIFIER.upgrade(new) == new


def test_it_learns() -> None:
    records: list[EpochRecord] = []
    run(trainer(epochs=20, dropout=0, peak_learning_rate=0.05), records.append)
    assert records[-1].validation_loss < records[0].validation_loss / 2
    assert [record.epoch for record in records] == list(range(1, 21))


def test_a_loss_that_is_not_finite_is_handed_over() -> None:
    records: list[EpochRecord] = []
    run(trainer(peak_learning_rate=1e5, epochs=20), records.append)
    assert not math.isfinite(records[-1].train_loss) or not math.isfinite(records[-1].validation_loss)


def test_the_rate_rises_to_its_peak_and_anneals_to_almost_nothing() -> None:
    rates = [learning_rate(step, 100, 0.1, 0.3) for step in range(100)]
    assert rates[0] == pytest.approx(0.1 / 25)
    assert max(rates) == rates[29] == pytest.approx(0.1)
    assert rates[:30] == sorted(rates[:30])
    assert rates[29:] == sorted(rates[29:], reverse=True)
    assert rates[-1] == pytest.approx(0.1 / 250_000)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.3), (1, 0.0), (2, 0.95), (3, 0.5)])
def test_the_rate_is_valid_for_the_shortest_training(steps: int, warmup: float) -> None:
    rates = [learning_rate(step, steps, 0.1, warmup) for step in range(steps)]
    assert all(0 < rate <= 0.1 + 1e-12 for rate in rates)


def test_it_agrees_with_torch_s_one_cycle_rate() -> None:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=50, cycle_momentum=False)
    for step in range(50):
        assert learning_rate(step, 50, 0.1, 0.3) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9)
        optimiser.step()
        if step < 49:
            schedule.step()


@pytest.mark.parametrize("device", ["cuda:99", "mps"])
def test_a_device_that_is_not_there_is_one_line(device: str) -> None:
    with pytest.raises(ConfigError, match=f"device '{device}' can't be used here"):
        choose_device(device)


def test_dropout_drops_its_share_of_each_activation_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layer = ByteDropout(0.25)
    out = layer(torch.ones(1_000, 96))
    assert float(out.mean()) == pytest.approx(1, abs=0.01)
    assert torch.allclose((out == 0).double().mean(0), torch.full((96,), 0.25, dtype=torch.double), atol=0.06)
    assert out.unique().tolist() == pytest.approx([0.0, 256 / 192])
    assert torch.equal(layer.eval()(torch.ones(3)), torch.ones(3))


def test_a_model_file_is_rebuilt_to_the_same_network_and_nothing_else_is_accepted() -> None:
    subject = run(trainer())
    again = load_network(subject.config, subject.model())
    inputs = again.standardise(VALIDATION.images)
    assert torch.equal(again.eval()(inputs), subject.network.eval()(inputs))
    for body in (b"", b"\x80\x04cos\nsystem\n", subject.model()[:-10]):
        with pytest.raises(ArtifactError, match="not a safetensors file of this network"):
            load_network(subject.config, body)
    with pytest.raises(ArtifactError):
        load_network(RunConfig.from_flat({**KNOBS, "hidden": "17"}), subject.model())

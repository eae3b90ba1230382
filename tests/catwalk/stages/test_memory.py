"""Running out of memory, in Python and in PyTorch's own allocator, gives one line of advice."""

from __future__ import annotations

import pytest
import torch

from catwalk.errors import OutOfMemoryError, TransientError
from catwalk.stages.lifecycle.memory import advice
from ml.fashion_mnist.config import RunConfig

CONFIG = RunConfig.from_flat({"hidden": "4096,4096", "batch_size": 60_000})


def exhaust_python() -> None:
    bytearray(2**62)


def exhaust_torch() -> None:
    torch.empty(2**58, dtype=torch.uint8)


def exhaust_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nGPU 0 has a total capacity of …")


@pytest.mark.parametrize("exhaust", [exhaust_python, exhaust_torch, exhaust_a_gpu])
def test_running_out_of_memory_names_the_settings_that_take_it(exhaust: object) -> None:
    with pytest.raises(OutOfMemoryError) as caught, advice(CONFIG):
        exhaust()  # type: ignore[operator]
    text = str(caught.value)
    assert "lower train_examples (now 55,000), hidden (now 4096,4096) or batch_size (now 60,000)" in text
    assert "\n" not in text and len(text) < 500
    assert not isinstance(caught.value, TransientError)


def test_other_failures_pass_through() -> None:
    with pytest.raises(RuntimeError, match="shapes"), advice(CONFIG):
        raise RuntimeError("shapes cannot be multiplied")

"""Work on a GPU that is launched as a whole: kernels of a small network run faster than they can be launched singly."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

log = logging.getLogger(__name__)

Work = Callable[[Tensor, Tensor, Tensor], None]
"""Reads three tensors, and changes others that stay where they are in memory."""


class Captured:
    """Work as CUDA graphs, one for each size of its arguments. Computes what the work itself does, bit for bit."""

    def __init__(self, work: Work, device: torch.device) -> None:
        """
        Args:
            work: what is captured; it may not wait for the device.
            device: a CUDA device.
        """
        self._work = work
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, list[Tensor]]] = {}
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        """That what was launched last is done."""

    def capture(self, *examples: Tensor) -> None:
        """Captures the work for arguments of the same size as these. It is done once: what libraries set up at their
        first call may not be captured.

        Raises:
            RuntimeError: it can't be captured.
        """
        arguments = [example.clone() for example in examples]
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            self._work(*arguments)
        graph = torch.cuda.CUDAGraph()
        # What other threads ask of the device meanwhile, such as how much memory is in use, doesn't matter.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            self._work(*arguments)
        self._graphs[len(arguments[0])] = graph, arguments

    def __call__(self, *arguments: Tensor) -> None:
        """Launches the work, and waits for what was launched before it: the device never waits for the next launch, and
        whoever is told to stop in between has no more than this one to wait for."""
        graph, places = self._graphs[len(arguments[0])]
        with torch.cuda.device(self._stream.device):
            for place, argument in zip(places, arguments, strict=True):
                place.copy_(argument)
            graph.replay()
            before, self._done = self._done, torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._done.record()
            before.synchronize()


def captured(work: Work, device: torch.device, examples: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Work:
    """The work in graphs, one for arguments of the size of each example; where that fails, the work as it is."""
    try:
        whole = Captured(work, device)
        for example in examples:
            whole.capture(*example)
    except RuntimeError as error:
        log.warning(
            "the training step can't be captured in a CUDA graph, and is several times slower without: %s",
            str(error).partition("\n")[0],
        )
        _end_capture(device)
        return work
    return whole


def _end_capture(device: torch.device) -> None:
    """A capture that fails leaves the device's generator within it, which then refuses to draw."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].graphsafe_set_state(torch.Generator(device))

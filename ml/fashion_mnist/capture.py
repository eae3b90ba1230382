"""Launches work on a GPU as a whole: kernels of a small network run faster than they can be launched one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

log = logging.getLogger(__name__)

Work = Callable[[Tensor, Tensor, Tensor], None]
"""Work that reads three tensors, and changes others that stay at the same place in memory."""


class Captured:
    """Work as CUDA graphs, one for each size of its arguments. The results are the same as those of the work, bit for
    bit.
    """

    def __init__(self, work: Work, device: torch.device) -> None:
        """
        Args:
            work: The work to capture; it must not wait for the device.
            device: A CUDA device.
        """
        self._work = work
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, list[Tensor]]] = {}
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        """The event that the last launch is done."""

    def capture(self, *examples: Tensor) -> None:
        """Captures the work for arguments of the same size as these. The work runs once before, because the setup of
        libraries at their first call can't be captured.

        Raises:
            RuntimeError: it can't be captured.
        """
        arguments = [example.clone() for example in examples]
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            self._work(*arguments)
        graph = torch.cuda.CUDAGraph()
        # Requests of other threads to the device meanwhile, such as for its memory use, don't matter.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            self._work(*arguments)
        self._graphs[len(arguments[0])] = graph, arguments

    def __call__(self, *arguments: Tensor) -> None:
        """Launches the work, and waits for the previous launch: the device never waits for the next launch, and a
        caller that stops in between only waits for this one.
        """
        graph, places = self._graphs[len(arguments[0])]
        with torch.cuda.device(self._stream.device):
            for place, argument in zip(places, arguments, strict=True):
                place.copy_(argument)
            graph.replay()
            before, self._done = self._done, torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._done.record()
            before.synchronize()


def captured(work: Work, device: torch.device, examples: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Work:
    """Returns the work in graphs, one for arguments of the size of each example; if that fails, the work itself."""
    try:
        whole = Captured(work, device)
        for example in examples:
            whole.capture(*example)
    except RuntimeError as error:
        log.warning(
            "the training step can't be captured in a CUDA graph, and is several times slower without one: %s",
            str(error).partition("\n")[0],
        )
        _end_capture(device)
        return work
    return whole


def _end_capture(device: torch.device) -> None:
    """Ends a failed capture, which would otherwise keep the device's generator from drawing numbers."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].graphsafe_set_state(torch.Generator(device))

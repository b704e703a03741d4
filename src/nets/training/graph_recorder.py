"""Records work on a GPU into CUDA graphs, to be replayed without the host; recovers where that fails.

See https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from time import perf_counter
from typing import Protocol

import torch

Work = Callable[[], None]


class StepRecorder(Protocol):
    """Records work to be replayed; `peak_bytes`: the device's memory at most while it did."""

    peak_bytes: int

    def warm_up(self, work: Work) -> None:
        """Run work before it is recorded, as the recording demands. Raises RuntimeError where it can't be recorded."""

    def record(self, work: Work) -> Work:
        """Record work without running it; what replays it. Raises RuntimeError, and leaves the device usable."""

    def seconds(self, replay: Work) -> float:
        """How long the device takes for a replay."""


class CudaGraphs:
    """Records into CUDA graphs, which share their memory: what one leaves there is of no use to another."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._pool = torch.cuda.graph_pool_handle()
        self._failed: list[torch.cuda.CUDAGraph] = []

    def warm_up(self, work: Work) -> None:
        """Run it on another stream, then again where torch refuses to wait for the device: a capture would fail there.

        A capture that fails leaves torch 2.11 in a bad state, so what would fail is found before, as far as it can be.
        """
        aside = _aside(torch.cuda.current_device())
        aside.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(aside):
                work()
                with _without_waiting():
                    work()
        finally:  # what was begun there must be over before anything is put back
            torch.cuda.current_stream().wait_stream(aside)

    def record(self, work: Work) -> Work:
        """Record it into a graph, in the memory that all of them share."""
        graph = torch.cuda.CUDAGraph()
        torch.cuda.reset_peak_memory_stats()
        stream = torch.cuda.current_stream()
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                work()
        except RuntimeError as error:
            self._failed.append(graph)  # to free it now would end in another error
            _recover(stream, self._pool)
            # ending a capture that failed raises one more error
            raise RuntimeError(str(error.__context__ or error)) from error
        self.peak_bytes = max(self.peak_bytes, torch.cuda.max_memory_allocated())
        return graph.replay

    def seconds(self, replay: Work) -> float:
        """Of the second replay: the first one uploads the graph."""
        replay()
        torch.cuda.synchronize()
        started = perf_counter()
        replay()
        torch.cuda.synchronize()
        return perf_counter() - started


@contextmanager
def _without_waiting() -> Iterator[None]:
    """Let every operation that waits for the device raise RuntimeError."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls the mode a prototype
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)


def _recover(stream: torch.cuda.Stream, pool: tuple[int, int]) -> None:
    """Undo what a failed capture leaves behind: current stream, allocator, and a random generator that is "capturing".

    torch 2.11 leaves all three; later versions mend them piece by piece (pytorch #176752, #180395, #190348). What is
    not needed does no harm. A capture that succeeds ends the generator's.
    """
    torch.cuda.set_stream(stream)
    with suppress(RuntimeError, AttributeError, TypeError):
        torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), pool)
        torch._C._cuda_releasePool(torch.cuda.current_device(), pool)
    with suppress(RuntimeError), torch.cuda.graph(torch.cuda.CUDAGraph()):
        torch.zeros(1, device="cuda")


@cache
def _aside(_device: int) -> torch.cuda.Stream:
    """One stream a GPU: cuBLAS keeps a workspace for each that it ever saw."""
    return torch.cuda.Stream()

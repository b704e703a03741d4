"""One cell's rounds: seed, build, warm up, synchronise, time, watch -> `Round`.

`CellRun` splits a round into `setup` (untimed, recorded as `setup_s`), `timed` and `teardown`, which is how
pytest-benchmark's `pedantic` calls them; `round()` runs the three for everyone else.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter

import torch
from torch import nn

from nets.cells.catalog import Cell
from nets.datasets.data import Data
from nets.machine.cpu import CpuUse, RssPeak, cpu_use
from nets.machine.device import PeakMemory, generator_states, preserved_rng, threaded
from nets.machine.settings import InForce, float32_by_default, in_force, kept
from nets.networks.record import examined
from nets.records.base import finite
from nets.records.cell import Cpu, Network, Protocol, Round
from nets.training.independence import Independence
from nets.training.making import Maker
from nets.training.pipelines import Pipeline
from nets.training.trainer import ExecutionLog, Loaders, Pass, Trainer

# A round counts as disturbed when other processes used more than this share of one core meanwhile, and more than
# the clock ticks of /proc/stat can feign.
DISTURBED_SHARE = 0.1
CLOCK_TICKS_S = 0.05
Progress = Callable[[int, int, Pass], None]
"""Called after every epoch with the round's and the epoch's number, both from 0, and the epoch's means."""


@dataclass(slots=True)
class _Trial:
    """What one round works on; dropped whole when the round ends."""

    trainer: Trainer
    seed: int
    setup_s: float
    cpu_before: CpuUse
    watch: ExitStack


class CellRun:
    """Trains and evaluates one cell, round after round; `rounds` holds the finished ones.

    `in_force` are the settings that the last round, or block of steps, ended with, whoever set them.
    `watch` makes what is entered when a round's setup is done and left when the round is over (a GPU monitor, say).
    """

    def __init__(
        self,
        cell: Cell,
        protocol: Protocol,
        pipeline: Pipeline,
        data: Data,
        loaders: Loaders,
        device: torch.device,
        *,
        watch: Callable[[], AbstractContextManager[object]] = nullcontext,
        progress: Progress | None = None,
    ) -> None:
        self.cell = cell
        self.protocol = protocol
        self.data = data
        self.device = device
        self.rounds: list[Round] = []
        self.execution_log = ExecutionLog()
        self._watch = watch
        self._progress = progress
        self._trial: _Trial | None = None
        self._conditions = ExitStack()
        self._core_s = 0.0
        self._rss = RssPeak()
        self._peak = PeakMemory(device)
        self._training_peaks: list[int] = []
        self._evaluation_peaks: list[int] = []
        self._last: Trainer | None = None
        self._independence = Independence(cell.id)
        self._maker = Maker(cell, protocol, pipeline, data, loaders, device, self._independence)
        self.in_force: InForce = in_force()

    @property
    def pipeline(self) -> Pipeline:
        """How the cell is run, which depends on what its network takes."""
        return self._maker.pipeline

    @property
    def loaders(self) -> Loaders:
        """The batches, likewise."""
        return self._maker.loaders

    def build(self) -> nn.Module:
        """A new network for the cell, from torch's default generator. Raises UnknownName, UnfitNetwork."""
        return self._maker.build()

    @cached_property
    def network(self) -> Network:
        """What the network is made of, by one built for that alone. Raises UnfitNetwork."""
        declared = self.cell.expected.layers if self.cell.expected is not None else None
        with preserved_rng(self.device), float32_by_default():
            return examined(self.build(), self.data.image_shape, declared_layers=declared)

    @property
    def counted(self) -> Network | None:
        """The same, where it was asked for before: a cell that broke off may have come so far."""
        return self.__dict__.get("network")

    def setup(self) -> None:
        """Seed, build, place and warm up the next round's network; nothing of it is timed.

        The first time the network is counted, whether or not it can be trained.
        """
        self.teardown()
        self._last = None
        _ = self.network
        self._conditions.enter_context(self.conditions())
        self._conditions.enter_context(preserved_rng(self.device))
        started = perf_counter()
        seed = self.protocol.seed + len(self.rounds)
        trainer = self._trainer(seed)
        self.execution_log.note(trainer, is_round=True)
        self.synchronise()
        setup_s = perf_counter() - started
        with ExitStack() as stack:
            stack.enter_context(self._watch())
            self._trial = _Trial(trainer, seed, setup_s, cpu_use(), stack.pop_all())
        self._peak.begin()

    def timed(self) -> None:
        """Train for the protocol's epochs, then evaluate. This is what pytest-benchmark's clock sees.

        Called once more without a set-up, as for `--benchmark-cprofile-loops`, it sets up by itself. Raises
        UnfitNetwork for a round that is equal to one before.
        """
        if self._trial is None and len(self.rounds) >= self.protocol.rounds:
            self.setup()
        trial = self._trial
        if trial is None:
            raise RuntimeError("timed() needs setup() before it")
        epochs: list[Pass] = []
        started = perf_counter()
        for epoch in range(self.protocol.epochs):
            epochs.append(trial.trainer.train())
            if self._progress is not None:
                self._progress(len(self.rounds), epoch, epochs[-1])
        self.synchronise()
        train_s = perf_counter() - started
        self.in_force = in_force()
        self._training_peaks += self._peak.read()
        started = perf_counter()
        tested = trial.trainer.evaluate()
        self.synchronise()
        eval_s = perf_counter() - started
        self._evaluation_peaks += self._peak.read()
        done = self._record(trial, epochs, tested, train_s=train_s, eval_s=eval_s)
        self._independence.demand_another(self.rounds, done)
        self.rounds.append(done)
        self._last = trial.trainer

    def teardown(self) -> None:
        """End the watch of a round; settings and random numbers are the caller's again."""
        if self._trial is not None:
            if self._trial.trainer is self._last:  # the round was finished
                self._independence.note_end(generator_states(self.device))
            self._conditions.close()
            self._trial.watch.close()
            self._trial = None
        self._conditions.close()  # also of a set-up that broke off

    def close(self) -> None:
        """Free everything, the device's cached memory too."""
        self.teardown()
        self._last = None
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def round(self) -> Round:
        """Run the next round, and free its network."""
        try:
            self.setup()
            self.timed()
        finally:
            self.teardown()
            self._last = None
        return self.rounds[-1]

    @property
    def has_trained(self) -> bool:
        """Whether the network of the last of `rounds` is still there, to be had from `trained`."""
        return self._last is not None

    @contextmanager
    def trained(self) -> Iterator[Trainer]:
        """The last round's trainer, to go on with now that its result is taken; without one, as `scratch`."""
        self.teardown()
        if self._last is None:
            with self.scratch() as trainer:
                yield trainer
            return
        with self.conditions(), preserved_rng(self.device):
            yield self._last

    @contextmanager
    def scratch(self) -> Iterator[Trainer]:
        """A trainer of a network that belongs to no round; random numbers and conditions are put back."""
        self.teardown()
        self._last = None
        with self.conditions(), preserved_rng(self.device):
            trainer = self._trainer(self.protocol.seed)
            self.execution_log.note(trainer, is_round=False)
            self.synchronise()
            yield trainer

    @contextmanager
    def conditions(self) -> Iterator[None]:
        """What torch is set to while the cell is trained: its number of threads, and the GPU that streams belong to.

        What the network changes of the process's settings meanwhile is put back after it, with a warning.
        """
        current = torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()
        n_threads = self.pipeline.threads(self.protocol.batch_size)
        with current, threaded(self.device, n_threads), float32_by_default(), kept(f"{self.cell.id}: training it"):
            yield

    def cpu(self) -> Cpu:
        """CPU seconds of the timed regions, and the peak resident memory since this object was made."""
        rss = self._rss.bytes()
        return Cpu(core_s=self._core_s, rss_peak_bytes=rss, rss_missing_because=self._rss.missing_because)

    @property
    def training_peak_bytes(self) -> int | None:
        """Torch's peak of a GPU's memory while rounds trained, or recorded what they replay; None on a CPU."""
        return max((*self._training_peaks, self.execution_log.recorded_peak_bytes)) if self._training_peaks else None

    @property
    def evaluation_peak_bytes(self) -> int | None:
        """The same while rounds evaluated."""
        return max(self._evaluation_peaks, default=None)

    def _record(self, trial: _Trial, epochs: list[Pass], tested: Pass, *, train_s: float, eval_s: float) -> Round:
        after = cpu_use()
        if len(self.rounds) < self.protocol.rounds:  # a profiler may ask for more
            self._core_s += after.own_s - trial.cpu_before.own_s
        others = after.others_since(trial.cpu_before)
        allowed = max(CLOCK_TICKS_S, DISTURBED_SHARE * (train_s + eval_s))
        return Round(
            seed=trial.seed,
            setup_s=trial.setup_s,
            train_s=train_s,
            eval_s=eval_s,
            accuracy=tested.accuracy,
            loss=finite(tested.loss),
            train_loss=tuple(finite(epoch.loss) for epoch in epochs),
            train_accuracy=tuple(epoch.accuracy for epoch in epochs),
            others_cpu_s=others,
            disturbed=None if others is None else others > allowed,
        )

    def _trainer(self, seed: int) -> Trainer:
        had_all = self._maker.passes_an_image
        trainer = self._maker.trainer(seed)
        if self._maker.passes_an_image and not had_all:
            self.__dict__.pop("network", None)  # it was counted without what its first `forward` makes
        return trainer

    def mark(self) -> torch.cuda.Event | None:
        """A point in the device's queue, after all it was given so far, that can be waited for; None on a CPU."""
        if self.device.type != "cuda":
            return None
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(self.device))
        return event

    def synchronise(self) -> None:
        """Wait until the device has done all it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

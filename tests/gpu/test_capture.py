"""The untimed passes after the rounds: the soak, the profile, and that neither touches a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import accumulate, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nets.cells.catalog import CELLS, Cell, protocol_for
from nets.datasets.load import load_data
from nets.gpu import capture, kineto
from nets.gpu.monitor import GpuMonitor
from nets.gpu.window import MIN_WINDOW_S, Window
from nets.machine.cpu import cores
from nets.machine.device import threaded
from nets.networks.builtin import MODELS
from nets.records.cell import Protocol
from nets.training.pipelines import PIPELINES, pipeline_named
from nets.training.run import CellRun
from tests.support.suite import Suite

CPU = torch.device("cpu")


def never() -> bool:
    """A watch that never has enough."""
    return False


CELL = next(cell for cell in CELLS if cell.id == "digits-snn500")


@pytest.fixture(scope="module")
def make_run() -> Callable[..., CellRun]:
    """Makes runs of digits-snn500, one epoch a round."""
    data = load_data("digits", Path())

    def made(name: str = "resident", **changes: Any) -> CellRun:
        protocol: Protocol = protocol_for("quick", "digits").changed(epochs=1, **changes)
        cell: Cell = CELL
        way = pipeline_named(name)
        return CellRun(cell, protocol, way, data, way.loaders(data, protocol, CPU), CPU)

    return made


@pytest.mark.parametrize("name", PIPELINES)
def test_steps_go_on_over_epochs(make_run: Callable[..., CellRun], name: str) -> None:
    """An epoch that ends is followed by the next, and the steps so far are given after each."""
    run = make_run(name, batch_size=600)  # three steps an epoch
    with run.scratch() as trainer:
        assert list(islice(trainer.steps(), 5)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("name", ["resident", "article"])
def test_passes_change_no_round(make_run: Callable[..., CellRun], tmp_path: Path, name: str) -> None:
    """A round after a soak and a profile gives to the bit what it gives without them, and torch's generator too."""
    plain, between = make_run(name), make_run(name)
    expected = [plain.round() for _ in range(2)]
    after = torch.get_rng_state()
    found = [between.round()]
    with threaded(torch.device("cpu"), len(cores()) + 1):
        assert capture.soak(between, nullcontext(never), seconds=0.05) > 0
        capture.profiled(between, tmp_path)
        assert torch.get_num_threads() == len(cores()) + 1
    found.append(between.round())
    assert [(r.accuracy, r.loss, r.train_loss) for r in found] == [(r.accuracy, r.loss, r.train_loss) for r in expected]
    assert torch.equal(torch.get_rng_state(), after)


def test_a_soak_lasts_and_counts(make_run: Callable[..., CellRun]) -> None:
    """A soak goes on over the epoch's end until its time is up, within its watch alone, and counts its steps."""
    run = make_run()
    inside: list[bool] = []

    @contextmanager
    def watch() -> Iterator[Callable[[], bool]]:
        inside.append(True)
        yield never
        inside.append(False)

    n_steps = capture.soak(run, watch(), seconds=0.3)
    assert n_steps > len(run.loaders.train)
    assert inside == [True, False]
    assert run.rounds == []


def test_a_soak_ends_when_there_is_enough(make_run: Callable[..., CellRun]) -> None:
    """A soak ends, before its time, with the step after which its watch has seen enough."""
    left = iter([False] * 6 + [True])
    assert capture.soak(make_run(), nullcontext(lambda: next(left)), seconds=60) == 7


def test_a_soak_goes_on_with_the_last_round_s_network(make_run: Callable[..., CellRun]) -> None:
    """No network is built for a soak after rounds, and the rounds' records stay as they are."""
    run = make_run()
    run.setup()
    run.timed()
    run.teardown()
    before, built = list(run.rounds), []
    run._maker.build = lambda: built.append(True) or MODELS["snn500"]((1, 28, 28), 10)  # type: ignore[method-assign,func-returns-value]
    assert capture.soak(run, nullcontext(never), seconds=0.05) > 0
    assert (run.rounds, built, run.execution_log.mode) == (before, [], "eager")
    with run.scratch():
        assert len(built) == 2  # one to warm up
    run.close()


def test_a_soak_runs_little_ahead() -> None:
    """The device never has more than two replays to do, so that a soak ends soon after its time is up."""
    done, given, most = 0, 0, 0

    class Mark:
        def __init__(self, at: int) -> None:
            self.at = at

        def synchronize(self) -> None:
            nonlocal done
            done = max(done, self.at)

    class Trainer:
        def steps(self) -> Iterator[int]:
            nonlocal given, most
            for n_steps in range(50, 1_050, 50):
                given += 1
                most = max(most, given - done)
                yield n_steps

    run = SimpleNamespace(
        trained=lambda: nullcontext(Trainer()), mark=lambda: Mark(given), synchronise=lambda: None
    )  # fmt: skip
    assert capture.soak(run, nullcontext(never), seconds=60) == 1_000  # type: ignore[arg-type]
    assert most == 2


@pytest.mark.parametrize("batch_size", [100, 5_000])
def test_the_article_s_schedule(make_run: Callable[..., CellRun], tmp_path: Path, batch_size: int) -> None:
    """Two traces of three steps each, whatever the epoch's length; the first step of each cycle waits, one warms up."""
    profile = capture.profiled(make_run(batch_size=batch_size), tmp_path)
    files = profile.files
    assert profile.training_steps_per_step == 1
    assert [file.name for file in files] == [f"digits-snn500-resident-{i}.pt.trace.json.gz" for i in range(2)]
    names = [[step.name for step in kineto.read_trace(file).steps] for file in files]
    assert names == [[f"ProfilerStep#{i}" for i in cycle] for cycle in ((2, 3, 4), (7, 8, 9))]


def test_kept_traces_are_never_overwritten(make_run: Callable[..., CellRun], tmp_path: Path) -> None:
    """A second profile of the same cell adds files, and leaves those of the first as they are."""
    run = make_run(batch_size=5_000)
    first = capture.profiled(run, tmp_path).files
    before = [file.read_bytes() for file in first]
    second = capture.profiled(run, tmp_path).files
    assert len({*first, *second}) == len(list(tmp_path.iterdir())) == 4
    assert [file.read_bytes() for file in first] == before


def test_training_steps_of_the_recorded_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where replays hold different numbers of steps, those of the six recorded ones are averaged, and no others."""

    class Trainer:
        def steps(self) -> Iterator[int]:
            yield from accumulate([50, 50, 1, 2, 3, 50, 50, 4, 5, 6, 50])

    waited: list[bool] = []
    run = SimpleNamespace(
        cell=CELL, pipeline=PIPELINES["resident"], device=CPU, scratch=lambda: nullcontext(Trainer()),
        synchronise=lambda: waited.append(True),
    )  # fmt: skip
    assert capture.profiled(run, tmp_path).training_steps_per_step == 3.5  # type: ignore[arg-type]
    assert len(waited) == 2  # eager steps: once before each cycle's recorded ones


class Driver(GpuMonitor):
    """A monitor whose driver answers and whose timed windows were too short."""

    def __init__(self, seconds: float) -> None:
        self._no_driver_because = ""
        self.timed = [Window(seconds=seconds)]
        self._driver: Any = object()

    @contextmanager
    def soak(self, into: list[Window]) -> Iterator[Callable[[], bool]]:
        """A window that lasted long enough."""
        yield never
        into.append(Window(seconds=4.0, energy_j=400.0))


def observed(run: CellRun, monitor: GpuMonitor | None = None) -> capture.Captured:
    """What is seen beside the rounds."""
    return capture.capture(run, monitor, no_gpu_because=None)


def test_a_short_cell_is_soaked(make_run: Callable[..., CellRun], monkeypatch: pytest.MonkeyPatch) -> None:
    """Timed regions below the driver's window lead to a soak, and its joules are counted a step; longer ones don't."""

    def soak(_: CellRun, watch: AbstractContextManager[object]) -> int:
        with watch:
            return 50

    monkeypatch.setattr(capture, "soak", soak)
    gpu = observed(make_run(), Driver(seconds=1.0)).gpu
    assert gpu is not None
    assert (gpu.window, gpu.n_steps, gpu.energy_per_step_j, gpu.power_w) == ("soak", 50, 8.0, 100.0)
    gpu = observed(make_run(), Driver(seconds=5.0)).gpu
    assert gpu is not None
    assert (gpu.window, gpu.n_steps) == ("timed", None)


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, ValueError])
def test_a_soak_that_fails(
    make_run: Callable[..., CellRun], monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    """A soak that runs out of memory, or whose network raises, costs its figures, not the cell."""

    def fail(*_: object) -> int:
        raise kind("CUDA out of memory\nTried to allocate")

    monkeypatch.setattr(capture, "soak", fail)
    gpu = observed(make_run(), Driver(seconds=1.0)).gpu
    assert gpu is not None
    assert not gpu.valid
    assert gpu.reasons[0].endswith("no soak: CUDA out of memory")


def test_a_trace_that_fails(make_run: Callable[..., CellRun], monkeypatch: pytest.MonkeyPatch) -> None:
    """A profiler that fails, or sees no kernel, costs the trace, and it is said why."""
    run = make_run()
    assert "no kernel ran on a GPU" in str(capture.traced(run, None)[1])

    def fail(*_: object) -> capture.Profile:
        raise RuntimeError("CUPTI_ERROR_INSUFFICIENT_PRIVILEGES")

    monkeypatch.setattr(capture, "profiled", fail)
    assert capture.traced(run, None) == (None, "the profiler failed: CUPTI_ERROR_INSUFFICIENT_PRIVILEGES")


def test_peak_memory_is_the_rounds(make_run: Callable[..., CellRun], monkeypatch: pytest.MonkeyPatch) -> None:
    """The cell's peak resident memory is read before the passes, which are not the cell's."""
    run = make_run()
    order: list[str] = []

    def noted(name: str, call: Callable[[], object]) -> Callable[..., object]:
        def noting(*_: object) -> object:
            order.append(name)
            return call()

        return noting

    monkeypatch.setattr(run, "cpu", noted("cpu", run.cpu))
    monkeypatch.setattr(capture, "soak", noted("soak", lambda: 0))
    observed(run, Driver(seconds=1.0))
    assert order == ["cpu", "soak"]


def test_a_soak_is_long_enough() -> None:
    """A soak outlasts the driver's window, which is three seconds."""
    assert capture.SOAK_S > MIN_WINDOW_S >= 3


WATCHING = """
import pytest
from contextlib import contextmanager
from nets.gpu.monitor import GpuMonitor
from nets.gpu.window import Window

class Watching(GpuMonitor):
    def __init__(self):
        self.timed, self._driver = [], object()
    @contextmanager
    def watch(self):
        yield
        self.timed.append(Window(seconds=4.0, energy_j=100.0))

@pytest.fixture
def gpu_monitor():
    return Watching()
"""


def test_every_round_is_watched(suite: Suite) -> None:
    """The suite's own run of a cell hands each timed region to the monitor, and what it saw into the record."""
    suite.conftest(WATCHING)
    suite.run("--cells", "digits-snn500", "--epochs", "1", "--rounds", "2").assert_outcomes(passed=1)
    (benchmark,) = suite.content()["benchmarks"]
    gpu = benchmark["extra_info"]["gpu"]
    assert (gpu["window"], gpu["window_s"], gpu["energy_j"], gpu["power_w"]) == ("timed", 8.0, 100.0, 25.0)

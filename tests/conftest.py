"""What the tests share: real data where it is present, and a small repository that uses the suite."""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nets.cells import catalog
from tests.support import packages
from tests.support.forking import Forking, forking, import_nets
from tests.support.shared import drawn_once, shared_folder
from tests.support.stub_driver import NoCompiler, build
from tests.support.suite import REPOSITORY, Suite

if TYPE_CHECKING:
    import torch
    from playwright.sync_api import Browser

    from nets.report.document import Chart

SHARED_DATA = REPOSITORY.parent / "shared" / "data"


def pytest_configure(config: pytest.Config) -> None:
    """Make ready a process that runs tests; xdist's controller runs none."""
    if config.getoption("tx", None):
        return
    for name in ("COLUMNS", "LINES"):  # readline sets both, which pytest imports, though a worker has no terminal
        os.environ.pop(name, None)
    import_everything()
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        keep_to_own_cores(worker)


def import_everything() -> None:
    """Import what the tests use, once: a nested pytest forgets the modules that it was the first to import."""
    import hypothesis
    import typer.testing

    from nets.datasets import digits, shapes

    import_nets()
    packages.read_once()
    for name in ("torch._dynamo", "torchvision"):
        importlib.import_module(name)
    typer.testing._get_command = functools.cache(typer.testing._get_command)  # type: ignore[attr-defined]  # 20 ms a call
    digits.digits = functools.cache(digits.digits)  # nothing writes into a data set
    shapes.shapes = functools.cache(shapes.shapes)
    # no test is of time: a machine that is busy must not fail one of hypothesis's
    hypothesis.settings.register_profile("nets", hypothesis.settings.default, deadline=None)
    hypothesis.settings.load_profile("nets")
    gc.freeze()  # every cell ends with a collection, which need not look at a million objects of modules
    atexit.register(gc.unfreeze)  # what is frozen counts as leaked


def pytest_collection_finish() -> None:
    """Spare the collection after each cell the test modules and the tests, too."""
    gc.freeze()


def keep_to_own_cores(worker: str) -> None:
    """As the suite's own workers do: side by side, threads on each other's cores wait for one another."""
    import torch

    from nets.machine.cpu import cores, shares

    n_workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    share = shares(n_workers, cores())[int(worker.removeprefix("gw")) % n_workers]  # one that replaces another is gw2
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, share)
    torch.set_num_threads(len(share))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what starts processes: begun last, it would leave the other workers idle. Warnings are errors here.

    Benchmarks share pytest.ini with the tests, and a library's warning must not end one. What test_one_gpu_each runs
    for its module is there by the time when the others ask for it.
    """
    # torch's own, on machines without a GPU, is none. A nested session whose end raises, as a warning of
    # pytest-benchmark's made it, leaves pytest's log file open, the null device, until some later test collects it
    strict = pytest.mark.filterwarnings(
        "error", "ignore:.*CUDA.*:UserWarning", "ignore:unclosed file .*/dev/null:ResourceWarning"
    )
    for item in items:
        item.add_marker(strict, append=False)
    starters = ("test_interrupt", "test_identity", "test_forking")
    items.sort(key=lambda item: item.path.stem not in starters and item.name != "test_one_gpu_each")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """A torchvision root with the real MNIST and CIFAR-10: $NETS_DATA, or ../shared/data."""
    root = Path(os.environ.get("NETS_DATA") or SHARED_DATA)
    if not (root / "MNIST").is_dir() or not (root / "cifar-10-batches-py").is_dir():
        pytest.skip(f"the real MNIST and CIFAR-10 are not in {root}")
    return root


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every download fail at once, as on a machine without a network."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr("socket.create_connection", refuse)


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """A fresh repository, its pytest free of this one's xdist and of a terminal."""
    for name in list(os.environ):
        if name.startswith("PYTEST_XDIST"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("NETS_DATA", raising=False)
    for name in ("NETS_CORES", "NETS_DEVICE", "NETS_REFUSAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pytest_benchmark.plugin.get_cpu_info", dict)  # a second each time
    return Suite(pytester)


@pytest.fixture(scope="session")
def forking_process() -> Iterator[Forking]:
    """Has imported torch, and forks Python processes; started by the first test that asks for it."""
    with forking() as started:
        yield started


@pytest.fixture
def forked(forking_process: Forking, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the Python processes that are started, xdist's workers among them, from one that has imported torch."""
    monkeypatch.setattr(subprocess, "Popen", forking_process.popen)


@pytest.fixture(scope="session")
def process_without_torch() -> Iterator[Forking]:
    """Has imported pytest alone: each side of `nets ab` looks again and again at all that it has imported."""
    with forking(with_torch=False) as started:
        yield started


@pytest.fixture
def forked_sides(process_without_torch: Forking, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the sides of `nets ab` from a process that has imported pytest, whose start takes most of a second."""
    monkeypatch.setattr(subprocess, "Popen", process_without_torch.popen)


@pytest.fixture
def one_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train the digits for one epoch under `quick`, where a command has no option for it."""
    monkeypatch.setitem(catalog._TRAINED, "digits", (100, 1, 20))


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[..., torch.nn.Module]], None]:
    """Put another network in the place of one of the suite's."""

    def replace(name: str, builder: Callable[..., torch.nn.Module]) -> None:
        from nets.networks.builtin import MODELS

        monkeypatch.setattr("nets.training.making.MODELS", {**MODELS, name: builder})

    return replace


@pytest.fixture(scope="session")
def stub_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stub driver's library. Without a C compiler: skipped, but in CI it must be there."""
    folder = tmp_path_factory.mktemp("nvml")
    try:
        build(folder)
    except NoCompiler as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def draw(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Chart], str]:
    """Draws a chart as `nets.report.drawing.svg` does, which takes a tenth of a second, but each once a run."""
    folder = shared_folder(tmp_path_factory) / "drawings"
    folder.mkdir(exist_ok=True)
    return functools.partial(drawn_once, folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module: it starts in a second, and while it is open no other test can run an event loop."""
    from tests.support.browser import started

    with started() as opened:
        yield opened

"""`nets bands -n K`: the same accuracies as one process, whatever ends it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from nets.machine import places
from nets.measuring import reference_runs, spread
from nets.verdicts.bands import read_bands
from tests.support.commands import runner

ran = runner("bands")
ONE = ("--cells", "digits-snn500", "--device", "cpu", "--seeds", "3", "--first-seed", "77")


def children() -> list[psutil.Process]:
    """The processes that measure."""
    found = []
    for each in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # which a process is that has just ended, waited for or not
            if "spawn_main" in " ".join(each.cmdline()):
                found.append(each)
    return found


@pytest.mark.usefixtures("one_epoch")
def test_the_same_as_one(tmp_path: Path) -> None:
    """Two processes write the file that one writes, whichever ends first, and are gone at the end."""
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    assert ran(*ONE, "--file", str(one)).exit_code == 0
    result = ran(*ONE, "--file", str(two), "-n", "2")
    assert result.exit_code == 0, result.stderr
    assert read_bands(two) == read_bands(one)
    assert read_bands(two).runs[0].seeds == (77, 78, 79)
    assert "(3/3): accuracy" in result.output
    assert children() == []


@pytest.mark.usefixtures("one_epoch")
def test_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C keeps what was measured, ends every process, and the same command goes on."""
    file = tmp_path / "bands.toml"
    add = reference_runs._add

    def interrupted(*arguments: Any) -> None:
        add(*arguments)
        for each in children():
            each.send_signal(signal.SIGINT)  # as a terminal does, to all of them
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(reference_runs, "_add", interrupted)
        result = ran(*ONE, "--file", str(file), "-n", "2")
    assert result.exit_code == 130
    assert "the same command goes on" in result.stderr
    assert children() == []
    (runs,) = read_bands(file).runs
    assert len(runs.seeds) == 1
    assert ran(*ONE, "--file", str(file)).exit_code == 0
    assert read_bands(file).runs[0].seeds == (77, 78, 79)


def test_a_process_that_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed is named with what it was at, and none is left."""
    all_of = spread.run_spread

    def deadly(tasks: list[Any], *arguments: Any, **options: Any) -> Generator[Any]:
        return all_of([task._replace(cell=_Deadly(task.cell)) for task in tasks], *arguments, **options)

    monkeypatch.setattr(spread, "run_spread", deadly)
    result = ran(*ONE, "--seeds", "1", "--file", str(tmp_path / "bands.toml"), "-n", "2")
    assert result.exit_code == 2
    assert "digits-snn500 quick seed 77: its process was ended with exit code 9; the same command" in result.stderr
    assert children() == []


class _Deadly:
    """A cell that ends the process that it is sent to."""

    def __init__(self, cell: Any) -> None:
        self.id, self.dataset = cell.id, cell.dataset

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os._exit, (9,)


def test_what_a_task_raises(tmp_path: Path) -> None:
    """Data that are not there are told of in the sentence that one process has for it."""
    arguments = (
        "--cells",
        "mnist-snn500",
        "--device",
        "cpu",
        "--file",
        str(tmp_path / "b"),
        "--data-dir",
        str(tmp_path),
    )
    (tmp_path / "MNIST").write_text("no folder")
    result, alone = ran(*arguments, "-n", "2", "--seeds", "1"), ran(*arguments)
    assert (result.exit_code, alone.exit_code) == (2, 2)
    assert result.stderr == alone.stderr


def test_too_few_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under pytest -n: each process has a GPU to itself, or is refused; on a CPU each has its share of the cores."""
    monkeypatch.setattr(places, "cores", lambda: (0, 1, 2))
    assert [each[places.CORES] for each in places.places(2, "cpu")] == ["0", "1,2"]
    monkeypatch.setattr(places, "may_have_gpu", lambda: True)
    monkeypatch.setattr(places, "choose_device", lambda _: type("Device", (), {"type": "cuda"}))
    monkeypatch.setattr(places, "usable_gpus", lambda: ("GPU-a", "GPU-b"))
    assert [each["CUDA_VISIBLE_DEVICES"] for each in places.places(2, "auto")] == ["GPU-a", "GPU-b"]
    result = ran("--cells", "digits-snn500", "--file", str(tmp_path / "b"), "-n", "3")
    assert result.exit_code == 2
    assert "-n 3: 3 workers, but 2 GPUs (GPU-a, GPU-b)" in result.stderr

"""What code of a network's changes for the whole process: put back, told of, and known as long as it is in force."""

from __future__ import annotations

import gc
import os
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from nets.machine.device import generator_states, preserved_rng, seed_generators, tf32_in_force
from nets.machine.settings import _SETTINGS, InForce, in_force, kept
from nets.records.cell import Device

CPU = torch.device("cpu")
CHANGES: list[tuple[str, Callable[[], object]]] = [
    ("torch's number of threads", lambda: torch.set_num_threads(torch.get_num_threads() + 1)),
    ("the default dtype", lambda: torch.set_default_dtype(torch.float64)),
    ("the default device", lambda: torch.set_default_device("meta")),
    ("grad mode", lambda: torch.set_grad_enabled(False)),
    ("anomaly detection", lambda: torch.autograd.set_detect_anomaly(True)),
    ("autocast", lambda: torch.set_autocast_enabled("cpu", True)),
    ("deterministic algorithms", lambda: torch.use_deterministic_algorithms(True, warn_only=True)),
    ("cuDNN's or oneDNN's flags", lambda: setattr(torch.backends.cudnn, "benchmark", True)),
    ("cuDNN's or oneDNN's flags", lambda: setattr(torch.backends.cudnn, "deterministic", True)),
    ("the precision of float32", lambda: torch.set_float32_matmul_precision("high")),
    ("the precision of float32", lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True)),
    ("the precision of float32", lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32")),
    ("the precision of float32", lambda: setattr(torch.backends.cudnn, "allow_tf32", False)),
    ("the precision of float32", lambda: setattr(torch.backends, "fp32_precision", "ieee")),
    ("the flushing of denormal numbers", lambda: torch.set_flush_denormal(True)),
    ("Python's collection of garbage", gc.disable),
    ("the working folder", lambda: os.chdir("/")),
]


@pytest.fixture(autouse=True)
def as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a folder that may be left, and let no setting out of a test that fails."""
    monkeypatch.chdir(tmp_path)
    before = {name: setting.read() for name, setting in _SETTINGS.items()}
    yield
    for name, setting in _SETTINGS.items():
        setting.write(before[name])


def told(*changes: Callable[[], object]) -> str:
    """What is warned of after these changes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with kept("it"):
            for change in changes:
                change()
    return "; ".join(str(each.message) for each in caught)


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_what_is_changed_is_put_back(name: str, change: Callable[[], object]) -> None:
    """Each setting is the caller's again, older and newer names of it agree, and the warning names it alone."""
    before = {name: setting.read() for name, setting in _SETTINGS.items()}
    assert told(change) == f"it changed {name} for the whole process: put back"
    assert {name: setting.read() for name, setting in _SETTINGS.items()} == before
    assert torch.backends.cuda.matmul.allow_tf32 is False  # raises where older and newer names disagree


def test_every_setting_is_tried() -> None:
    """A setting that is added to the table is added to the test above."""
    assert {name for name, _ in CHANGES} == set(_SETTINGS)


def test_what_the_caller_set_stays() -> None:
    """The caller's own choice is what is put back, and where nothing is changed nothing is said."""
    convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    torch.set_default_device("meta")
    convolutions.fp32_precision = "ieee"
    before = {name: setting.read() for name, setting in _SETTINGS.items()}
    found = told(lambda: torch.set_default_device("cpu"), lambda: setattr(convolutions, "fp32_precision", "tf32"))
    assert found == "it changed the default device, the precision of float32 for the whole process: put back"
    assert {name: setting.read() for name, setting in _SETTINGS.items()} == before
    assert told(lambda: torch.set_default_dtype(torch.float32)) == ""


def test_put_back_after_an_error() -> None:
    """An error in the block passes through, and the settings are put back all the same."""

    def broken() -> None:
        torch.set_grad_enabled(False)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        told(broken)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("removed_first", [True, False])
def test_a_folder_that_is_gone(tmp_path: Path, removed_first: bool) -> None:
    """Where the working folder was removed, before the block or in it, the rest is put back."""
    (folder := tmp_path / "folder").mkdir()
    os.chdir(folder)
    if removed_first:
        folder.rmdir()
    remove = [] if removed_first else [folder.rmdir]
    found = told(lambda: os.chdir(tmp_path), lambda: torch.set_default_dtype(torch.float64), *remove)
    assert found == "it changed the default dtype, the working folder for the whole process: put back"
    assert torch.get_default_dtype() == torch.float32


def test_in_force() -> None:
    """Threads and precisions are those of the moment, and say later whether a GPU rounds its products to TF32."""
    gpu = Device(type="cuda", name="a GPU", compute_capability="9.0")
    then: list[InForce] = []
    told(
        lambda: torch.set_num_threads(3),
        lambda: torch.set_float32_matmul_precision("high"),
        lambda: then.append(in_force()),
    )
    assert then[0].threads == 3
    assert tf32_in_force(gpu, then[0].float32) == (True, True)
    assert tf32_in_force(gpu) == (False, True)


def test_preserved_rng() -> None:
    """Numbers drawn inside don't move a generator outside: torch's, Python's and NumPy's."""

    def drawn() -> tuple[float, float, float]:
        return torch.rand(()).item(), random.random(), float(np.random.rand())

    with preserved_rng(CPU):
        seed_generators(1)
        expected = drawn()
        seed_generators(1)
        states = generator_states(CPU)
        with preserved_rng(CPU):
            inside = drawn()
            assert all(one != other for one, other in zip(states, generator_states(CPU), strict=True))
        assert generator_states(CPU) == states
        assert (drawn(), inside) == (expected, expected)

"""Settings that a process has one of, which a network's code may change: put back, and told of; those in force."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import torch


class InForce(NamedTuple):
    """Torch's number of threads, and its precisions of float32 matrix products and convolutions, at one moment."""

    threads: int
    float32: tuple[str, str]


def in_force() -> InForce:
    """Those of now."""
    # not `allow_tf32`, which raises where a precision was set by the newer names
    float32 = _flag("cuda.matmul.fp32_precision"), _flag("cudnn.conv.fp32_precision")
    return InForce(threads=torch.get_num_threads(), float32=float32)


@contextmanager
def kept(what: str) -> Iterator[None]:
    """Put back what the block changes of the settings below, and warn that `what` changed them.

    Not kept: environment variables, which libraries set when they are first imported and rely on.
    """
    before = {name: setting.read() for name, setting in _SETTINGS.items()}
    try:
        yield
    finally:
        changed = [name for name, setting in _SETTINGS.items() if setting.read() != before[name]]
        for name in changed:
            _SETTINGS[name].write(before[name])
        if changed:
            with warnings.catch_warnings():
                warnings.simplefilter("always")  # whatever filters the block has set
                warnings.warn(f"{what} changed {', '.join(changed)} for the whole process: put back", stacklevel=1)


@contextmanager
def float32_by_default() -> Iterator[None]:
    """Have float32 as the default dtype, whatever a test module or a conftest has set: the images are float32."""
    before = torch.get_default_dtype()
    if before == torch.float32:
        yield
        return
    warnings.warn(f"the default dtype is {before}: cells are measured with float32, and it is put back", stacklevel=1)
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class _Setting(NamedTuple):
    read: Callable[[], Any]
    write: Callable[[Any], object]


def _flag(name: str) -> Any:
    """A flag of torch.backends; None where torch can't say, as where it was set by names of two generations."""
    with suppress(RuntimeError):
        return attrgetter(name)(torch.backends)
    return None


def _flags(*names: str) -> _Setting:
    def write(values: tuple[Any, ...]) -> None:
        for name, value in zip(names, values, strict=True):
            if value is not None and _flag(name) != value:
                owner, _, attribute = name.rpartition(".")
                setattr(attrgetter(owner)(torch.backends) if owner else torch.backends, attribute, value)

    return _Setting(lambda: tuple(_flag(name) for name in names), write)


# the older names first: to set one sets newer ones, too
_PRECISIONS = _flags(
    "cudnn.allow_tf32",
    "fp32_precision",
    "cuda.matmul.fp32_precision",
    *(f"cudnn.{operation}fp32_precision" for operation in ("", "conv.", "rnn.")),
    *(f"mkldnn.{operation}fp32_precision" for operation in ("", "matmul.", "conv.", "rnn.")),
)


def _read_precisions() -> tuple[str | None, tuple[Any, ...]]:
    products = None
    with suppress(RuntimeError):
        products = torch.get_float32_matmul_precision()
    return products, _PRECISIONS.read()


def _write_precisions(before: tuple[str | None, tuple[Any, ...]]) -> None:
    products, others = before
    if products is not None:
        torch.set_float32_matmul_precision(products)
    _PRECISIONS.write(others)


def _flushes_denormals() -> bool:
    return bool(torch.tensor(1e-310, dtype=torch.float64, device="cpu").mul(1) == 0)


def _read_folder() -> Path | None:
    with suppress(FileNotFoundError):  # it was removed
        return Path.cwd()
    return None


def _write_folder(before: Path | None) -> None:
    if before is not None:
        with suppress(OSError):
            os.chdir(before)


_SETTINGS = {
    "torch's number of threads": _Setting(torch.get_num_threads, torch.set_num_threads),
    "the default dtype": _Setting(torch.get_default_dtype, torch.set_default_dtype),
    "the default device": _Setting(
        torch.get_default_device,
        # to set the CPU would slow every operation, where none is set
        lambda before: torch.set_default_device(None if before.type == "cpu" else before),
    ),
    "grad mode": _Setting(torch.is_grad_enabled, torch.set_grad_enabled),
    "anomaly detection": _Setting(torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "autocast": _Setting(
        lambda: tuple(torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda")),
        lambda before: [torch.set_autocast_enabled(*each) for each in zip(("cpu", "cuda"), before, strict=True)],
    ),
    "deterministic algorithms": _Setting(
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda before: torch.use_deterministic_algorithms(before[0], warn_only=before[1]),
    ),
    "cuDNN's or oneDNN's flags": _flags("cudnn.enabled", "cudnn.benchmark", "cudnn.deterministic", "mkldnn.enabled"),
    "the precision of float32": _Setting(_read_precisions, _write_precisions),
    "the flushing of denormal numbers": _Setting(_flushes_denormals, torch.set_flush_denormal),
    "Python's collection of garbage": _Setting(gc.isenabled, lambda before: gc.enable() if before else gc.disable()),
    "the working folder": _Setting(_read_folder, _write_folder),
}

"""Whether float32 products and convolutions may be TF32 on a GPU, by all that decides it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from nets.machine.device import tf32_in_force
from nets.records.cell import Device

HOPPER = Device(type="cuda", name="a GPU", compute_capability="9.0")
VOLTA = Device(type="cuda", name="a GPU", compute_capability="7.0")
BACKENDS = torch.backends


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Torch's settings as they were."""
    yield
    BACKENDS.cuda.matmul.fp32_precision = "none"
    BACKENDS.cudnn.allow_tf32 = True  # the older name, too, which torch.export asks for
    BACKENDS.cudnn.conv.fp32_precision = "tf32"  # type: ignore[attr-defined]
    BACKENDS.cudnn.rnn.fp32_precision = "tf32"  # type: ignore[attr-defined]
    torch.set_float32_matmul_precision("highest")


def high() -> None:
    """The setting of most tutorials."""
    torch.set_float32_matmul_precision("high")


def old_names() -> None:
    """The oldest settings."""
    BACKENDS.cuda.matmul.allow_tf32 = True
    BACKENDS.cudnn.allow_tf32 = False


def new_names() -> None:
    """The newest, which make the oldest raise."""
    BACKENDS.cuda.matmul.fp32_precision = "tf32"
    BACKENDS.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("set_it", "in_force"),
    [(lambda: None, (False, True)), (high, (True, True)), (old_names, (True, False)), (new_names, (True, False))],
    ids=["default", "high", "old names", "new names"],
)
def test_torch_s_settings(set_it: Callable[[], None], in_force: tuple[bool, bool]) -> None:
    """Products and convolutions are told apart, by whichever names a precision was set."""
    set_it()
    assert tf32_in_force(HOPPER) == in_force


def test_what_forbids_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVIDIA's variable forbids both, a GPU before Ampere has none, and on a CPU it is no question."""
    high()
    assert tf32_in_force(VOLTA) == (False, False)
    assert tf32_in_force(Device(type="cpu", name="a CPU")) is None
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    assert tf32_in_force(HOPPER) == (False, False)

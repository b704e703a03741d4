"""The GPUs of a process that must not start CUDA: the controller of xdist's workers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nets.machine.device import choose_device, no_gpu_because
from nets.machine.visible import full_uuid
from nets.measuring.cell import session_setting
from nets.records.cell import Device
from tests.support.stub_driver import StubbedProcess

UUIDS = ["GPU-00000000-0000-0000-0000-000000000000", "GPU-00000000-0000-0000-0000-000000000001"]


def described(visible: str | None, order: str | None = None) -> dict[str, Any]:
    """In the child: what the controller says of its workers' first GPU, where to start CUDA is an error."""
    import torch

    from nets.machine.visible import first_gpu_facts

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("CUDA was started")

    torch.cuda.device_count = lambda: 2
    for name in ("init", "_lazy_init", "get_device_properties", "get_device_name"):
        setattr(torch.cuda, name, refuse)
    for name, value in (("CUDA_VISIBLE_DEVICES", visible), ("CUDA_DEVICE_ORDER", order)):
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    return first_gpu_facts().model_dump()


def test_the_controller_never_starts_cuda(stub_driver: Path) -> None:
    """Whatever CUDA_VISIBLE_DEVICES says, the controller knows its GPU by the driver, or says why it doesn't."""
    with StubbedProcess(stub_driver, timeout_s=60.0) as process:  # torch is imported there
        for visible in (None, "0", "1", UUIDS[1], "GPU-00000000-0000-0000-0000-000000000001", UUIDS[1].lower()):
            seen = process.ask("gpus=2", described, visible=visible)
            assert (seen["name"], seen["driver"], seen["uuid"]) == ("Stub H100", "999.1", None), visible
        ambiguous = process.ask("gpus=2", described, visible="GPU-0000")
        assert ambiguous["name"] == "known to the workers alone (Not Found)"
        assert process.ask("gpus=1", described, visible="GPU-0000")["name"] == "Stub H100"
        missing = process.ask("gpus=2", described, visible="")
        assert missing["name"].startswith("known to the workers alone")
        assert process.ask("init=9", described, visible="0")["name"] == (
            "known to the workers alone (Driver Not Loaded)"
        )


@given(st.text("GPU-abc", max_size=8), st.lists(st.text("GPU-abc", min_size=1, max_size=8), max_size=4, unique=True))
def test_abbreviated_uuids(entry: str, known: list[str]) -> None:
    """An abbreviation is completed if it begins one known UUID alone; any other entry is handed on as it is."""
    found = full_uuid(entry, known)
    matching = [uuid for uuid in known if uuid.lower().startswith(entry.lower())]
    assert found == (matching[0] if entry and len(matching) == 1 else entry)
    assert full_uuid("GPU-00000000-0000-0000-0000-000000000001", UUIDS) == UUIDS[1]
    assert full_uuid("gpu-0", UUIDS[:1]) == UUIDS[0]
    assert full_uuid("gpu-0", UUIDS) == "gpu-0"


def test_the_cpu_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """--device cpu doesn't start CUDA to find out why there is no GPU: there may be one."""

    def refuse() -> None:
        raise AssertionError("CUDA was started")

    monkeypatch.setattr(torch.cuda, "init", refuse)
    assert choose_device("cpu").type == "cpu"
    setting = session_setting("resident", Device(type="cpu", name="a CPU"), wanted="cpu")
    assert setting.gpu_missing_because == "ran on the CPU: --device cpu"


@pytest.mark.parametrize("visible", ["", "7", "GPU-that-is-not-there"])
def test_a_card_that_isn_t_there(monkeypatch: pytest.MonkeyPatch, visible: str) -> None:
    """Where CUDA_VISIBLE_DEVICES hides all GPUs, the reason why there is none names it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(torch.version, "cuda", "13.0")

    def refuse() -> None:
        raise RuntimeError("No CUDA GPUs are available")

    monkeypatch.setattr(torch.cuda, "init", refuse)
    assert no_gpu_because() == f"No CUDA GPUs are available (CUDA_VISIBLE_DEVICES is {visible!r})"

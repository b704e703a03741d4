"""Threads and OpenMP's waiting: chosen by rule, before torch is loaded, and recorded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from nets.machine.device import threaded
from nets.training.pipelines import PIPELINES, threads


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large batches get every core, small ones one; the article's pipeline has torch's default, which is every core.

    The caller has its own number again afterwards.
    """
    monkeypatch.setattr("nets.training.pipelines.cores", lambda: (0, 2, 3))
    assert (threads(4), threads(31), threads(32), threads(100)) == (1, 1, 3, 3)
    assert [PIPELINES["resident"].threads(n) for n in (4, 100)] == [1, 3]
    assert [PIPELINES["article"].threads(n) for n in (4, 100)] == [3, 3]
    before = torch.get_num_threads()
    with threaded(torch.device("cpu"), before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("variables", "first", "expected"),
    [
        ({}, "", "GOMP_SPINCOUNT=4000 4000"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "", "OMP_WAIT_POLICY=active None"),
        ({"GOMP_SPINCOUNT": "7"}, "", "GOMP_SPINCOUNT=7 7"),
        ({}, "sys.modules['torch'] = None;", "unknown: torch was imported before nets None"),
    ],
)
def test_waiting(variables: dict[str, str], first: str, expected: str) -> None:
    """The spins are set unless the caller chose otherwise or torch came first, and what holds is said."""
    environment = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    look = "from nets.machine.cpu import wait_policy; print(wait_policy(), os.environ.get('GOMP_SPINCOUNT'))"
    code = f"import sys, os; {first} {look}"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | variables, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected

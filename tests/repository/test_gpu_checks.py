"""The checks for a GPU, on a machine without one."""

from __future__ import annotations

import pytest
import torch
from studies import kernel_sums

from nets.records.gpu import LongKernel
from tests.support.records import one_round, record, traced
from tests.support.suite import REPOSITORY

without_a_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: run the checks themselves")


@without_a_gpu
@pytest.mark.parametrize("name", ["driver", "capture"])
def test_each_check_fails_without_a_gpu(name: str, pytester: pytest.Pytester) -> None:
    """Run by themselves the checks fail too, every one; none is skipped."""
    file = REPOSITORY / "tests" / "on_gpu" / f"{name}_checks.py"
    outcomes = pytester.runpytest_inprocess(str(file), "--rootdir", str(REPOSITORY)).parseoutcomes()
    assert set(outcomes) <= {"errors", "failed"}
    assert sum(outcomes.values()) >= 12


def test_kernel_sums() -> None:
    """A step's time is divided by the time of its kernels; a cell without a trace has no row."""
    longest = LongKernel(name="gemm", n=30, total_s=0.009, share=0.5)  # all of them: 18 ms in 6 steps of 50
    trace = traced(steps=6, training_steps_per_step=50, kernels_per_step=700, longest_kernels=(longest,))
    rounds = (one_round(train_s=0.036), one_round(train_s=0.054))  # 600 steps each: 75 µs a step
    *_, row = kernel_sums.rows(
        [record(), record(model="cnn3l", rounds=rounds, trace=trace, trace_missing_because=None)]
    )
    assert row == "| mnist-cnn3l | resident | eager | 75.0 | 60.0 | 1.25 | 14.0 |"

"""What a training step takes beyond its kernels: its time over the sum of theirs, from stored runs.

`python -m studies.kernel_sums RUN.json...` prints a row for each cell that has a trace. A step's time is the timed
regions' training over its steps; its kernels' time and number are the trace's, over the training steps in it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import fmean

from nets.records.cell import Result
from nets.records.run_file import read_run


def rows(results: Iterable[Result]) -> Iterator[str]:
    """The table, line by line."""
    yield "| cell | pipeline | steps | a step, µs | its kernels, µs | step over kernels | kernels a step |"
    yield "|---|---|---|---|---|---|---|"
    for result in results:
        if result.trace is None or not result.trace.longest_kernels or not result.rounds:
            continue
        trace, longest = result.trace, result.trace.longest_kernels[0]
        n_traced = trace.steps * trace.training_steps_per_step
        kernels_s = longest.total_s / longest.share / n_traced
        n_steps = result.protocol.epochs * -(-(result.cell.n_train or 0) // result.protocol.batch_size)
        step_s = fmean(each.train_s for each in result.rounds) / n_steps
        yield (
            f"| {result.id} | {result.pipeline} | {result.execution.mode} | {step_s * 1e6:.1f} | {kernels_s * 1e6:.1f} "
            f"| {step_s / kernels_s:.2f} | {trace.kernels_per_step / trace.training_steps_per_step:.1f} |"
        )


def main(files: Iterable[str]) -> None:
    """Print the table of all files. Raises Unusable."""
    for line in rows(result for file in files for result in read_run(Path(file)).results):
        print(line)


if __name__ == "__main__":
    main(sys.argv[1:])

"""The terminal's lines for benchmarks that time several things in turns, from records alone."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from nets.records.comparisons import Growth, SideBySide, TimedSide


def compared(records: Iterable[SideBySide]) -> list[str]:
    """A line for each side-by-side record: both sides' seconds, and their ratio."""
    lines = []
    for record in records:
        ratio = record.ratio
        interval = f"{ratio.low:.4f}–{ratio.high:.4f}" if ratio.low is not None else "too few pairs for an interval"
        sides = ", ".join(_side(side) for side in record.sides)
        lines.append(
            f"{record.id}: {record.of}: {ratio.median:.4f} "
            f"({interval}, {ratio.confidence:.0%}, {ratio.n} pairs; {sides}; "
            f"{record.device.type}: {record.device.name})"
        )
    return lines


def _side(side: TimedSide) -> str:
    how = f" on {side.execution.threads} threads" if side.execution is not None and side.execution.threads > 1 else ""
    return f"{side.name}{how} {median(side.seconds) * 1e3:.3f} ms a {side.per}"


def grown(records: Iterable[Growth]) -> list[str]:
    """A table for each sweep: by batch size, then by set size."""
    lines: list[str] = []
    for record in records:
        lines += [
            f"{record.id}, pipeline {record.pipeline}, {record.device.type}: {record.device.name}: the ceiling is "
            f"{record.ceiling_images_per_s:,.0f} images/s:",
            f"a large matrix product's {median(record.matmul_flop_per_s) / 1e9:,.0f} GFLOP/s "
            f"over {record.training_flop_per_image / 1e6:.2f} MFLOP an image",
            f"{'batch size':>10} {'set size':>9} {'mode':>6} {'threads':>7} {'ms a step':>10} {'images/s':>12} "
            f"{'of ceiling':>10}",
        ]
        lines += [
            f"{point.batch_size:>10,} {point.n_train:>9,} {point.mode:>6} {point.threads:>7} "
            f"{median(point.step_s) * 1e3:>10.3f} {point.images_per_s:>12,.0f} {record.share(point):>10.1%}"
            for point in (*record.by_batch_size, *record.by_set_size)
        ]
    return lines

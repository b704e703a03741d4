"""Cells for the tests of the charts: the suite's ten with their figures, on a CPU and on a GPU, and stranger ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

from nets.cells.catalog import CELLS, protocol_for
from nets.history.records import Change, ChangedCommit, History, JointChange, Line, Point, State
from nets.records.cell import Accuracy, Band, BandVerdict, CellFacts, Device, Network, Result, Round
from nets.records.gpu import LongKernel
from nets.records.predictions import Predictions
from nets.verdicts.depth import with_depth
from tests.support.records import one_round, record, seen_of_gpu, traced

# seconds of a round and their spread, accuracy and its spread, band, layers, parameters, multiply-accumulates
FIGURES = {
    "mnist-snn500": (1.24, 0.26, 0.9575, 0.0013, (0.9526, 0.9615), 2, 397_510, 397_000),
    "mnist-cnn3l": (7.39, 0.23, 0.9799, 0.0014, (0.9722, 0.9845), 3, 28_938, 2_838_080),
    "mnist-lenet5": (3.78, 0.22, 0.9693, 0.0032, (0.9605, 0.9783), 5, 61_706, 416_520),
    "cifar10-cnn3l": (17.01, 0.52, 0.5560, 0.0183, (0.5238, 0.5938), 3, 22_058, 2_228_800),
    "cifar10-lenet5": (15.46, 0.66, 0.5269, 0.0259, (0.4814, 0.5475), 5, 62_006, 651_720),
    "digits-snn500": (0.23, 0.01, 0.9602, 0.0042, (0.9492, 0.9717), 2, 397_510, 397_000),
    "digits-cnn3l": (1.65, 0.02, 0.9602, 0.0098, (0.9237, 0.9891), 3, 28_938, 2_838_080),
    "digits-lenet5": (0.76, 0.02, 0.9407, 0.0153, (0.9151, 0.9666), 5, 61_706, 416_520),
    "shapes-cnn3l": (3.22, 0.04, 0.9363, 0.0207, (0.9120, 0.9852), 3, 22_058, 2_228_800),
    "shapes-lenet5": (2.98, 0.02, 0.9487, 0.0076, (0.9128, 0.9734), 5, 62_006, 651_720),
}
HOSTILE = (
    "<script>alert(1)</script>",
    "it's \"quoted\" and 'single'",
    "a.b[c]\\d",
    "two\nlines\tand a tab",
    "\x1b[31mred\x1b[0m",
    "\u202eright to left\u2066",
    "datum['x'] + \"&amp;\" // ]]>",
    "n" * 300,
)
H200 = Device(type="cuda", name="NVIDIA H200", memory_total_bytes=150_000_000_000, compute_capability="9.0", n_sms=132)


def ten_cells(*, protocol: str = "quick", n_rounds: int = 3, gpu: bool = False, **changes: Any) -> tuple[Result, ...]:
    """The suite's ten cells, with verdicts on their depth; `changes`: fields that are the same in all."""
    rng = random.Random(18)
    cells = (_cell(cell.dataset, cell.model, protocol, n_rounds, rng, gpu, changes) for cell in CELLS)
    return tuple(with_depth(list(cells)))


def _cell(
    dataset: str, model: str, protocol_name: str, n: int, rng: random.Random, gpu: bool, changes: dict[str, Any]
) -> Result:
    time_s, spread_s, accuracy, spread, (low, high), layers, parameters, macs = FIGURES[f"{dataset}-{model}"]
    protocol = protocol_for(protocol_name, dataset).repeated(rounds=n)
    rounds = tuple(
        a_round(i, rng.gauss(time_s, spread_s), rng.gauss(accuracy, spread), protocol.epochs, rng) for i in range(n)
    )
    mean = sum(each.accuracy for each in rounds) / n
    verdict: BandVerdict = "below" if mean < low else "above" if mean > high else "inside"
    values: dict[str, Any] = {
        "rounds": rounds,
        "protocol": protocol,
        "network": Network(parameters=parameters, layers=layers, hidden_layers=layers - 1, macs_per_image=macs),
        "band": Band(low=low, high=high, n=20, alpha=0.001, verdict=verdict),
        "band_missing_because": None,
    }
    if gpu:
        values |= {
            "device": H200,
            "gpu_missing_because": None,
            "gpu": seen_of_gpu(utilization_pct=40 + 50 * rng.random(), sm_utilization_pct=5 + 30 * rng.random()),
            "trace_missing_because": None,
            "trace": traced(
                gpu_utilization_pct=30 + 60 * rng.random(), sm_efficiency_pct=2 + 20 * rng.random(),
                achieved_occupancy_pct=10 + 40 * rng.random(), longest_kernels=kernels(),
            ),
        }  # fmt: skip
    return record(dataset, model, **{**values, **changes})


def a_round(seed: int, time_s: float, accuracy: float, n_epochs: int, rng: random.Random, **changes: Any) -> Round:
    """A round whose loss falls, and whose accuracy in training rises to that of the test."""
    parts = [(i + 1) / n_epochs for i in range(n_epochs)]
    values: dict[str, Any] = {
        "train_s": 0.9 * time_s,
        "eval_s": 0.1 * time_s,
        "accuracy": min(accuracy, 1.0),
        "train_loss": tuple(2.3 * (1 - accuracy * part**0.3) * rng.gauss(1, 0.03) for part in parts),
        "train_accuracy": tuple(min(1.0, accuracy * part**0.2 * rng.gauss(1, 0.01)) for part in parts),
        **changes,
    }
    return one_round(seed=seed, **values)


def kernels() -> tuple[LongKernel, ...]:
    """Ten kernels, with names as long as they are."""
    names = (
        "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, std::array<char*, 3ul>>",
        "void cudnn::engines_precompiled::nchwToNhwcKernel<float, float, float, false, true, (cudnnKernelDataType_t)2>",
        "sm80_xmma_fprop_implicit_gemm_tf32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize128x64x16_stage4_warpsize2x2x1",
        "void at::native::(anonymous namespace)::max_pool_backward_nhwc<float, float>(float const*, long const*)",
        "cutlass_80_simt_sgemm_64x64_8x5_tn_align1",
        *(f"kernel_{i}" for i in range(5)),
    )
    shares = (0.24, 0.17, 0.12, 0.09, 0.08, 0.07, 0.05, 0.04, 0.03, 0.02)
    return tuple(
        LongKernel(name=name, n=100 * (i + 1), total_s=share * 0.008, share=share)
        for i, (name, share) in enumerate(zip(names, shares, strict=True))
    )


def renamed(results: tuple[Result, ...], names: tuple[str, ...]) -> tuple[Result, ...]:
    """The cells under other names of networks, with verdicts on their depth as before."""
    return tuple(
        each.replace(cell=CellFacts(**{**each.cell.model_dump(), "model": name}))
        for each, name in zip(results, names, strict=False)
    )


def thirty_cells() -> tuple[Result, ...]:
    """Thirty networks on one data set, with names of up to 40 characters."""
    of_digits = [each for each in ten_cells() if each.cell.dataset == "digits"]
    names = [f"network_{i:02d}_{'with_a_long_name_and_more'[: i % 26]}" for i in range(30)]
    rng = random.Random(3)
    made = []
    for i, name in enumerate(names):
        each = of_digits[i % 3]
        factor = rng.lognormvariate(0, 0.7)
        rounds = tuple(
            r.replace(train_s=r.train_s * factor, accuracy=max(0.0, r.accuracy - 0.2 * rng.random()))
            for r in each.rounds
        )
        cell = CellFacts(**{**each.cell.model_dump(), "model": name})
        accuracy = Accuracy.of(r.accuracy for r in rounds)
        made.append(
            each.replace(
                cell=cell, rounds=rounds, accuracy=accuracy, band=None, band_missing_because="no reference runs"
            )
        )
    reference = next(each for each in of_digits if each.cell.model == "lenet5")
    return tuple(with_depth([*made[:29], reference]))


def diverged(result: Result) -> Result:
    """The cell, its second round without a finite loss from its third epoch on."""
    first, second, *others = result.rounds
    losses = (*second.train_loss[:2], *(None for _ in second.train_loss[2:]))
    return result.replace(rounds=(first, second.replace(train_loss=losses, loss=None), *others))


def unfinished() -> tuple[Result, ...]:
    """Cells that ended early: before the first round, without a network, without anything to compare."""
    nothing = {"network": None, "rounds": (), "accuracy": None, "depth": None, "cpu": None}
    return (
        record("mnist", "snn500", **nothing),
        record("mnist", "cnn3l", depth=None),
        record("mnist", "lenet5", rounds=(one_round(train_loss=(None,), train_accuracy=(0.1,), loss=None),)),
    )


def confused(n: int, names: tuple[str, ...] | None = None) -> Predictions:
    """What a network predicted of images of `n` classes, most of them correctly."""
    rng = random.Random(n)
    counts = [[0] * n for _ in range(n)]
    for label in range(n):
        for _ in range(50):
            counts[label][label if rng.random() < 0.9 else rng.randrange(n)] += 1
    return Predictions(
        seed=2, n_classes=n, class_names=names, confusion=tuple(map(tuple, counts)), train=(), test=(), mistakes=()
    )


def line_of(cell: str, metric: str, values: Sequence[float], *, changes_at: Sequence[int] = (), **changes: Any) -> Line:
    """A line of a history, a commit a day, every ninth of disturbed rounds; `changes_at`: where levels begin."""
    points = tuple(
        Point(
            place=i, commit=f"{(i * 7_919 + 13) % 10_007:07x}{i:033d}", dirty=False, value=value, std=None, n_runs=1,
            time=(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=i)).isoformat(), n_values=3, disturbed=i % 9 == 1,
        )
        for i, value in enumerate(values)
    )  # fmt: skip
    ends = [0, *changes_at, len(values)]
    levels = [median(values[a:b]) for a, b in pairwise(ends)]
    found = tuple(
        Change(
            begins=points[at].commit, time=points[at].time, since=points[at - 1].commit, index=at, before=levels[i],
            after=levels[i + 1], effect=levels[i + 1] / levels[i] - 1, p=0.001,
            direction="worse" if levels[i + 1] > levels[i] else "better",
        )
        for i, at in enumerate(changes_at)
    )  # fmt: skip
    unit = {"accuracy": "fraction", "rss_peak_bytes": "bytes"}.get(metric, "s")
    state: State = "tested" if len(values) >= 12 else "too few"
    line = Line(cell=cell, metric=metric, unit=unit, worse="more", under=(), state=state, points=points, changes=found)
    return line.replace(**changes)


def history_of(*lines: Line, subject: str = "Sleep in every step") -> History:
    """The lines as a history, whose changed commits all have this subject."""
    commits = {change.begins: change for line in lines for change in line.changes}
    changed = tuple(
        ChangedCommit(
            begins=begins, time=change.time, dirty=False, subject=subject,
            changes=(
                JointChange(
                    cell="x", metric="x", under=(), since=change.since, before=1, after=2, effect=1, direction=None,
                    disturbed=False, parts=(),
                ),
            ),
        )
        for begins, change in commits.items()
    )  # fmt: skip
    n = max(len(line.points) for line in lines)
    return History(
        topological=True, n_files=n, n_commits=n, first="2026-01-01", last="2026-12-31", passed_over=(), notes=(),
        lines=lines, changed_commits=changed,
    )  # fmt: skip

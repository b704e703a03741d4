"""A small valid record, for tests of what is made from records."""

from __future__ import annotations

from typing import Any, Literal

from nets.cells.catalog import protocol_for
from nets.records.cell import Accuracy, CellFacts, Cpu, Depth, Device, Execution, Network, Outcome, Result, Round, Where
from nets.records.comparisons import Growth, SideBySide, ThroughputPoint, TimedSide, ratio_of
from nets.records.gpu import GPU_FIGURES, Gpu, Missing, Trace

EXECUTION = Execution(
    mode="eager", memory_format="channels_last", tf32_products=None, tf32_convolutions=None, evaluation_batch_size=500,
    threads=1, wait_policy="passive",
)  # fmt: skip


def one_round(seed: int = 0, **changes: Any) -> Round:
    """A round that took 2 s."""
    values: dict[str, Any] = {
        "seed": seed, "setup_s": 0.1, "train_s": 1.5, "eval_s": 0.5, "accuracy": 0.9, "loss": 0.3, "train_loss": (0.5,),
        "train_accuracy": (0.8,), "others_cpu_s": 0.0, "disturbed": False,
    }  # fmt: skip
    return Round(**{**values, **changes})


def seen_of_gpu(window: Literal["timed", "soak"] = "timed", reasons: tuple[str, ...] = (), **figures: Any) -> Gpu:
    """What was seen of a GPU: the given figures, and why the others are missing."""
    return Gpu(
        window=window,
        window_s=4.0,
        missing=tuple(Missing(figure=name, because="not asked") for name in GPU_FIGURES if name not in figures),
        valid=not reasons,
        reasons=reasons,
        **figures,
    )


def traced(**changes: Any) -> Trace:
    """What a profile gave."""
    values: dict[str, Any] = {
        "gpu_utilization_pct": 61.23, "sm_efficiency_pct": 7.5, "achieved_occupancy_pct": 0.456,
        "achieved_occupancy_rounded_pct": 0.0, "steps": 6, "training_steps_per_step": 1, "kernels_per_step": 20.5,
        "window_s": 0.01, "longest_kernels": (),
    }  # fmt: skip
    return Trace(**{**values, **changes})


def record(dataset: str = "mnist", model: str = "lenet5", **changes: Any) -> Result:
    """A passed cell of one round on a CPU; its accuracy is that of its rounds."""
    rounds = changes.get("rounds", (one_round(),))
    values: dict[str, Any] = {
        "cell": CellFacts(model=model, dataset=dataset, n_train=60_000, n_test=10_000, data_sha256="0" * 64),
        "protocol": protocol_for("quick", "mnist").repeated(rounds=1),
        "pipeline": "resident",
        "execution": EXECUTION,
        "device": Device(type="cpu", name="a CPU"),
        "where": Where(host="a host", worker=None, n_workers=1, n_cores=2),
        "network": Network(parameters=61_706, layers=5, hidden_layers=4, macs_per_image=416_520),
        "rounds": rounds,
        "accuracy": Accuracy.of(round_.accuracy for round_ in rounds) if rounds else None,
        "band": None,
        "band_missing_because": "no reference runs",
        "gpu": None,
        "gpu_missing_because": "ran on the CPU",
        "trace": None,
        "trace_missing_because": "not taken",
        "cpu": Cpu(core_s=1.9, rss_peak_bytes=1_000_000),
        "depth": Depth(classical="deep", cost_aware=None, criteria=None, reference=None, because="4 hidden layers"),
        "outcome": Outcome(status="passed"),
    }  # fmt: skip
    return Result(**{**values, **changes})


_SIDES = tuple(
    TimedSide(name=name, execution=EXECUTION, per="step", seconds=seconds)
    for name, seconds in (("a", (1.0, 2.0)), ("b", (2.0, 2.0)))
)
SIDE_BY_SIDE = SideBySide(
    of="a over b",
    cell=record().cell,
    protocol=record().protocol,
    device=record().device,
    where=record().where,
    sides=(_SIDES[0], _SIDES[1]),
    ratio=ratio_of(_SIDES[0].seconds, _SIDES[1].seconds),
)
GROWTH = Growth(
    cell=record().cell,
    protocol=record().protocol,
    pipeline="resident",
    device=record().device,
    where=record().where,
    training_flop_per_image=1_000,
    matmul_flop_per_s=(1e9, 2e9),
    matmul_tf32=False,
    by_batch_size=(ThroughputPoint(batch_size=32, n_train=100, mode="eager", threads=1, step_s=(0.1, 0.2)),),
    by_set_size=(),
)

"""The same cell in other people's tools, in turns with the resident pipeline. Run it with `-m nets_peers`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from nets.typing import Cell, CellRun, Data, Options, Protocol, SideBySide, Turns

if TYPE_CHECKING:
    import torch

    from nets.measuring.comparisons import Turn


PAIRS = 12


def peer(name: str, run: CellRun, n_steps: int) -> tuple[str, Turn]:
    """A peer's name with its version, and its blocks of steps; skips where it is not installed."""
    if name != "lightning":
        pytest.importorskip("optax", reason="the peers are not installed: pip install -e '.[peers]'")
        from benchmarks.peers.jax_peer import NAME, PLATFORM, JaxSteps

        ours = {"cuda": "gpu"}.get(run.device.type, run.device.type)
        if ours != PLATFORM:
            pytest.skip(
                f"JAX runs on the {PLATFORM} here, and torch on the {ours}: pip install 'jax[cuda13]' for a GPU"
            )
        return f"{NAME}, {name.partition('-')[2]}", JaxSteps(run, n_steps, scanned=name == "jax-scan")
    pytest.importorskip("lightning", reason="the peers are not installed: pip install -e '.[peers]'")
    from benchmarks.peers.lightning_peer import NAME as LIGHTNING
    from benchmarks.peers.lightning_peer import LightningSteps

    return LIGHTNING, LightningSteps(run, n_steps)


@pytest.mark.nets_peers
@pytest.mark.parametrize("name", ["jax-scan", "jax-stepwise", "lightning"])
def test_peers(
    benchmark: BenchmarkFixture,
    name: str,
    cell: Cell,
    protocol: Protocol,
    data: Data,
    device: torch.device,
    nets_options: Options,
    side_by_side: Callable[[Turns, str], SideBySide],
) -> None:
    """Time blocks of steps of a peer and of ours in turns; the ratio is the peer's step over ours."""
    from nets.measuring.comparisons import Turns, block, steps_of_a_block
    from nets.training.pipelines import PIPELINES
    from nets.training.run import CellRun

    n_steps = steps_of_a_block(protocol.batch_size)
    pipeline = PIPELINES["resident"]
    run = CellRun(cell, protocol, pipeline, data, pipeline.loaders(data, protocol, device), device)
    called, theirs = peer(name, run, n_steps)
    with block(run, n_steps) as ours:
        turns = Turns({called: theirs, "resident": ours})
        benchmark.pedantic(turns.pair, rounds=nets_options.rounds or PAIRS, iterations=1)
        side_by_side(turns, f"a step of {called} over one of the resident pipeline")

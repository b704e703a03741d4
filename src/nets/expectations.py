"""What the suite itself expects of a cell: its accuracy in its band, its network as published."""

from __future__ import annotations

import pytest

from nets.cells.catalog import Cell
from nets.records.cell import Result


class AccuracyInBand:
    """Every loss finite, and the mean accuracy inside the band, where there is one."""

    @pytest.hookimpl
    def pytest_nets_check(self, result: Result) -> list[str]:
        """Name the seeds that diverged, or the side on which the accuracy left its band."""
        diverged = [str(round_.seed) for round_ in result.rounds if round_.diverged]
        if diverged:
            return [f"{result.id}: diverged: a loss was not finite with seed {', '.join(diverged)}"]
        band, accuracy = result.band, result.accuracy
        if band is None or accuracy is None or band.verdict == "inside":
            return []
        meaning = {
            "below": "a broken training looks like this",
            "above": "test images in the training set look like this",
        }
        return [
            f"{result.id}: mean accuracy {accuracy.mean:.4f} of {len(result.rounds)} rounds is {band.verdict} its band "
            f"[{band.low:.4f}, {band.high:.4f}] ({band.n} reference runs, alpha {band.alpha:g}): "
            f"{meaning[band.verdict]}"
        ]


class NetworkAsPublished:
    """Layers, parameters and the classical verdict as the registry expects them."""

    @pytest.hookimpl
    def pytest_nets_check(self, cell: Cell, result: Result) -> list[str]:
        """Name each of the three that differs."""
        if cell.expected is None or result.network is None or result.depth is None:
            return []
        pairs = (
            ("layers", result.network.layers, cell.expected.layers),
            ("parameters", result.network.parameters, cell.expected.parameters),
            ("classical depth", result.depth.classical, cell.expected.classical),
        )
        return [
            f"{result.id}: {what}: expected {_grouped(expected)}, found {_grouped(found)}"
            for what, found, expected in pairs
            if expected is not None and found != expected
        ]


def _grouped(value: int | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"

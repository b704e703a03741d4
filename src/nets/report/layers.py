"""A network's modules, one by one, as a table for a terminal."""

from __future__ import annotations

from rich.text import Text

from nets.records.cell import Layer, Network
from nets.report.document import Grid, terminal_lines
from nets.report.text import ABSENT, plain

HEADINGS = ("layer", "kind", "output", "parameters", "multiply-\naccumulates", "longest\npath")


def layer_lines(network: Network, *, width: int, color: bool) -> list[str]:
    """The table, with the sums below: what lies on the longest path is bold, and numbered by the network's layers."""
    table = Grid(HEADINGS, right=HEADINGS[3:5])
    n_before = 0
    for layer in network.table:
        table.add_row(*map(plain, _row(layer, n_before)), style="bold" if layer.on_longest_path else "dim")
        n_before += layer.on_longest_path
    sums = [f"{sum(getattr(layer, name) for layer in network.table):,}" for name in ("parameters", "macs_per_image")]
    table.add_row("", "", "", *sums, f"{n_before} layers")
    parts: list[Text | Grid] = [table]
    return terminal_lines(parts, width=width, color=color)


def _row(layer: Layer, n_before: int) -> tuple[str, ...]:
    """`n_before`: the layers of the rows above."""
    first, last = n_before + 1, n_before + layer.on_longest_path
    on_path = "" if last < first else str(first) if last == first else f"{layer.on_longest_path} of them"
    return (
        layer.name or "(the network itself)",
        layer.kind,
        ABSENT if layer.output is None else "x".join(map(str, layer.output)) or "a number",
        f"{layer.parameters:,}" if layer.parameters else "",
        f"{layer.macs_per_image:,}" if layer.macs_per_image else "",
        on_path,
    )

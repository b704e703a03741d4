"""A network's modules, one by one, as a table."""

from __future__ import annotations

from nets.records.cell import Layer, Network
from nets.report.document import Row, Table, row, table
from nets.report.text import ABSENT

HEADINGS = ("layer", "kind", "output", "parameters", "multiply-\naccumulates", "longest\npath")


def layer_table(network: Network) -> Table:
    """With the sums below: what lies on the longest path is strong, and numbered by the network's layers."""
    rows: list[Row] = []
    n_before = 0
    for layer in network.table:
        rows.append(row(_cells(layer, n_before), "strong" if layer.on_longest_path else "dim"))
        n_before += layer.on_longest_path
    sums = [f"{sum(getattr(layer, name) for layer in network.table):,}" for name in ("parameters", "macs_per_image")]
    rows.append(row(("", "", "", *sums, f"{n_before} layers")))
    return table(HEADINGS, rows, right=HEADINGS[3:5])


def _cells(layer: Layer, n_before: int) -> tuple[str, ...]:
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

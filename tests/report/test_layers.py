"""A network's modules as a table."""

from __future__ import annotations

from nets.records.cell import Layer, Network
from nets.report.layers import layer_table
from nets.report.terminal import terminal_lines

TABLE = (
    Layer(name="first", kind="Conv2d", output=(6, 24, 24), parameters=156, macs_per_image=86_000, on_longest_path=1),
    Layer(name="side", kind="Linear", output=(10,), parameters=20, macs_per_image=20, on_longest_path=0),
    Layer(name="rows", kind="LSTM", output=None, parameters=1_000, macs_per_image=28_000, on_longest_path=28),
    Layer(name="", kind="Net\x1b[31m", output=(), parameters=0, macs_per_image=4, on_longest_path=1),
)
NETWORK = Network(parameters=1_176, layers=30, hidden_layers=29, macs_per_image=114_024, table=TABLE)


def test_the_table() -> None:
    """Each module has its shape, size and place on the longest path; the sums are the network's; nothing is obeyed."""
    lines = [" ".join(line.split()) for line in terminal_lines([layer_table(NETWORK)], width=80, color=False)]
    assert lines[1:3] == ["multiply- longest", "layer kind output parameters accumulates path"]
    assert lines[4:] == [
        "first Conv2d 6x24x24 156 86,000 1",
        "side Linear 10 20 20",
        "rows LSTM – 1,000 28,000 28 of them",
        "(the network itself) Net�[31m a number 4 30",
        "1,176 114,024 30 layers",
    ]


def test_what_is_on_the_path_is_marked() -> None:
    """In colour the longest path is bold, and the rest dim."""
    lines = terminal_lines([layer_table(NETWORK)], width=80, color=True)
    assert "\x1b[1m" in next(line for line in lines if "first" in line)
    assert "\x1b[2m" in next(line for line in lines if "side" in line)

"""A network's modules as a table."""

from __future__ import annotations

from nets.records.cell import Layer, Network
from nets.records.comparisons import LayerTimes, ModuleTime, PartOfStep
from nets.report.layers import layer_table, layer_times
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
    lines = [" ".join(line.split()) for line in terminal_lines([layer_table(NETWORK)], width=None, color=False)]
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
    lines = terminal_lines([layer_table(NETWORK)], width=None, color=True)
    assert "\x1b[1m" in next(line for line in lines if "first" in line)
    assert "\x1b[2m" in next(line for line in lines if "side" in line)


LONG = "features.denseblock4.denselayer16.norm1"
TIMES = LayerTimes(
    n_steps=10,
    batch_size=4,
    clock="host",
    step_s=0.010,
    unprofiled_step_s=0.008,
    modules=(
        ModuleTime(name="", kind="Net\x1b[31m", forward_s=0.0005, backward_s=0.0),
        ModuleTime(name="first", kind="Conv2d", forward_s=0.001, backward_s=0.002),
        ModuleTime(name=LONG, kind="NonDynamicallyQuantizableLinear", forward_s=0.001, backward_s=0.003),
    ),
    loss=PartOfStep(forward_s=0.0001, backward_s=0.0004),
    optimizer_s=0.001,
    rest=PartOfStep(forward_s=0.0, backward_s=0.001),
    unseen=("rows",),
)


def told(times: LayerTimes, width: int | None = None) -> list[str]:
    """The table and what stands below it."""
    return terminal_lines(layer_times(NETWORK, times), width=width, color=False)


def test_the_times() -> None:
    """Each module has its times and its share of the step, what takes no part an empty place; the columns add up."""
    lines = told(TIMES)
    table = [" ".join(line.split()) for line in lines if line.startswith(" ")]
    assert table[3:] == [
        "(the network itself) Net�[31m 0.500 5.0%",
        "first Conv2d 1.000 2.000 30.0%",
        "…denselayer16.norm1 NonDynamicallyQu… 1.000 3.000 40.0%",
        "side Linear",
        "rows LSTM",
        "loss 0.100 0.400 5.0%",
        "the rest 1.000 10.0%",
        "optimizer 10.0%",
        "2.600 6.400 100.0%",
    ]
    assert max(len(line) for line in lines if line.startswith(" ")) <= 80
    assert [line for line in lines if line and not line.startswith(" ")] == [
        "Medians of 10 training steps of 4 images under torch's profiler, whose own work is in them: a step took "
        "10.000 ms, and 8.000 ms without it.",
        "Not called as modules, so that their time is in what encloses them: rows",
    ]


def test_times_of_kernels() -> None:
    """On a GPU it is said that these are the kernels' times, and what the step takes beside them."""
    lines = told(TIMES.replace(clock="kernels"))
    assert any(
        "the GPU's kernels and copies, 10.000 ms of a step that takes 8.000 ms without the prof" in x for x in lines
    )


def test_steps_that_were_interrupted() -> None:
    """Parts that add up to far less than a step say so."""
    lines = told(TIMES.replace(step_s=0.020))
    assert "The parts add up to 50% of a step only: other work on this machine interrupted the steps." in lines

"""What the person sees at the end, and while a cell trains."""

from __future__ import annotations

from typing import Any

import pytest

from nets.cells.catalog import CELLS, protocol_for
from nets.plugin.terminal import Place, progress_text
from nets.records.cell import Accuracy, Depth, Device, Outcome, Result
from nets.records.gpu import Gpu
from nets.report.document import Sentence
from nets.report.run import not_run, run_parts
from nets.report.terminal import terminal_lines
from nets.training.trainer import Pass
from tests.support.records import one_round, record, seen_of_gpu, traced

ARTICLE = record().protocol.model_copy(update={"name": "article", "epochs": 20})


def rendered(*results: Result) -> str:
    """The summary without colours."""
    return "\n".join(terminal_lines(run_parts(results), width=None, color=False))


def test_the_article_s_table() -> None:
    """A row has the article's columns; beside its protocol alone the article's own figures, for its own cells."""
    text = rendered(
        record(
            protocol=ARTICLE,
            rounds=(one_round(), one_round(1)),
            accuracy=Accuracy(mean=0.98, std=0.001, min=0.9, max=1.0),
            trace=traced(),
        ),
        record(dataset="digits"),
    )
    ours, embedded = (line.split() for line in text.splitlines() if " lenet5 " in line)
    assert ours[:4] == ["mnist", "lenet5", "5", "61,706"]
    assert ours[4:] == [
        "2.00",
        "0.9800",
        "±",
        "0.0010",
        "deep",
        "61.23",
        "%",
        "passed",
        "199.33",
        "0.9891",
        "2.39",
        "%",
    ]
    assert embedded[-1] == "passed"
    assert "article:" in text
    of_quick = rendered(record())
    assert "article:" not in of_quick
    assert "mnist: one epoch, batches of 100, learning rate 0.001 against 20 epochs" in of_quick


BROKEN: dict[str, Any] = {
    "rounds": (), "accuracy": None, "network": None, "depth": None,
    "outcome": Outcome(status="error", failures=("out of memory",)),
}  # fmt: skip


def test_failures_are_listed() -> None:
    """What failed stands below the table in full, and a cell without rounds has dashes, not zeros, and says why."""
    text = rendered(record(**BROKEN), record(model="snn500"))
    row = next(line for line in text.splitlines() if "lenet5" in line)
    assert row.split() == ["mnist", "lenet5", *5 * ["–"], "error"]
    assert "error: out of memory" in text
    because = "layers, parameters, time, accuracy, type by both definitions: the cell was not finished"
    assert f"mnist-lenet5: {because}" in text


def test_columns_without_a_figure() -> None:
    """A column in which nothing was measured is left out, with the article's beside it, and a sentence says why."""
    text = rendered(record(), record(model="snn500"))
    assert "GPU util." not in text
    assert "\nGPU utilization not measured: not taken" in text
    text = rendered(record(**BROKEN))
    assert [line.split() for line in text.splitlines()[2:5:2]] == [
        ["dataset", "network", "outcome"],
        ["mnist", "lenet5", "error"],
    ]


def test_undecided_has_its_reason() -> None:
    """Of cells that are undecided, or without a verdict by cost, a sentence says why, once for all with one reason."""
    undecided = Depth(
        classical="deep", cost_aware="undecided", criteria=None, reference="mnist-lenet5", because="time: 1.0 (0.8–1.2)"
    )
    neither = Depth(
        classical=None, cost_aware=None, criteria=None, reference=None, because="layers not counted: a loop"
    )
    cells = [record(model=name, depth=undecided) for name in ("a", "b")]
    text = rendered(*cells, record(model="c", depth=neither), record(model="d"))
    assert "mnist-a, mnist-b: type by cost undecided: time: 1.0 (0.8–1.2)\n" in text
    assert "mnist-c: no type: layers not counted: a loop\n" in text
    assert "mnist-d: no type by cost: 4 hidden layers" in text


def test_disturbed_cells_are_named() -> None:
    """A cell that was disturbed while it was timed is named."""
    assert "disturbed by other processes while timed: mnist-lenet5" in rendered(
        record(rounds=(one_round(disturbed=True),))
    )
    assert "disturbed" not in rendered(record())


def test_cells_that_did_not_run() -> None:
    """Cells that did not run for the same reason share a line; without any result there is no table."""
    missing = [("mnist-a", "no data"), ("mnist-b", "no data"), ("digits-c", "interrupted")]
    texts = [part.text for part in not_run(missing) if isinstance(part, Sentence)]
    assert texts == ["not run: mnist-a, mnist-b: no data", "not run: digits-c: interrupted"]
    assert run_parts([]) == []


def test_markup_in_a_record_is_text() -> None:
    """A record's text can't colour the terminal."""
    assert "[red]x[/red]" in rendered(record(outcome=Outcome(status="failed", failures=("[red]x[/red]",))))


def test_markup_in_a_heading_is_text() -> None:
    """A data set's and a network's name, which head a table, are no markup either."""
    seen = record(**{**on_gpu(seen_of_gpu()), "dataset": "[bold]set[/bold]", "model": "[link=http://e.vil]x[/link]"})
    text = "\n".join(terminal_lines(run_parts([seen]), width=None, color=False))
    assert "GPU summary: [bold]set[/bold]   [link=http://e.vil]x[/link]" in text


@pytest.mark.parametrize(
    ("place", "before", "left"),
    [
        (Place(1, 1), "", "left 1:00"),
        (Place(1, 5), "cell 1 of 5  ", "left 1:00"),
        (Place(2, 5, (40.0,)), "cell 2 of 5  ", "left 1:00, all cells about 3:00"),
        (Place(4, 5, (40.0, 20.0, 30.0)), "cell 4 of 5  ", "left 1:00, all cells about 1:30"),
        (Place(5, 5, (40.0, 20.0, 30.0, 10.0)), "cell 5 of 5  ", "left 1:00"),
    ],
)
def test_progress(place: Place, before: str, left: str) -> None:
    """The line says cell, round, epoch and the time left; that of all cells once one has shown what it takes."""
    protocol, trained = protocol_for("article", "mnist"), Pass(loss=0.25, accuracy=0.5)
    line = progress_text(CELLS[0], protocol, n_round=1, n_epoch=9, trained=trained, elapsed_s=60, place=place)
    assert line == f"{before}mnist-snn500  round 2/3  epoch 10/20  {left}  loss 0.2500  accuracy 0.5000"


H200 = Device(type="cuda", name="NVIDIA H200", memory_total_bytes=140 * 2**30, compute_capability="9.0", n_sms=132)


def on_gpu(seen: Gpu, **changes: Any) -> dict[str, Any]:
    """The parts of a record of a cell on a GPU."""
    return {"device": H200, "gpu": seen, "gpu_missing_because": None, **changes}


def test_the_gpu_summary() -> None:
    """Like the article's: GPU, memory, capability, the three figures, a column a network, and the article's own."""
    seen = seen_of_gpu("soak", utilization_pct=93.0, energy_per_step_j=0.0123, power_w=150.0)
    of: dict[str, Any] = {
        "device": H200,
        "gpu": seen,
        "trace": traced(leftover_share=0.125),
        "gpu_missing_because": None,
        "trace_missing_because": None,
    }
    lines = rendered(record(model="snn500", protocol=ARTICLE, **of), record(protocol=ARTICLE, **of)).splitlines()
    rows = {" ".join(line.split()[:4]): line.split() for line in lines}
    start = next(i for i, line in enumerate(lines) if "GPU summary: mnist" in line)
    assert lines[start].split()[-2:] == ["snn500", "lenet5"]
    after = "\n".join(lines[start:])
    for expected in (
        "NVIDIA H200",
        "140.00 GiB",
        "9.0",
        "61.23 %",
        "7.50 %",
        "0.46 %",
        "12.50 %",
        "93.00 %",
        "0.0123 J",
        "147.6 J",
        "soak",
    ):
        assert expected in after
    assert rows["the article's, Tesla K80"][-4:] == ["0.84", "%", "2.39", "%"]
    assert "\n NVML: DRAM" not in after  # a row that no cell has a figure for
    assert "NVML: DRAM bandwidth (GPM), " in after  # but the reason is told


def test_figures_that_are_not_fit() -> None:
    """A spoilt figure is marked wherever it stands, and the reason and what is absent are said once for all cells."""
    spoilt = seen_of_gpu(reasons=("another process is on the GPU",), utilization_pct=93.0)
    of: dict[str, Any] = {
        "device": H200,
        "gpu": spoilt,
        "gpu_missing_because": None,
        "trace_missing_because": "--no-trace",
    }
    text = rendered(record(model="snn500", **of), record(**of))
    assert text.count("93.00 % !") == 2
    assert "! not fit for comparison: another process is on the GPU (mnist-snn500, mnist-lenet5)" in text
    assert "no trace: --no-trace (mnist-snn500, mnist-lenet5)" in text
    of["trace"] = traced(events_left_out=2, left_out_because="event 7 has no device")
    assert "trace: 2 events left out: event 7 has no device (mnist-lenet5)" in rendered(record(**of))


def test_no_gpu_no_summary() -> None:
    """On a CPU there is no GPU summary."""
    assert "GPU summary" not in rendered(record())

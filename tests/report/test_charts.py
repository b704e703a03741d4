"""Charts: every one valid, of every kind of record, and with the record's own figures."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from statistics import median
from typing import Any

import pytest
from jsonschema import Draft7Validator

from nets.records.cell import Outcome, Result
from nets.records.run import Harness
from nets.report.charts.bands import bands_chart
from nets.report.charts.compared import compared_chart
from nets.report.charts.confusion import confusion_chart, confusion_charts
from nets.report.charts.cost import cost_charts
from nets.report.charts.curves import curves_charts
from nets.report.charts.depth import depth_chart
from nets.report.charts.gpu import gpu_chart
from nets.report.charts.harness import harness_chart
from nets.report.charts.history import history_charts
from nets.report.charts.kernels import kernel_charts
from nets.report.charts.rounds import rounds_chart
from nets.report.charts.style import looks, slug, thinned
from nets.report.document import SHADES, Cell, Chart
from tests.support import drawn
from tests.support.gating import judged, run
from tests.support.records import record

HARNESS = Harness(
    wall_s=100.0, timed_s=80.0, import_s=4.0, data_s=8.0, setup_s=2.0, soak_s=0.0, trace_s=0.01, other_s=5.99
)  # fmt: skip


def of_run(results: Sequence[Result], harness: Harness | None = None) -> list[Chart]:
    """Every chart of a run."""
    single = (depth_chart(results), rounds_chart(results), bands_chart(results), gpu_chart(results))
    several = (curves_charts, cost_charts, kernel_charts)
    made = [*single, *(chart for charts in several for chart in charts(results)), *confusion_charts(results).values()]
    made += [harness_chart(harness)] if harness is not None else []
    return [chart for chart in made if chart is not None]


def hostile() -> list[Chart]:
    """Every chart, of names that are no names; the kernels and the classes of one cell have them all."""
    cells = drawn.renamed(drawn.ten_cells(gpu=True), (*drawn.HOSTILE, "lenet5", "x"))
    named = zip(drawn.kernels(), drawn.HOSTILE, strict=False)
    kernels = tuple(kernel.replace(name=name) for kernel, name in named)
    first, *others = cells
    assert first.trace is not None
    first = first.replace(
        trace=first.trace.replace(longest_kernels=kernels), predictions=drawn.confused(8, drawn.HOSTILE)
    )  # fmt: skip
    cells = (first, *map(without_kernels, others))
    steps = [1.0] * 8 + [2.0] * 8
    lines = [drawn.line_of(f"digits-{name}", "total_s", steps, changes_at=[8]) for name in drawn.HOSTILE[:3]]
    history = drawn.history_of(*lines, subject=drawn.HOSTILE[0])
    compared = compared_chart(judged(run(*cells), run(*cells)))
    return [*of_run(cells, HARNESS), *history_charts(history, lines), *([compared] if compared else [])]


def without_kernels(result: Result) -> Result:
    """The cell, of whose trace no single kernel is known: a chart fewer."""
    return result if result.trace is None else result.replace(trace=result.trace.replace(longest_kernels=()))


def of_history() -> list[Chart]:
    """A cell with few commits and one with many, with changes near each other, and one of one commit."""
    rng = random.Random(1)
    values = [2 * rng.gauss(1, 0.01) for _ in range(24)]
    many = [0.5 * rng.gauss(1, 0.02) * (1.2 if i > 150 else 1) for i in range(400)]
    lines = [
        drawn.line_of(
            "mnist-lenet5", "total_s", [*values[:12], *(1.1 * each for each in values[12:])], changes_at=[12]
        ),
        drawn.line_of("mnist-lenet5", "accuracy", [0.97 + each / 1_000 for each in values], changes_at=[3, 5, 7, 22]),
        drawn.line_of("digits-cnn3l", "rss_peak_bytes", [each * 1e9 for each in many], changes_at=[151]),
        drawn.line_of("shapes-cnn3l", "total_s", [1.0]),
    ]
    return history_charts(drawn.history_of(*lines), lines)


CASES = {
    "ten cells": lambda: of_run(
        [each if i else each.replace(predictions=drawn.confused(10)) for i, each in enumerate(drawn.ten_cells())],
        HARNESS,
    ),
    "the article's protocol": lambda: of_run(drawn.ten_cells(protocol="article")),
    "one cell": lambda: of_run([record()]),
    "one round": lambda: of_run(drawn.ten_cells(n_rounds=1)),
    "diverged": lambda: of_run([drawn.diverged(each) for each in drawn.ten_cells(protocol="article")]),
    "unfinished": lambda: of_run(drawn.unfinished()),
    "a GPU": lambda: of_run([without_kernels(each) if i else each for i, each in enumerate(drawn.ten_cells(gpu=True))]),
    "thirty cells": lambda: of_run(drawn.thirty_cells()),
    "many rounds": lambda: of_run(drawn.ten_cells(n_rounds=400)[:2]),
    "many classes": lambda: of_run(
        [record(predictions=drawn.confused(100)), record("shapes", predictions=drawn.confused(26))]
    ),
    "names that are none": hostile,
    "compared": lambda: [
        chart
        for chart in [compared_chart(judged(run(*drawn.ten_cells()), run(*drawn.ten_cells(n_rounds=4))))]
        if chart is not None
    ],
    "a history": of_history,
}


@cache
def charts_of(case: str) -> tuple[Chart, ...]:
    """The charts of a case."""
    return tuple(CASES[case]())


@cache
def _definitions() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        files("altair.vegalite.v6.schema").joinpath("vega-lite-schema.json").read_bytes()
    )
    return dict(found["definitions"])


@cache
def _faults(kind: str, part: str) -> list[str]:
    """What Vega-Lite's schema has to say against a part, given as JSON; most parts are the same in many charts."""
    validator = Draft7Validator({"$ref": f"#/definitions/{kind}", "definitions": _definitions()})
    return [f"{list(error.path)[:6]} {error.message[:200]}" for error in validator.iter_errors(json.loads(part))]


def faults(chart: Chart) -> list[str]:
    """The same of a whole chart: of each layer without its data, each panel without its layers, and what is around."""
    found = []
    for panel in chart.spec["concat"]:
        for layer in panel["layer"]:
            found += _faults("UnitSpec", json.dumps({**layer, "data": {"values": []}}, allow_nan=False))
            json.dumps(layer["data"], allow_nan=False)
        found += _faults("LayerSpec", json.dumps({**panel, "layer": []}, allow_nan=False))
    return found + _faults("TopLevelConcatSpec", json.dumps({**chart.spec, "concat": []}, allow_nan=False))


def named(charts: Sequence[Chart], name: str) -> Chart:
    (chart,) = [each for each in charts if each.name == name]
    return chart


def column(chart: Chart, heading: str) -> list[Cell]:
    """The cells of a column of a chart's table."""
    (i,) = [i for i, each in enumerate(chart.table.columns) if each.heading == heading]
    return [row.cells[i] for row in chart.table.rows]


def values(chart: Chart, heading: str) -> list[float | None]:
    return [cell.value for cell in column(chart, heading)]


def data(chart: Chart) -> Iterator[dict[str, Any]]:
    """Every datum of a chart."""
    for panel in chart.spec["concat"]:
        for layer in panel["layer"]:
            yield from layer["data"]["values"]


@pytest.mark.parametrize("case", CASES)
def test_valid(case: str) -> None:
    """Every chart is valid Vega-Lite, in plain JSON, of a name of its own, and has a sentence and a table."""
    charts = charts_of(case)
    assert charts
    assert len({chart.name for chart in charts}) == len(charts)
    for chart in charts:
        assert faults(chart) == [], chart.name
        assert chart.says.endswith("."), chart.name
        assert chart.table.rows, chart.name
        assert {len(row.cells) for row in chart.table.rows} == {len(chart.table.columns)}, chart.name


def test_the_schema_finds_faults() -> None:
    """A part that Vega-Lite doesn't know is found wherever it stands."""
    chart = charts_of("one cell")[0]
    panel, *_ = chart.spec["concat"]
    layer, *_ = panel["layer"]
    for wrong in (
        {**chart.spec, "concat": [{**panel, "layer": [{**layer, "mark": {"type": "blob"}}]}]},
        {**chart.spec, "concat": [{**panel, "encoding": {"x": {"field": 3}}}]},
        {**chart.spec, "padding": "none"},
    ):
        assert faults(replace(chart, spec=wrong))


def test_a_name_is_data_alone() -> None:
    """What a file says is a value of the data: no field, no expression and no setting of a chart has any of it."""
    for chart in charts_of("names that are none"):
        kept = json.dumps({**chart.spec, "concat": [_without_data(panel) for panel in chart.spec["concat"]]})
        assert "datum" not in kept, chart.name
        assert '"expr"' not in kept, chart.name
        for name in ("alert", "quoted", "a.b[", "lines", "31m", "right to", "nnnn"):
            assert name not in kept, chart.name
        for each in data(chart):
            assert all(text.isprintable() for text in each.values() if isinstance(text, str)), chart.name


def _without_data(panel: dict[str, Any]) -> dict[str, Any]:
    return {**panel, "layer": [{**layer, "data": None} for layer in panel["layer"]]}


def test_nothing_to_show() -> None:
    """Of cells without a round, a network or an accuracy there is no chart; nor of a file without a harness."""
    nothing = drawn.unfinished()[:1]
    assert of_run(nothing) == []
    assert depth_chart([record()]) is None
    assert gpu_chart(drawn.ten_cells()) is None
    assert confusion_chart("x", [[1] * 101] * 101, None, "#000000") is None
    assert compared_chart(judged(run(record()), run())) is None


def test_depth_has_the_records_figures() -> None:
    """The table says of each cell what its record says of its depth, and the sentence where definitions disagree."""
    cells = drawn.ten_cells()
    chart = named(of_run(cells), "depth")
    criteria = [each.depth.criteria for each in cells if each.depth is not None and each.depth.criteria is not None]
    assert values(chart, "time") == [each.time.ratio for each in criteria]
    assert values(chart, "demand") == [each.demand.ratio for each in criteria]
    assert [cell.text for cell in column(chart, "by cost")] == [each.depth.cost_aware for each in cells if each.depth]
    opposed = [
        each.id for each in cells if each.depth and {each.depth.classical, each.depth.cost_aware} == {"shallow", "deep"}
    ]
    assert opposed
    assert all(cell in chart.says for cell in opposed)
    drawn_ratios = {each.get("x") for each in data(chart) if "x2" not in each and "hidden" not in each.get("title", "")}
    assert {each.time.ratio for each in criteria} <= drawn_ratios


def test_rounds_have_the_records_figures() -> None:
    """Each round is a row of the table and a mark at its time over the cell's median, hollow where it was disturbed."""
    cells = [
        each.replace(rounds=(each.rounds[0].replace(disturbed=True), *each.rounds[1:])) for each in drawn.ten_cells()
    ]
    chart = rounds_chart(cells)
    assert chart is not None
    assert values(chart, "training (s)") == [each.train_s for cell in cells for each in cell.rounds]
    ratios = [each.time_s / median(r.time_s for r in cell.rounds) for cell in cells for each in cell.rounds]
    dots = [each for each in data(chart) if "seed" in each["title"]]
    assert [each["x"] for each in dots] == ratios
    hollow = [each["fill"] == "transparent" for each in dots]
    assert hollow == [each.disturbed for cell in cells for each in cell.rounds]


def test_curves_have_the_records_figures() -> None:
    """Each epoch of each round is drawn and in the table; a lost one is a gap, and named; a lone epoch is a point."""
    cells = [drawn.diverged(each) for each in drawn.ten_cells(protocol="article")]
    chart = named(curves_charts(cells), "curves-mnist")
    losses = chart.spec["concat"][0]["layer"]
    line = next(layer for layer in losses if layer["mark"]["type"] == "line")["data"]["values"]
    assert [each["y"] for each in line] == [loss for round_ in cells[0].rounds for loss in round_.train_loss]
    assert any(each.get("text") == "diverged" for each in data(chart))
    assert "mnist-snn500" in chart.says
    first = column(chart, "loss of each round")[0].text
    assert first == ", ".join(f"{round_.train_loss[0]:.4f}" for round_ in cells[0].rounds)
    single = named(curves_charts(drawn.ten_cells()), "curves-mnist").spec["concat"][0]["layer"]
    (points,) = [
        each["data"]["values"] for each in single if each["mark"]["type"] == "point" and each["mark"]["size"] < 20
    ]
    assert len(points) == 3


def test_bands_have_the_records_figures() -> None:
    """Mean, spread and band of each cell are in the table; outside of its band is said, and in the tone of a fault."""
    cells = drawn.ten_cells()
    chart = bands_chart(cells)
    assert chart is not None
    assert values(chart, "mean") == [each.accuracy.mean for each in cells if each.accuracy]
    assert values(chart, "band from") == [each.band.low for each in cells if each.band]
    outside = [each.id for each in cells if each.band and each.band.verdict != "inside"]
    tones = {cell.tone for cell, each in zip(column(chart, "verdict"), cells, strict=True) if each.id in outside}
    assert outside
    assert tones == {"bad"}
    assert all(cell in chart.says for cell in outside)


def test_the_articles_figures_stand_under_its_protocol_alone() -> None:
    """The article's points are drawn, hollow, under `article`, and not under `quick`."""
    for protocol, shown in (("article", True), ("quick", False)):
        chart = named(cost_charts(drawn.ten_cells(protocol=protocol)), "cost-mnist")
        said = [each for each in data(chart) if "in the article" in each.get("title", "")]
        assert bool(said) is shown
        assert {each["fill"] for each in said} <= {"transparent"}
        assert ("article: time (s)" in {each.heading for each in chart.table.columns}) is shown


def test_gpu_has_the_records_figures() -> None:
    """Trace and driver stand apart; a figure that is unfit is marked; under `article` alone the article's is beside."""
    cells = drawn.ten_cells(gpu=True)
    quick, chart = gpu_chart(cells), gpu_chart(drawn.ten_cells(gpu=True, protocol="article"))
    assert quick is not None
    assert not any(each.heading.startswith("article") for each in quick.table.columns)
    assert chart is not None
    assert values(chart, "article: GPU utilization")[:3] == [0.84, 4.57, 2.39]
    chart = quick
    assert values(chart, "trace: GPU utilization") == [each.trace.gpu_utilization_pct for each in cells if each.trace]
    assert values(chart, "driver: utilization (NVML)") == [each.gpu.utilization_pct for each in cells if each.gpu]
    kernels = named(kernel_charts(cells), "kernels-mnist-snn500")
    assert values(kernels, "share") == [each.share for each in drawn.kernels()]
    assert column(kernels, "kernel")[0].text == drawn.kernels()[0].name


def test_harness_has_the_files_figures() -> None:
    """The bar's parts end where the wall time does; parts too short to be seen are in the table alone."""
    chart = harness_chart(HARNESS)
    assert chart is not None
    parts = [each for each in data(chart) if "of the wall time" in each["title"]]
    assert [each["x2"] - each["x"] for each in parts] == pytest.approx([80.0, 4.0, 8.0, 2.0, 5.99])
    assert values(chart, "time (s)") == [80.0, 4.0, 8.0, 2.0, 0.0, 0.01, 5.99, 100.0]


def test_cost_says_ranges_of_what_passed() -> None:
    """Two networks with one accuracy share it, and the fastest is left out where it did not pass."""
    snn, cnn, lenet = (each for each in drawn.ten_cells() if each.cell.dataset == "digits")
    assert cnn.accuracy is not None
    failed = snn.replace(outcome=Outcome(status="failed", failures=("diverged",)))
    (chart,) = cost_charts([failed, cnn, lenet.replace(accuracy=cnn.accuracy)])
    assert f"accuracy is {cnn.accuracy.mean:.4f} (cnn3l, lenet5); by means alone." in chart.says
    assert "snn500" not in chart.says


def test_the_most_has_the_last_shade() -> None:
    """Of any number of images the largest count has the deepest shade, and none a deeper one."""
    for most in range(1, 400):
        chart = confusion_chart("x", [[most, 1], [0, most]], None, "#000000")
        assert chart is not None
        shades = [[cell.shade for cell in row.cells[1:]] for row in chart.table.rows]
        assert shades[0][0] == shades[1][1] == SHADES
        assert (shades[1][0], 1 <= shades[0][1] <= SHADES) == (0, True)


def test_confusion_has_the_records_counts() -> None:
    """The matrix is the table of few classes; of many the confusions are, and with them all images."""
    few = drawn.confused(3, ("a", "b", "c"))
    assert few.confusion is not None
    (chart,) = confusion_charts([record(predictions=few)]).values()
    assert [[cell.value for cell in row.cells[1:]] for row in chart.table.rows] == [list(row) for row in few.confusion]
    many = drawn.confused(50)
    (chart,) = confusion_charts([record(predictions=many)]).values()
    assert sum(value or 0 for value in values(chart, "images")) == 50 * 50


def test_compared_has_the_gates_words() -> None:
    """Effects, intervals, limits and findings are the gate's; ratios and accuracies have a panel each."""
    slow = tuple(
        each.replace(rounds=tuple(r.replace(train_s=2 * r.train_s) for r in each.rounds)) for each in drawn.ten_cells()
    )
    gate = judged(run(*drawn.ten_cells()), run(*slow))
    chart = compared_chart(gate)
    assert chart is not None
    assert len(chart.spec["concat"]) == 2
    effects = {finding.effect for finding in gate.with_status("regressed")}
    assert effects
    assert effects <= set(values(chart, "effect"))
    assert any("regressed" in each.get("text", "") for each in data(chart))


def test_what_improved_is_marked_as_nothing_else() -> None:
    """Regressed, improved, within the limit and can't be told have a shape each, in the key too, and a tone each."""
    cells = drawn.ten_cells()[:4]
    factors = (2, 0.6, 1, 0.1)
    others = [
        each.replace(rounds=tuple(r.replace(train_s=f * r.train_s, eval_s=f * r.eval_s) for r in each.rounds))
        for each, f in zip(cells, factors, strict=True)
    ]
    found = judged(run(*cells), run(*others))
    chart = compared_chart(found)
    assert chart is not None
    points = [each for each in data(chart) if "shape" in each]
    shapes = {
        each.id: {point["shape"] for point in points if point["title"].startswith(f"{each.id} total_s: ")}
        for each in cells
    }
    assert [len(each) for each in shapes.values()] == [1] * 4
    told = {shape for each in shapes.values() for shape in each}
    assert len(told) == 4
    assert told < {point["shape"] for point in points if not point["title"]}
    rows = {(row.cells[0].text, row.cells[1].text): row.cells[-1] for row in chart.table.rows}
    assert [(rows[each.id, "total_s"].text, rows[each.id, "total_s"].tone) for each in cells] == [
        ("regressed", "bad"), ("improved", "good"), ("within 30 %", "plain"), ("incomparable", "doubtful")
    ]  # fmt: skip


def test_history_has_the_lines_figures() -> None:
    """Each change is marked with its commit and subject, each level is a row; of many commits few marks are made."""
    values_ = [1.0] * 12 + [1.1] * 12
    line = drawn.line_of("digits-cnn3l", "total_s", values_, changes_at=[12])
    (chart,) = history_charts(drawn.history_of(line, subject="A sleep"), [line])
    marked = [each for each in data(chart) if "A sleep" in each["title"]]
    assert marked
    assert all(line.points[12].commit[:7] in each["title"] for each in marked)
    assert values(chart, "level") == [1.0, 1.1]
    assert values(chart, "commits") == [12, 12]
    many = named(of_history(), "history-digits-cnn3l")
    assert len(list(data(many))) < 500
    titles = " ".join(each["title"] for each in data(many))
    assert "MiB" in titles


def test_looks_are_the_same_everywhere() -> None:
    """The suite's networks have the same look whatever runs beside them; of 28 networks no two look alike."""
    assert looks(["x", "lenet5"])["lenet5"] == looks(["lenet5"])["lenet5"]
    names = [f"n{i}" for i in range(25)]
    made = looks(names)
    assert len({(each.colour, each.shape) for each in made.values()}) == len(made) == 28


def test_names_of_files_are_told_apart() -> None:
    """Names that differ only in what no file's name has get different ones, and a plain one stays as it is."""
    assert slug("cost", "mnist") == "cost-mnist"
    assert len({slug("a", name) for name in ("x/y", "x.y", "x y", "X-y", "x-y")}) == 5
    assert all(set(slug(name)) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_") for name in drawn.HOSTILE)


def test_thinned_keeps_the_extremes() -> None:
    """Of many values the least and the greatest stay, in their order."""
    rng = random.Random(0)
    many = [rng.random() for _ in range(1_000)]
    kept = thinned(many, 100, float)
    assert len(kept) <= 100
    assert min(many) in kept
    assert max(many) in kept
    assert [many.index(each) for each in kept] == sorted(many.index(each) for each in kept)

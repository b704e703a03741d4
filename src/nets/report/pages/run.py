"""A run in sections: what it says, cell by cell, and how it was made."""

from __future__ import annotations

import gzip
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from nets.errors import NetsError, counted
from nets.records.cell import Result
from nets.records.predictions import Prediction, Predictions
from nets.records.run import Run
from nets.report.charts.bands import bands_chart
from nets.report.charts.confusion import confusion_charts
from nets.report.charts.cost import cost_charts
from nets.report.charts.curves import curves_charts
from nets.report.charts.depth import depth_chart
from nets.report.charts.gpu import gpu_chart
from nets.report.charts.harness import harness_chart
from nets.report.charts.kernels import kernel_charts
from nets.report.charts.rounds import rounds_chart
from nets.report.document import (
    MAX_MESSAGE,
    Chart,
    Download,
    Gallery,
    Part,
    Picture,
    Section,
    Sentence,
    Table,
    Tone,
    row,
    sentences,
    table,
)
from nets.report.gate import moment
from nets.report.gpu import gpu_notes, gpu_tables
from nets.report.layers import layer_table
from nets.report.pages.table import wide_table
from nets.report.run import articles_protocol, growth, not_counted, not_run, side_by_side
from nets.report.sentence import commit_text
from nets.report.text import listed


class Pictures(Protocol):
    """The PNG files of a data set's images by their places in its two parts."""

    @property
    def train(self) -> Mapping[int, bytes]:
        """Of training images."""

    @property
    def test(self) -> Mapping[int, bytes]:
        """Of test images."""


Shown = Callable[[Result], Pictures]
"""Finds the pictures of a cell's samples. Raises NetsError where the data are not here."""


def verdict_in_words(run: Run) -> str:
    """How many cells passed, which failed, and how many figures are not fit for comparison."""
    results = run.cells
    failed = [result.id for result in results if result.outcome.status != "passed"]
    if not results:
        return "No cell was measured."
    said = [f"{len(results) - len(failed)} of {len(results)} passed."]
    if failed:
        said.append(f"{listed(failed)} did not.")
    if unfit := [result.id for result in results if result.gpu is not None and not result.gpu.valid]:
        said.append(f"The driver's figures of {counted(len(unfit), 'cell')} are not fit for comparison.")
    if disturbed := _disturbed(run):
        said.append(f"The times of {counted(len(disturbed), 'cell')} were disturbed by other processes.")
    if run.not_run:
        said.append(f"{counted(len(dict(run.not_run)), 'cell').capitalize()} did not run.")
    if run.interrupted:
        said.append("The run was interrupted.")
    return " ".join(said)


def _disturbed(run: Run) -> list[str]:
    return [result.id for result in run.cells if any(round_.disturbed for round_ in result.rounds)]


def facts(run: Run) -> list[str]:
    """What was measured, when, and on what, in a few short texts."""
    commit = commit_text(run.commit.id, run.commit.subject, dirty=run.commit.dirty)
    told = [] if commit is None else [f"Commit {commit}"]
    told += [f"Run on {moment(run.ran)}"] if run.ran else []
    devices = dict.fromkeys(str(result.device) for result in run.cells)
    told += [f"Device {device}" for device in devices]
    versions = [f"{name} {value}" for name, value in run.versions.by_name().items() if value and "." not in name]
    told.append(f"Versions {', '.join(versions)}" if versions else "Versions unknown")
    for name, pipeline in dict.fromkeys((result.protocol.name, result.pipeline) for result in run.cells):
        told.append(f"Protocol {name}, pipeline {pipeline}")
    return told


def run_sections(run: Run, pictures: Shown | None) -> Iterator[Section]:
    """Every section that there is something to show in."""
    results = run.cells
    yield _section("The run", [*sentences(facts(run)), *_banners(run)])
    if results:
        yield _section("Results", _results(results))
        yield _section("Training", curves_charts(results))
        yield _section("Time and accuracy", [*_there(rounds_chart(results)), *cost_charts(results)])
        yield _section("Shallow or deep", _depth(results))
        yield _section("The GPU", _gpu(results))
        yield _section("Where the time went", _harness(run))
        yield _section("Samples and mistakes", _samples(results, pictures))
        yield _section("Layers", _layers(results))
    yield _section("Compared in turns", [*side_by_side(run.side_by_side), *growth(run.growth)])


def made_section(run: Run, content: bytes) -> Section:
    """How the run was made, with its file; `content`: its bytes."""
    results = run.cells
    parts: list[Part] = []
    if run.arguments is not None:
        parts.append(Sentence(f"Command: pytest {shlex.join(run.arguments)}", max_length=MAX_MESSAGE))
    facts_of = [
        row((result.id, _seeds(result), str(result.protocol.epochs), str(result.protocol.batch_size),
             f"{result.protocol.lr:g}", result.execution.mode, str(result.execution.threads),
             result.cell.data_sha256 or "unknown"))
        for result in results
    ]  # fmt: skip
    headings = ("cell", "seeds", "epochs", "batch size", "learning rate", "mode", "threads", "SHA-256 of the data")
    if facts_of:
        parts.append(table(headings, facts_of, right=headings[2:5], caption="How each cell was trained"))
    known = [(name, value or "none") for name, value in run.versions.by_name().items()]
    parts.append(table(("what", "version or value"), known, caption="Versions and settings"))
    name = run.source.rpartition("/")[2] or "run.json"
    parts.append(Download(f"{name}.gz", gzip.compress(content, mtime=0), "application/gzip"))
    return Section("How it was made", tuple(parts))


def _section(title: str, parts: Iterable[Part]) -> Section:
    return Section(title, tuple(parts))


def _there(chart: Chart | None) -> list[Part]:
    return [] if chart is None else [chart]


def _banners(run: Run) -> Iterator[Part]:
    """What makes figures doubtful, or is missing."""
    if run.interrupted:
        yield Sentence("Interrupted: what follows is what was finished before.", "doubtful")
    if disturbed := _disturbed(run):
        yield Sentence(f"Disturbed by other processes while timed: {listed(disturbed)}", "doubtful")
    for part in not_run(run.not_run):
        if isinstance(part, Sentence):
            yield Sentence(part.text, "doubtful", part.max_length)


def _results(results: Sequence[Result]) -> Iterator[Part]:
    n_rounds = sorted({len(result.rounds) for result in results if result.rounds})
    if n_rounds and n_rounds[-1] > 1:
        spread = "–".join(str(n) for n in dict.fromkeys((n_rounds[0], n_rounds[-1])))
        yield Sentence(f"Means of {spread} rounds ± standard deviation; a round is a training and an evaluation.")
    yield wide_table(results)
    yield from articles_protocol(results)
    for result in results:
        yield from sentences(
            (
                f"{result.id}: {result.outcome.status}: {failure.removeprefix(f'{result.id}: ')}"
                for failure in result.outcome.failures
            ),
            "bad",
            MAX_MESSAGE,
        )
    yield from sentences(not_counted(results), max_length=MAX_MESSAGE)
    yield from _there(bands_chart(results))


def _depth(results: Sequence[Result]) -> Iterator[Part]:
    judged = [result for result in results if result.depth is not None]
    if not judged:
        return
    yield Sentence(
        "Classical: deep means more than two hidden layers. By cost: deep if two of three criteria hold: hidden "
        "layers, and time and demand as ratios to LeNet-5's on the same data, of which one above 0.9 holds."
    )
    yield from _there(depth_chart(judged))
    rows = [
        (result.id, result.depth.classical or "–", result.depth.cost_aware or "–", result.depth.because)
        for result in judged
        if result.depth is not None
    ]
    yield table(("cell", "classical", "by cost", "why"), rows, caption="Both verdicts, and why")


def _gpu(results: Sequence[Result]) -> Iterator[Part]:
    if not any(result.device.type == "cuda" for result in results):
        return
    yield from _there(gpu_chart(results))
    yield from gpu_tables(results)
    yield from sentences(gpu_notes(results), "doubtful")
    yield from kernel_charts(results)


def _harness(run: Run) -> Iterator[Part]:
    if run.harness is not None:
        drawn = harness_chart(run.harness)
        yield Sentence(str(run.harness)) if drawn is None else drawn


def _samples(results: Sequence[Result], pictures: Shown | None) -> Iterator[Part]:
    if pictures is None and any(result.predictions is not None for result in results):
        yield Sentence("The images themselves are shown where `nets report` is told --data-dir.")
    known = [(result, result.predictions) for result in results if result.predictions is not None]
    confusions = confusion_charts(results)
    for result, predictions in known:
        parts: list[Part] = []
        train: Mapping[int, bytes] = {}
        test: Mapping[int, bytes] = {}
        if pictures is not None:
            try:
                found = pictures(result)
                train, test = found.train, found.test
            except NetsError as error:
                parts.append(Sentence(f"The images are not shown: {error}", "doubtful"))
        for title, shown, files in (
            ("Training images", predictions.train, train),
            ("Test images", predictions.test, test),
            ("The most confident mistakes", predictions.mistakes, test),
        ):
            if shown:
                pictured = (Picture(files.get(each.place), *_said(each, predictions)) for each in shown)
                parts.append(Gallery(title, tuple(pictured)))
        yield Section(result.id, (*parts, *_there(confusions.get(result.id))))
    unknown = {result.predictions_missing_because for result in results if result.predictions is None}
    for because in sorted(filter(None, unknown)):
        cells = [result.id for result in results if result.predictions_missing_because == because]
        yield Sentence(f"No samples of {', '.join(cells)}: {because}")


def _said(each: Prediction, predictions: Predictions) -> tuple[str, Tone]:
    names = predictions.class_names
    label, predicted = (str(i) if names is None else names[i] for i in (each.label, each.predicted))
    sure = "" if each.confidence is None else f" ({each.confidence:.0%})"
    if each.is_right:
        return f"{label}{sure}", "plain"
    return f"{label}, taken for {predicted}{sure}", "bad"


def _layers(results: Sequence[Result]) -> Iterator[Part]:
    """A table of each network that has one, once for all cells with the same."""
    cells: dict[Table, list[str]] = {}
    for result in results:
        if result.network is not None and result.network.table:
            cells.setdefault(layer_table(result.network), []).append(result.id)
    for whole, ids in cells.items():
        yield Section(", ".join(ids), (whole,))


def _seeds(result: Result) -> str:
    seeds = [round_.seed for round_ in result.rounds]
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]}–{seeds[-1]}"
    return ", ".join(map(str, seeds)) or "none"

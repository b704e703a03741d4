"""Whole pages: which sections there are, and what they say."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nets.errors import Unusable
from nets.gate.limits import Limits
from nets.history.archive import read_archive
from nets.history.series import history
from nets.records.cell import Accuracy, Band, Outcome, Result
from nets.records.predictions import Prediction, Predictions
from nets.records.run import CommitInfo, Harness, Run
from nets.report.document import Cell, Chart, Download, Gallery, Page, Part, Section, Sentence, Table
from nets.report.pages.page import page
from nets.report.pages.run import Shown, verdict_in_words
from tests.support.gating import GPU, run
from tests.support.histories import stepped
from tests.support.records import GROWTH, SIDE_BY_SIDE, one_round, record, seen_of_gpu, traced

PREDICTIONS = Predictions(
    seed=2,
    n_classes=2,
    class_names=("cat", "dog"),
    confusion=((5, 1), (0, 4)),
    train=(Prediction(place=0, label=0, predicted=0, confidence=0.75),),
    test=(Prediction(place=7, label=1, predicted=1, confidence=None),),
    mistakes=(Prediction(place=3, label=0, predicted=1, confidence=0.99),),
)


def made(*runs: Run, pictures: Shown | None = None) -> Page:
    return page(runs, b"{}", [], pictures, Limits())


def parts_below(parts: Iterable[Part]) -> Iterator[Part]:
    for part in parts:
        yield part
        if isinstance(part, Section):
            yield from parts_below(part.parts)


def section(whole: Page, title: str) -> Section:
    return next(part for part in whole.parts if isinstance(part, Section) and part.title == title)


def titles(whole: Page) -> list[str]:
    return [part.title for part in whole.parts if isinstance(part, Section)]


def said(parts: Iterable[Part]) -> str:
    return "\n".join(part.text for part in parts_below(parts) if isinstance(part, Sentence))


def tables(parts: Iterable[Part]) -> list[Table]:
    return [part for part in parts_below(parts) if isinstance(part, Table)]


def column(table: Table, heading: str) -> list[Cell]:
    place = [each.heading for each in table.columns].index(heading)
    return [row.cells[place] for row in table.rows]


def test_the_verdict() -> None:
    """It counts what passed, names what did not, and says what is unfit, absent and interrupted."""
    assert verdict_in_words(run(record())) == "1 of 1 passed."
    failed = record(model="cnn3l", outcome=Outcome(status="failed", failures=("too bad",)))
    unfit = record(model="snn500", gpu=seen_of_gpu(reasons=("another process",)))
    whole = run(record(), failed, unfit, not_run=(("digits-a", "no data"),), interrupted=True)
    assert verdict_in_words(whole) == (
        "2 of 3 passed. mnist-cnn3l did not. The driver's figures of one cell are not fit for comparison. "
        "One cell did not run. The run was interrupted."
    )
    assert verdict_in_words(run()) == "No cell was measured."


def test_sections_are_there_where_there_is_something_to_show() -> None:
    """A CPU's run has no GPU section, one without a harness no seconds, and nothing is an empty heading."""
    assert titles(made(run(record()))) == [
        "The run", "Results", "Training", "Time and accuracy", "Shallow or deep", "How it was made",
    ]  # fmt: skip
    harness = Harness(wall_s=10, timed_s=5, import_s=1, data_s=1, setup_s=1, soak_s=0, trace_s=0, other_s=2)
    on_gpu = record(device=GPU, gpu=seen_of_gpu(), trace=traced(), predictions=PREDICTIONS)
    whole = run(on_gpu, harness=harness, side_by_side=(SIDE_BY_SIDE,), growth=(GROWTH,))
    assert {"The GPU", "Where the time went", "Samples and mistakes", "Compared in turns"} < set(titles(made(whole)))
    assert titles(made(run())) == ["The run", "How it was made"]


def test_the_table() -> None:
    """Figures are sorted by their values; an accuracy stands beside its band; a column without a figure is left out."""
    band = Band(low=0.8, high=0.95, n=20, alpha=0.001, verdict="inside")
    rounds = (one_round(train_s=1.0), one_round(1, train_s=3.0))
    one = record(rounds=rounds, accuracy=Accuracy.of([0.9, 0.9]), band=band, band_missing_because=None)
    (table, *_) = tables([section(made(run(one, record(model="x", network=None))), "Results")])
    times = column(table, "time of a round (s)")
    assert times[0] == Cell("2.50 ± 1.41", value=2.5)
    assert [cell.text for cell in column(table, "trainable parameters")] == ["61,706", "–"]
    (bar, nothing) = (cell.bar for cell in column(table, "test accuracy in its band"))
    assert bar is not None
    assert (bar.low, bar.high, bar.value) == (0.8, 0.95, 0.9)
    assert bar.start <= bar.low < bar.high <= bar.end
    assert nothing is None
    assert "energy of a round" not in [each.heading for each in table.columns]


def test_the_article_s_figures() -> None:
    """They stand beside ours under its protocol alone; under another it is said how long each trained."""
    quick = record()
    whole = made(run(quick))
    differs = "mnist: one epoch, batches of 100, learning rate 0.001 against 20 epochs"
    assert differs in said([section(whole, "Results")])
    protocol = quick.protocol.model_copy(update={"name": "article", "epochs": 20})
    whole = made(run(quick.replace(protocol=protocol)))
    (table, *_) = tables([section(whole, "Results")])
    assert [cell.text for cell in column(table, "article: accuracy")] == ["0.9891"]
    assert "against" not in said([section(whole, "Results")])


def test_banners() -> None:
    """What is disturbed, interrupted or was not run is said before the figures."""
    disturbed = record(rounds=(one_round(disturbed=True),))
    whole = made(run(disturbed, not_run=(("a-b", "no data"),), interrupted=True))
    assert "The times of one cell were disturbed by other processes." in whole.summary
    text = said([section(whole, "The run")])
    assert "Disturbed by other processes while timed: mnist-lenet5" in text
    assert "Interrupted" in text
    assert "not run: a-b: no data" in text


@dataclass(frozen=True)
class Found:
    train: dict[int, bytes]
    test: dict[int, bytes]


def test_samples() -> None:
    """Each image has its class, what it was taken for and how surely; without the data the reason is said once."""
    one = record(predictions=PREDICTIONS)

    def galleries(whole: Page) -> list[Gallery]:
        return [each for each in parts_below(whole.parts) if isinstance(each, Gallery)]

    train, test, mistakes = galleries(made(run(one), pictures=lambda _: Found({0: b"a"}, {7: b"b", 3: b"c"})))
    assert [(each.png, each.text, each.tone) for each in (*train.pictures, *test.pictures, *mistakes.pictures)] == [
        (b"a", "cat (75%)", "plain"),
        (b"b", "dog", "plain"),
        (b"c", "cat, taken for dog (99%)", "bad"),
    ]

    def absent(_: Result) -> Any:
        raise Unusable("no data here")

    whole = made(run(one), pictures=absent)
    assert said(whole.parts).count("The images are not shown: no data here") == 1
    assert {picture.png for gallery in galleries(whole) for picture in gallery.pictures} == {None}
    assert "--data-dir" in said(made(run(one)).parts)


def test_runs_side_by_side() -> None:
    """What differs comes first, then the figures, then the gate's own sentence on each of the others."""
    one = run(record(), source="new.json", commit=CommitInfo(id="b" * 40, subject="faster"))
    other = run(record(), source="old.json", commit=CommitInfo(id="a" * 40))
    whole = made(one, other)
    assert titles(whole)[1:3] == ["Runs side by side", "Changed since old.json"]
    differs, figures = tables([section(whole, "Runs side by side")])
    assert [[cell.text for cell in row.cells] for row in differs.rows] == [
        ["commit", "a" * 12, "1: old.json"],
        ["commit", f"{'b' * 12} (faster)", "2: new.json"],
    ]
    assert [[cell.text for cell in row.cells][:3] for row in figures.rows] == [
        ["mnist-lenet5", "1: old.json", "2.00"],
        ["mnist-lenet5", "2: new.json", "2.00"],
    ]
    assert said([section(whole, "Changed since old.json")]).startswith("Nothing regressed by more than 30 % of time")


def test_runs_that_cannot_be_compared() -> None:
    """They are shown apart, and it is said."""
    other = run(record(device=GPU), source="gpu.json")
    text = said([section(made(run(record()), other), "Changed since gpu.json")])
    assert "incomparable" in text
    nothing = made(run(record()), run(source="empty.json"))
    assert "They can't be compared: empty.json: it holds no cell" in said(
        [section(nothing, "Changed since empty.json")]
    )


def test_a_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder's page says first how many figures changed, and at how many commits."""
    monkeypatch.chdir(tmp_path)
    stepped(factor=2)
    found = history(read_archive(Path("runs")), tmp_path)
    whole = page([], b"", [("results", found)], None, Limits())
    assert whole.title == "nets: results"
    assert re.fullmatch(r"\w+ changes? at one commit, on \d+ of \d+ lines\.", whole.summary)
    assert titles(whole) == ["History of results"]
    assert any(isinstance(part, Chart) for part in parts_below(whole.parts))


def test_the_record_can_be_had() -> None:
    """The file itself lies in the page, byte for byte; the same run makes the same page."""
    whole = made(run(record(), source="results/out.json", arguments=("benchmarks", "--rounds", "2")))
    (download,) = (each for each in parts_below(whole.parts) if isinstance(each, Download))
    assert (download.name, gzip.decompress(download.content)) == ("out.json.gz", b"{}")
    assert "Command: pytest benchmarks --rounds 2" in said(whole.parts)
    assert whole == made(run(record(), source="results/out.json", arguments=("benchmarks", "--rounds", "2")))


@pytest.mark.parametrize("n_rounds", [0, 1, 3])
def test_seeds(n_rounds: int) -> None:
    """Seeds in a row are told as a range."""
    rounds = tuple(one_round(5 + i) for i in range(n_rounds))
    one = record(rounds=rounds, accuracy=Accuracy.of([0.9] * n_rounds) if rounds else None)
    (table, *_) = tables([section(made(run(one)), "How it was made")])
    assert column(table, "seeds")[0].text == {0: "none", 1: "5", 3: "5–7"}[n_rounds]

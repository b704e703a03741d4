"""`nets report`: several files, folders, and the CSV that it writes; bad input is one sentence."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nets.records.predictions import Prediction, Predictions
from tests.support.commands import runner
from tests.support.gating import write
from tests.support.histories import commit, store
from tests.support.hostile import BAD, EVIL, demand_inert
from tests.support.records import record

ran = runner("report")


@pytest.fixture
def runs(folder: Path) -> Path:
    """A folder with two runs, one of them deeper."""
    store("runs/b.json", 1, record(), record(model="cnn3l"))
    store("runs/older/a.json", 0, record("digits"))
    return folder / "runs"


def table(text: str) -> list[dict[str, str]]:
    """What was written, as Python's csv reads it."""
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.usefixtures("runs")
def test_several_tables() -> None:
    """Files and folders are printed one after the other, each headed by its name; one alone has no heading."""
    lines = ran("runs/older/a.json", "runs").output.splitlines()
    headings = [line for line in lines if line.startswith("runs/")]
    assert headings == ["runs/older/a.json", "runs/b.json"]
    assert lines.index("runs/older/a.json") < next(i for i, line in enumerate(lines) if "digits" in line)
    assert "b.json" not in ran("runs/b.json").output


@pytest.mark.usefixtures("runs")
def test_csv_of_a_folder() -> None:
    """`--csv` writes all cells of all runs, each file once, and says how many rows; each names its file and commit."""
    result = ran("runs/b.json", "runs", "--csv", "out.csv")
    found = table(Path("out.csv").read_text(encoding="utf-8"))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.output == f"out.csv: {len(found)} rows of 2 runs\n"
    assert {(row["file"], row["commit"], row["cell"]) for row in found} == {
        ("runs/b.json", commit(1), "mnist-lenet5"),
        ("runs/b.json", commit(1), "mnist-cnn3l"),
        ("runs/older/a.json", commit(0), "digits-lenet5"),
    }
    keys = [(row["file"], row["cell"], row["metric"]) for row in found]
    assert len(set(keys)) == len(keys)


@pytest.mark.usefixtures("runs")
def test_csv_on_standard_output() -> None:
    """`--csv -` prints the table and nothing else; what is passed over goes to standard error."""
    Path("runs/c.json").write_text("{")
    result = ran("runs", "--csv", "-")
    assert result.exit_code == 0
    assert len({row["file"] for row in table(result.output)}) == 2
    assert result.stderr.startswith("passed over: runs/c.json: not JSON")
    assert not Path("-").exists()


@pytest.mark.usefixtures("runs")
def test_csv_is_replaced_whole() -> None:
    """A file that is there already is written anew, and the same runs give the same bytes."""
    Path("out.csv").write_text("x" * 1_000_000)
    written = []
    for _ in range(2):
        assert ran("runs", "--csv", "out.csv").exit_code == 0
        written.append(Path("out.csv").read_bytes())
    assert written[0] == written[1]
    assert written[0].startswith(b"file,date,commit,")
    assert sorted(path.name for path in Path().iterdir()) == ["out.csv", "runs"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("to", [(), ("--csv", "out.csv"), ("--html", "page.html")])
@pytest.mark.parametrize(("make", "message"), [bad for bad in BAD if "2 times" not in bad[1]])
def test_bad_files(make: Callable[[Path], object], message: str, to: tuple[str, ...]) -> None:
    """An unusable file among good ones is one sentence that names it, exit 2, and nothing is written."""
    write("good.json", record())
    make(Path("bad.json"))
    result = ran("good.json", "bad.json", *to)
    assert result.exit_code == 2
    assert result.stderr.startswith("nets report: bad.json")
    assert len(result.stderr.splitlines()) == 1
    assert message in result.stderr or Path("bad.json").is_dir()
    assert not any(Path(name).exists() for name in ("out.csv", "page.html"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("none.json",), "none.json: No such file or directory"),
        (("empty",), "empty: no result file of nets in it (no JSON file); --benchmark-autosave and"),
        (("runs", "--csv", "none/out.csv"), "none/out.csv: the folder none does not exist; make it first"),
        (("runs", "--csv", "runs"), "runs: it is a folder; name a file"),
        (("runs", "--csv", "runs/b.json"), "runs/b.json: it is a result file, and would be written over"),
        (("none.json", "--html", "page.html"), "none.json: No such file or directory"),
        (
            ("empty", "--html", "page.html"),
            "empty: no result file of nets in it (no JSON file); --benchmark-autosave and",
        ),
        (("runs", "--html", "none/page.html"), "none/page.html: the folder none does not exist; make it first"),
        (("runs", "--html", "runs"), "runs: it is a folder; name a file"),
        (("runs/b.json", "--html", "runs/b.json"), "runs/b.json: it is named twice, and would be written over"),
        (("runs/b.json", "--html", "-"), "--html: a page is written into a file; name one"),
        (("runs/b.json", "--data-dir", "data"), "--data-dir: it is for a page: with --html or --plots"),
        (("runs/b.json", "--plots", "runs/b.json"), "--plots: runs/b.json can't be written to: File exists"),
    ],
)
@pytest.mark.usefixtures("runs")
def test_refusals(arguments: tuple[str, ...], sentence: str) -> None:
    """No file, a folder without runs, and an output that can't be written are each one sentence and exit 2."""
    Path("empty").mkdir()
    result = ran(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"nets report: {sentence}")
    assert (len(result.stderr.splitlines()), result.output) == (1, "")


@pytest.mark.usefixtures("runs")
def test_a_page() -> None:
    """`--html` writes the first run, what changed since another, and the history of a folder; `--plots` each chart."""
    result = ran("runs/b.json", "runs/older/a.json", "runs", "--html", "page.html", "--plots", "plots")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.output.splitlines()[-1] == "page.html: 2 runs, one folder of stored runs"
    page = Path("page.html").read_text(encoding="utf-8")
    assert re.search(r"<h1>2 of 2 passed\. Against runs/older/a\.json: \w+ figures? regressed\.</h1>", page)
    for title in ("Runs side by side", "Changed since runs/older/a.json", "History of runs"):
        assert title in page
    names = {path.name for path in Path("plots").iterdir()}
    assert {"accuracy.svg", "accuracy.png", "rounds.svg"} <= names
    assert len(names) % 2 == 0


@pytest.mark.usefixtures("runs")
def test_a_page_beside_csv_on_standard_output() -> None:
    """Standard output has the CSV and nothing else; a file that is named twice is not held against itself."""
    result = ran("runs/b.json", "runs/../runs/b.json", "--csv", "-", "--html", "page.html")
    assert (result.exit_code, result.stderr) == (0, "page.html: one run\n")
    assert len({row["file"] for row in table(result.output)}) == 1
    assert "Runs side by side" not in Path("page.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("runs")
def test_a_page_of_a_folder_alone() -> None:
    """It is a history, which needs no run to be shown."""
    assert ran("runs", "--html", "page.html").exit_code == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert "<h1>Too few commits to tell: 12 at least.</h1>" in page
    assert "o change was found" not in page
    assert "History of runs" in page


def test_images_of_other_data(folder: Path) -> None:
    """Where the data here are not the record's, the page says so, and shows no image."""
    seen = Prediction(place=0, label=1, predicted=1, confidence=0.9)
    known = Predictions(
        seed=0, n_classes=10, class_names=None, confusion=None, confusion_missing_because="not counted", train=(seen,),
        test=(), mistakes=(),
    )  # fmt: skip
    write("run.json", record("digits", predictions=known))
    assert ran("run.json", "--html", "page.html", "--data-dir", str(folder)).exit_code == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert "The images are not shown: digits: the SHA-256 here is" in page
    assert "data:image/png" not in page
    assert ran("run.json", "--html", "page.html").exit_code == 0
    assert "are shown where `nets report` is told --data-dir" in Path("page.html").read_text(encoding="utf-8")


def test_a_record_of_another_schema(folder: Path) -> None:
    """It is refused by its field, whatever is to be written."""
    path = folder / write("run.json", record())
    path.write_text(path.read_text().replace('"schema": 3', '"schema": 99'))
    result = ran("run.json", "--html", "page.html")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "'schema'" in result.stderr
    assert not Path("page.html").exists()


def test_foreign_names(folder: Path) -> None:
    """No escape of a file's name or text reaches the terminal, whichever way it is printed."""
    (folder / "\x1b[31m").mkdir()
    write("\x1b[31m/a.json", record(model=EVIL))
    write("b.json", record())
    demand_inert(ran("\x1b[31m", "b.json").output)
    demand_inert(ran("\x1b[31m", "b.json", "--csv", "-").output)

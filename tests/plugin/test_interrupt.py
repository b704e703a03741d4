"""Ctrl-C, killed runs and workers: what is finished is on the disk, and the file tells the truth."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator

import pytest

from nets.machine.cpu import cores
from nets.records import durable
from tests.support.pictures import tree
from tests.support.suite import Suite

pytestmark = pytest.mark.usefixtures("forked")

CELLS = ("--cells", "digits-snn500,digits-cnn3l,digits-lenet5", "--epochs", "1", "--rounds", "1")

HANDLED = """
import os, pytest, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's is ignored
"""

# raises `signal` in the given cell's given round (from 0)
SIGNAL_IN = (
    HANDLED
    + """
@pytest.fixture
def cell_run(cell_run):
    timed = cell_run.timed
    def broken():
        timed()
        if cell_run.cell.id == "{cell}" and len(cell_run.rounds) == {n_round} + 1:
            os.kill(os.getpid(), signal.{signal})
    cell_run.timed = broken
    return cell_run
"""
)

SIGNAL_BETWEEN = (
    HANDLED
    + """
def pytest_runtest_logfinish(nodeid):
    if "digits-snn500" in nodeid:
        os.kill(os.getpid(), signal.SIGINT)
"""
)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let a run in this process be interrupted: xdist's workers ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("conftest", "finished", "subprocess"),
    [
        pytest.param(SIGNAL_IN.format(cell="digits-snn500", n_round=0, signal="SIGINT"), [], False, id="first round"),
        pytest.param(
            SIGNAL_IN.format(cell="digits-cnn3l", n_round=1, signal="SIGINT"), ["digits-snn500"], True, id="later round"
        ),
        pytest.param(SIGNAL_BETWEEN, ["digits-snn500"], False, id="between cells"),
    ],
)
def test_ctrl_c(suite: Suite, conftest: str, finished: list[str], subprocess: bool) -> None:
    """Ctrl-C keeps the finished cells, whole, drops the half one, and names the cells that didn't run."""
    suite.conftest(conftest)
    result = suite.run(*CELLS, "--rounds", "2", subprocess=subprocess)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "min()" not in result.stdout.str() + result.stderr.str()
    content = suite.content()
    assert [b["params"]["cell"] for b in content["benchmarks"]] == finished
    assert content["nets"]["interrupted"] is True
    assert [(n["cell"], n["because"]) for n in content["nets"]["not_run"]] == [
        (cell, "the run was interrupted")
        for cell in ("digits-snn500", "digits-cnn3l", "digits-lenet5")
        if cell not in finished
    ]


def test_killed(suite: Suite) -> None:
    """A run that is killed outright leaves the finished cells in its journal, and an older file untouched."""
    suite.out.write_text("an older file")
    suite.conftest(SIGNAL_IN.format(cell="digits-lenet5", n_round=0, signal="SIGKILL"))
    suite.run(*CELLS, subprocess=True)
    entries, _ = durable.read_journal(suite.path / "out.json.journal")
    assert [entry.result.id for entry in entries] == ["digits-snn500", "digits-cnn3l"]
    assert suite.out.read_text() == "an older file"


@pytest.fixture
def leave(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Leave behind what a run does that is killed after some cells: see test_killed."""

    def left(cells: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(durable.Journal, "remove", lambda self: None)
            suite.run("--cells", cells, "--epochs", "1", "--rounds", "1")
        suite.out.unlink()

    return left


def test_resume(suite: Suite, leave: Callable[[str], None]) -> None:
    """--resume runs what the killed run had not finished, and file and table hold all of it."""
    leave("digits-snn500,digits-cnn3l")
    result = suite.run(*CELLS, "--resume")
    result.assert_outcomes(passed=1, deselected=2)
    assert result.ret == pytest.ExitCode.OK
    content = suite.content()
    assert [b["params"]["cell"] for b in content["benchmarks"]] == ["digits-snn500", "digits-cnn3l", "digits-lenet5"]
    assert content["nets"]["not_run"] == []
    result.stdout.fnmatch_lines(["*digits*snn500*397,510*passed*", "*digits*lenet5*61,706*passed*"])


def test_resume_after_a_half_written_line(suite: Suite, leave: Callable[[str], None]) -> None:
    """What a kill left half written is cut off, and a session that only looks takes nothing away."""
    leave("digits-snn500")
    with (suite.path / "out.json.journal").open("a") as stream:
        stream.write('{"nodeid": "half')
    suite.run(*CELLS, "--collect-only")
    suite.run(*CELLS, "--resume").assert_outcomes(passed=2, deselected=1)
    assert len(suite.content()["benchmarks"]) == 3


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_resume_with_nothing_left(suite: Suite, leave: Callable[[str], None], workers: tuple[str, ...]) -> None:
    """If the killed run had finished every cell, resuming writes the file and passes."""
    leave("digits-snn500")
    only = ("--cells", "digits-snn500", "--epochs", "1", "--rounds", "1")
    result = suite.run(*only, "--resume", *workers)
    assert result.ret == pytest.ExitCode.OK
    assert len(suite.content()["benchmarks"]) == 1


def test_resume_a_foreign_journal(suite: Suite) -> None:
    """A journal's line that is none costs itself, and is told of."""
    (suite.path / "out.json.journal").write_text("[]\n")
    result = suite.run("--cells", "digits-snn500", "--epochs", "1", "--rounds", "1", "--resume")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["nets: --resume: *line 1: not a journal's line*"])


def test_resume_with_other_settings(suite: Suite, leave: Callable[[str], None]) -> None:
    """A cell that was made under another seed is run again, and its new record replaces the old one."""
    leave("digits-snn500")
    suite.run(*CELLS, "--seed", "4", "--resume").assert_outcomes(passed=3)
    assert [b["extra_info"]["protocol"]["seed"] for b in suite.content()["benchmarks"]] == [4, 4, 4]


def test_resume_under_another_torch(
    suite: Suite, leave: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell that was made with another torch is run again: one file says one version."""
    leave("digits-snn500")
    monkeypatch.setattr("nets.machine.device.versions", lambda: {"torch": "0"})
    only = ("--cells", "digits-snn500", "--epochs", "1", "--rounds", "1")
    suite.run(*only, "--resume").assert_outcomes(passed=1)


def test_without_resume_an_old_journal_is_set_aside(suite: Suite, leave: Callable[[str], None]) -> None:
    """Another run doesn't take over what a killed one left, nor lose it."""
    leave("digits-snn500")
    suite.run("--cells", "digits-lenet5", "--epochs", "1", "--rounds", "1").assert_outcomes(passed=1)
    assert [b["params"]["cell"] for b in suite.content()["benchmarks"]] == ["digits-lenet5"]
    ((entry,), _) = durable.read_journal(suite.path / "out.json.journal.old")
    assert entry.result.id == "digits-snn500"


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_with_workers(suite: Suite) -> None:
    """A worker writes nothing itself: after Ctrl-C the file holds the finished cells, whole."""
    suite.conftest(
        f"{HANDLED}"
        "def pytest_runtest_logreport(report):\n"
        "    if report.when == 'call' and not os.environ.get('PYTEST_XDIST_WORKER'):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
    )
    result = suite.run(*CELLS, "-n", "1", "--benchmark-autosave")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    content = suite.content()
    assert len(content["benchmarks"]) + len(content["nets"]["not_run"]) == 3
    assert len(content["benchmarks"]) >= 1
    assert content["nets"]["interrupted"] is True
    assert len(list((suite.path / ".benchmarks").rglob("*.json"))) == 1


def test_two_workers(suite: Suite) -> None:
    """With -n 2 the same file comes out, with the worker in each record, and a cell that broke off on one too.

    Another test whose parameter is named like a cell is none.
    """
    (suite.path / "benchmarks" / "test_other.py").write_text(
        "import pytest\n@pytest.mark.parametrize('x', ['digits-snn500'])\ndef test_other(x): pass\n"
    )
    suite.conftest(
        "import os\n"
        "if 'PYTEST_XDIST_WORKER' in os.environ:\n"
        "    import nets.training.making as m\n"
        "    m.MODELS = {name: m.MODELS[name] for name in ('snn500', 'cnn3l')}\n"
    )
    tree(suite.path / "pictures", {part: {"dog": 6, "cat": 6} for part in ("train", "val")})
    (suite.path / "own.py").write_text(
        "import nets\nfrom torch import nn\n@nets.network(dataset='folder:pictures')\ndef own(image, n_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, n_classes))\n"
    )
    cells = ("--nets", "own.py", "--cells", "digits-snn500,digits-lenet5,folder:pictures-own", "--epochs", "1")
    result = suite.run(*cells, "--rounds", "2", "-n", "2")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*digits*snn500*397,510*passed*"])
    assert "automatically disabled" not in result.stderr.str()
    content = suite.content()
    records = {b["params"]["cell"]: b["extra_info"] for b in content["benchmarks"]}
    assert sorted(records) == ["digits-snn500", "folder:pictures-own"]
    everything = [*records.values(), *content["nets"]["unfinished"]]
    workers = {f"{r['cell']['dataset']}-{r['cell']['model']}": r["where"]["worker"] for r in everything}
    assert workers["digits-snn500"] == workers["digits-lenet5"]  # its depth reference
    assert set(workers.values()) == {"gw0", "gw1"}
    assert all(r["where"]["n_cores"] == max(1, len(cores()) // 2) for r in everything)
    assert all(r["where"]["n_workers"] == 2 for r in everything)
    assert content["nets"]["harness"] is None  # they ran at once, so that no split of the wall time is one
    assert all(b["stats"]["rounds"] == 2 for b in content["benchmarks"])
    assert suite.outcomes()["digits-lenet5"] == ("error", ["unknown model 'lenet5'; known: snn500, cnn3l"])
    assert content["nets"]["not_run"] == []


def test_a_worker_that_crashes(suite: Suite) -> None:
    """A worker that dies in mid-cell costs that cell alone, and the file says so."""
    suite.conftest(SIGNAL_IN.format(cell="digits-cnn3l", n_round=0, signal="SIGKILL"))
    result = suite.run(*CELLS, "-n", "1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    content = suite.content()
    assert sorted(b["params"]["cell"] for b in content["benchmarks"]) == ["digits-lenet5", "digits-snn500"]
    (lost,) = content["nets"]["not_run"]
    assert lost["cell"] == "digits-cnn3l"
    assert "crashed" in lost["because"]


def test_the_journal_is_written_before_the_next_cell(suite: Suite) -> None:
    """When a cell begins, the one before it is on the disk."""
    suite.conftest(
        "import json, pathlib\n"
        "def pytest_runtest_logstart(nodeid):\n"
        "    path = pathlib.Path('out.json.journal')\n"
        "    lines = path.read_text().splitlines() if path.exists() else []\n"
        "    with open('seen', 'a') as seen:\n"
        "        seen.write(json.dumps([json.loads(line)['nodeid'] for line in lines]) + '\\n')\n"
    )
    suite.run(*CELLS)
    seen = [json.loads(line) for line in (suite.path / "seen").read_text().splitlines()]
    assert [len(lines) for lines in seen] == [0, 1, 2]

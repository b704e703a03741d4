"""Each way of running pytest that an option of somebody else's asks for, and what it must leave in the file."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from nets.history.archive import read_archive
from tests.support.suite import INI, Suite

ONE = ("--cells", "digits-snn500", "--epochs", "1", "--rounds", "1")
FLAKY = """
ASKED = []
def pytest_nets_check(result):
    ASKED.append(result)
    return "not at first" if len(ASKED) == 1 else None
"""
STALE = """
import pytest
CALLS = []
@pytest.fixture
def judge(judge):
    CALLS.append(1)
    if len(CALLS) == 1:
        return lambda run: (judge(run), pytest.fail("after its record"))
    return lambda run: pytest.fail("before its record")
"""
CODSPEED = """
def pytest_addoption(parser):
    parser.addoption("--codspeed", action="store_true")
"""
NO_PYGAL = "import sys\nsys.modules['pygal'] = None\n"
CRASHES = """
import os, pathlib
def pytest_nets_check(cell):
    if cell.id == "digits-snn500":
        pathlib.Path(f"crash-{os.environ['PYTEST_XDIST_WORKER']}").touch()
        os._exit(3)
"""
REFUSED = pytest.ExitCode.USAGE_ERROR


@dataclass(frozen=True)
class Mode:
    """A way to run pytest, and what must come of it.

    `rounds`: the rounds of each cell with a timing, in the file; None where there must be no file. `unfinished`: the
    failures of each cell without one. `said`: a line of the output.
    """

    arguments: tuple[str, ...]
    ini: str = ""
    conftest: str = ""
    exit: int = 0
    rounds: tuple[int, ...] | None = (1,)
    unfinished: tuple[list[str], ...] = ()
    said: str = "*"
    not_run: list[str] = field(default_factory=list)


def refused(*arguments: str, said: str, ini: str = "", conftest: str = "") -> Mode:
    """One that ends with a sentence before anything is measured."""
    return Mode(arguments, ini=ini, conftest=conftest, exit=REFUSED, rounds=None, said=said)


MODES = {
    "plain": Mode(()),
    "disabled": refused("--benchmark-disable", said="*--benchmark-disable*times nothing*--benchmark-enable*"),
    "disabled in an ini": refused(ini="--benchmark-disable", said="*--benchmark-disable*in an ini file*"),
    "disabled and enabled": Mode(("--benchmark-enable",), ini="--benchmark-disable"),
    "skipped": Mode(("--benchmark-skip",), exit=5, rounds=(), not_run=["digits-snn500"], said="*--benchmark-skip*"),
    "skipped in an ini, only": Mode(("--benchmark-only",), ini="--benchmark-skip"),
    "only": Mode(("--benchmark-only",)),
    "set up only": Mode(("--setup-only",), rounds=None),
    "planned only": Mode(("--setup-plan",), rounds=None),
    "set-up shown": Mode(("--setup-show",)),
    "codspeed": refused("--codspeed", conftest=CODSPEED, said="*pytest-codspeed*run them without it*"),
    "another timer": refused("--benchmark-timer", "time.process_time", said="*--benchmark-timer=*perf_counter*"),
    "grouped": Mode(("--benchmark-group-by", "param:cell")),
    "grouped by what is not there": Mode(
        ("--benchmark-group-by", "param:x"), exit=REFUSED, said="--benchmark-group-by=param:x: not every benchmark*"
    ),
    "profiled": Mode(("--benchmark-cprofile", "tottime")),
    "profiled thrice": Mode(("--benchmark-cprofile", "tottime", "--benchmark-cprofile-loops", "3")),
    "a figure without its library": refused("--benchmark-histogram", conftest=NO_PYGAL, said="*needs pygal*"),
    "a comparison with nothing": refused("--benchmark-compare-fail", "min:5%", said="*no stored run to compare with*"),
    "repeated": Mode(("--count", "2"), rounds=(1, 1), said="digits-snn500 was measured by 2 tests*"),
    "run again": Mode(("--reruns", "1"), conftest=FLAKY),
    "run again, and without a record": Mode(
        ("--reruns", "1"), conftest=STALE, exit=1, rounds=(), unfinished=(["before its record"],)
    ),
    "without garbage collection": Mode(("--benchmark-disable-gc",)),
    "no terminal": Mode(("-p", "no:terminal")),
}
WITH_WORKERS = {
    "only, disabled in an ini": Mode(("-n", "1", "--benchmark-only", "--benchmark-enable"), ini="--benchmark-disable"),
    "disabled": refused("-n", "1", "--benchmark-disable", said="*--benchmark-disable*times nothing*"),
    "each": refused("--dist", "each", "--tx", "popen", said="*--dist each*"),
    "profiled": refused("-n", "1", "--benchmark-cprofile", "tottime", said="*run it without -n*"),
    "a crash": Mode(
        ("-n", "2", "--dist", "loadfile", "--cells", "digits-snn500,digits-lenet5"),
        conftest=CRASHES,
        exit=1,
        not_run=["digits-snn500"],
        said="not run: digits-snn500: *crashed*",
    ),
}


def hold(suite: Suite, mode: Mode) -> None:
    """Run it, and look at the file."""
    suite.pytester.makeini(f"{INI.rstrip()} {mode.ini}\n")
    suite.conftest(mode.conftest)
    result = suite.run(*ONE, *mode.arguments)
    assert result.ret == mode.exit, result.outlines
    if mode.said != "*":
        (result.stderr if mode.exit == REFUSED and mode.rounds is None else result.stdout).fnmatch_lines([mode.said])
    output = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in output
    assert "INTERNALERROR" not in output
    if mode.rounds is None:
        assert not suite.out.exists()
        return
    content = suite.content()
    assert tuple(len(each["extra_info"]["rounds"]) for each in content["benchmarks"]) == mode.rounds
    assert all(each["extra_info"]["outcome"]["status"] == "passed" for each in content["benchmarks"])
    assert all(each["stats"]["rounds"] == len(each["extra_info"]["rounds"]) for each in content["benchmarks"])
    assert tuple(each["outcome"]["failures"] for each in content["nets"]["unfinished"]) == mode.unfinished
    assert [each["cell"] for each in content["nets"]["not_run"]] == mode.not_run


@pytest.mark.parametrize("name", MODES)
def test_alone(suite: Suite, name: str) -> None:
    """Without workers: the file has every cell that was measured, as it was; what can't be right is refused first."""
    hold(suite, MODES[name])


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("name", WITH_WORKERS)
def test_with_workers(suite: Suite, name: str) -> None:
    """With workers the same; and a test that crashes its worker is run once."""
    hold(suite, WITH_WORKERS[name])
    assert len(list(suite.path.glob("crash-*"))) == (name == "a crash")


def test_only_leaves_out_what_is_no_benchmark(suite: Suite, forked: None) -> None:
    """With workers, too, --benchmark-only skips the tests that are no benchmarks."""
    (suite.path / "benchmarks" / "test_other.py").write_text("def test_other(): pass\n")
    suite.run(*ONE, "-n", "1", "--benchmark-only").assert_outcomes(passed=1, skipped=1)


def test_a_mere_trial(suite: Suite) -> None:
    """With --benchmark-disable and no file to write, a cell is trained for one round, and its checks are asked."""
    suite.conftest(FLAKY)
    result = suite.pytester.runpytest_inprocess("benchmarks", "--device", "cpu", *ONE, "--benchmark-disable")
    result.assert_outcomes(failed=1)
    assert not list(suite.path.rglob("*.json"))


def test_a_store_that_is_full(suite: Suite) -> None:
    """Where pytest-benchmark's own store can't be written to, that is said, nothing half written stays, exit 3."""
    suite.conftest(
        "import pathlib\n"
        "OPEN = pathlib.Path.open\n"
        "class Full:\n"
        "    def __init__(self, path): self.stream = OPEN(path, 'wb')\n"
        "    def __enter__(self): return self\n"
        "    def __exit__(self, *_): self.stream.close()\n"
        "    def write(self, content):\n"
        "        self.stream.write(content[:100])\n"
        "        raise OSError(28, 'No space left on device')\n"
        "def opened(path, mode='r', *others, **more):\n"
        "    return Full(path) if '.benchmarks' in path.parts and mode == 'wb' else OPEN(path, mode, *others, **more)\n"
        "def pytest_configure(): pathlib.Path.open = opened\n"
        "def pytest_unconfigure(): pathlib.Path.open = OPEN\n"
    )
    result = suite.run(*ONE, "--benchmark-autosave")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["records: *.benchmarks: the run can't be stored there: No space left on device"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert not list((suite.path / ".benchmarks").rglob("*.json"))
    assert len(suite.content()["benchmarks"]) == 1


def test_an_autosaved_file_with_another_s_nan(suite: Suite) -> None:
    """A NaN of somebody else's benchmark in a file that pytest-benchmark saved by itself hides no cell of it."""
    (suite.path / "benchmarks" / "test_mine.py").write_text(
        "def test_mine(benchmark):\n    benchmark.extra_info['x'] = float('nan')\n    benchmark.pedantic(int)\n"
    )
    suite.run(*ONE, "--benchmark-autosave").assert_outcomes(passed=2)
    (saved,) = (suite.path / ".benchmarks").rglob("*.json")
    assert "NaN" in saved.read_text()
    (run,) = read_archive(saved.parent).runs
    assert [measured.cell for measured in run.cells] == ["digits-snn500"]

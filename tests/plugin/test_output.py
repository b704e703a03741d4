"""The suite beside pytest-benchmark: its options, its command, and other benchmarks in the same session."""

from __future__ import annotations

import json
import sys

import pytest

from nets.records.run_file import read_run
from tests.support.suite import Suite

QUICK = ("--cells", "digits-snn500")
SHORT = (*QUICK, "--epochs", "1", "--rounds", "2")


def test_other_benchmarks_beside(suite: Suite) -> None:
    """A repository's own benchmarks stay in the file, also one by `cell` and one with a NaN, and are no cells."""
    (suite.path / "benchmarks" / "test_mine.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('cell', ['a', 'b'])\n"
        "def test_mine(benchmark, cell):\n"
        "    benchmark.extra_info['x'] = float('nan')\n"
        "    benchmark.pedantic(int, rounds=1)\n"
    )
    suite.run(*SHORT, "--rounds", "1").assert_outcomes(passed=3)
    content = json.loads(suite.out.read_text(), parse_constant=pytest.fail)
    assert sorted(b["name"] for b in content["benchmarks"]) == [
        "test_mine[a]",
        "test_mine[b]",
        "test_train_eval[digits-snn500]",
    ]
    assert [result.id for result in read_run(suite.out).results] == ["digits-snn500"]


def test_pytest_benchmark_reads_the_file(suite: Suite) -> None:
    """The file is a plain pytest-benchmark file: it can be saved, compared with, and listed by its own command."""
    first = suite.run(*SHORT, "--benchmark-save", "one")
    first.assert_outcomes(passed=1)
    second = suite.run(*SHORT, "--benchmark-compare", "--benchmark-compare-fail", "mean:10000%")
    second.assert_outcomes(passed=1)
    second.stdout.fnmatch_lines(["*digits-snn500*NOW*"])
    listed = suite.pytester.run(sys.executable, "-m", "pytest_benchmark", "compare", str(suite.out))
    assert listed.ret == 0
    listed.stdout.fnmatch_lines(["*digits-snn500*"])

"""Bad input on the command line: one clear sentence before the first cell trains, and a non-zero exit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.suite import Suite


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol", "slow"], "*--protocol: invalid choice: 'slow'*quick*article*"),
        (["--pipeline", "fast"], "*--pipeline: invalid choice: 'fast'*resident*article*"),
        (["--cells", "mnist-lenet"], "*--cells: unknown cell 'mnist-lenet'; known: mnist-snn500, *"),
        (["--cells", "svhn-lenet5"], "*--cells: unknown cell 'svhn-lenet5'*"),
        (["--cells", ""], "*--cells: no cell is named*"),
        (["--rounds", "0"], "*--rounds: '0' is not a whole number from 1 to 1,000*"),
        (["--rounds", "-3"], "*--rounds: '-3' is not a whole number*"),
        (["--rounds", "99999999999999999999999"], "*--rounds: '99999999999999999999999' is not a whole number*"),
        (["--rounds", "three"], "*--rounds: 'three' is not a whole number*"),
        (["--epochs", "0"], "*--epochs: '0' is not a whole number*"),
        (["--batch-size", "0"], "*--batch-size: '0' is not a whole number*"),
        (["--seed", "-1"], "*--seed: '-1' is not a whole number*"),
        (["--lr", "nan"], "*--lr: 'nan' is not a number above 0*"),
        (["--device", "tpu"], "*--device: 'tpu' is not one of auto, cpu, cuda, cuda:N*"),
        (["--require-gpu"], "*--require-gpu contradicts --device cpu*"),
        (["--data-dir", ""], "*--data-dir: no folder is named*"),
        (["--benchmark-json", "/proc/out.json"], "*--benchmark-json: the folder /proc can't be written to*"),
        (["--data-dir", "nowhere"], "*--data-dir: nowhere does not exist; make it*"),
        (["--data-dir", "conftest.py"], "*--data-dir: conftest.py is not a folder*"),
        (["--benchmark-json", "nowhere/out.json"], "*--benchmark-json: the folder */nowhere does not exist*"),
        (["--benchmark-json", "benchmarks"], "*--benchmark-json: */benchmarks is a folder*"),
        (["--benchmark-json", "/dev/null"], "*--benchmark-json: /dev/null is not a plain file*"),
    ],
)
def test_refused(suite: Suite, arguments: list[str], message: str) -> None:
    """Each is refused with pytest's usage error and leaves no file."""
    result = suite.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
    assert not suite.out.exists()


@pytest.mark.parametrize(
    "arguments", [["--device", "cuda"], ["--device", "cuda:3"], ["--device", "auto", "--require-gpu"]]
)
def test_no_gpu(suite: Suite, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for a GPU where none works stops the session before a cell, even if devices can be counted."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    result = suite.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no GPU works here: *"])


def test_no_such_gpu(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU beyond the last is refused."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    suite.run("--device", "cuda:2").stderr.fnmatch_lines(["*--device cuda:2: there is no such GPU; found 2*"])


def test_the_data_folder_from_the_environment(suite: Suite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """$NETS_DATA is checked like --data-dir, and named in the message."""
    monkeypatch.setenv("NETS_DATA", str(tmp_path / "gone"))
    suite.run().stderr.fnmatch_lines(["*$NETS_DATA: */gone does not exist*"])


def test_exact_selection(suite: Suite) -> None:
    """--cells selects exact ids, and the tests are named after them."""
    result = suite.run("--cells", "digits-lenet5,mnist-snn500", "--collect-only", "-q")
    found = [line.partition("[")[2].rstrip("]") for line in result.outlines if "::" in line]
    assert found == ["mnist-snn500", "digits-lenet5"]


def test_resume_needs_a_file(pytester: pytest.Pytester, suite: Suite) -> None:
    """--resume without a JSON file has nothing to go on from."""
    result = pytester.runpytest_inprocess("benchmarks", "--device", "cpu", "--resume")
    result.stderr.fnmatch_lines(["*--resume needs the --benchmark-json*"])


def test_without_pytest_benchmark(pytester: pytest.Pytester, suite: Suite) -> None:
    """Without pytest-benchmark there is nothing to time with, and a sentence says so."""
    result = pytester.runpytest_inprocess("benchmarks", "--device", "cpu", "-p", "no:benchmark")
    result.stderr.fnmatch_lines(["*nets needs pytest-benchmark*"])

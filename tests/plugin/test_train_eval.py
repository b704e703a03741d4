"""The benchmark end to end, on small cells: what is in the file, and what becomes of data that are not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from nets.ab.child_plugin import PIPE
from nets.records.run_file import read_run
from tests.support.suite import Suite

QUICK = ("--cells", "digits-snn500")
SHORT = (*QUICK, "--epochs", "1", "--rounds", "2")


def test_the_record(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell's record tells what was run, on what, how it went, and why what is null was not measured."""
    for name in ("nets.training.pipelines.cores", "nets.measuring.cell.cores"):
        monkeypatch.setattr(name, lambda: (0, 1, 2))
    suite.bands("digits-snn500", [0.94, 0.95, 0.96, 0.97, 0.98])
    result = suite.run(*QUICK, "--seed", "7")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*digits*snn500*397,510*shallow*passed*"])
    content = suite.content()
    (benchmark,) = content["benchmarks"]
    record = benchmark["extra_info"]
    assert record["cell"]["dataset"] == "digits"
    assert (record["cell"]["n_train"], record["cell"]["n_test"]) == (1_437, 360)
    assert record["protocol"] == {
        "name": "quick", "epochs": 10, "batch_size": 100, "optimizer": "adam", "lr": 1e-3, "rounds": 3, "seed": 7,
    }  # fmt: skip
    assert [r["seed"] for r in record["rounds"]] == [7, 8, 9]
    assert all(len(r["train_loss"]) == len(r["train_accuracy"]) == 10 for r in record["rounds"])
    table = record["network"].pop("table")
    assert [(layer["name"], layer["parameters"]) for layer in table] == [("1", 392_500), ("3", 5_010)]
    assert record["network"] == {
        "parameters": 397_510, "layers": 2, "hidden_layers": 1, "macs_per_image": 397_000, "macs_per_batch": 0,
        "not_counted": [], "layers_missing_because": None, "declared_layers": 2,
    }  # fmt: skip
    assert record["depth"]["classical"] == "shallow"
    assert (record["band"]["n"], record["band"]["verdict"]) == (5, "inside")
    assert record["gpu"] is None
    assert "ran on the CPU" in record["gpu_missing_because"]
    assert record["where"]["worker"] is None
    assert record["outcome"] == {"status": "passed", "failures": []}
    assert content["nets"]["unfinished"] == content["nets"]["not_run"] == []
    facts = content["machine_info"]["nets"]
    assert facts["versions"]["torch"] == torch.__version__
    assert record["execution"]["threads"] == record["where"]["n_cores"] == 3  # a large batch


@pytest.mark.parametrize("pipeline", ["resident", "article"])
def test_the_predictions(suite: Suite, pipeline: str) -> None:
    """A cell's record has the last round's confusion counts, as many right as its accuracy says, and twelve images."""
    suite.run(*SHORT, "--seed", "7", "--pipeline", pipeline).assert_outcomes(passed=1)
    (benchmark,) = suite.content()["benchmarks"]
    record = benchmark["extra_info"]
    said = record["predictions"]
    assert record["predictions_missing_because"] is None
    assert (said["seed"], said["class_names"]) == (8, list("0123456789"))
    assert sum(said["confusion"][i][i] for i in range(10)) / 360 == record["rounds"][-1]["accuracy"]
    assert [each["place"] for part in ("train", "test") for each in said[part]] == [*range(6), *range(6)]
    assert len(said["mistakes"]) == 6
    assert read_run(suite.out).results[0].to_json() == record


def test_no_predictions_for_nets_ab(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that takes its rounds in turns with another one spends no time on predictions."""
    monkeypatch.setenv(PIPE, "3")
    suite.run(*SHORT).assert_outcomes(passed=1)
    (benchmark,) = suite.content()["benchmarks"]
    record = benchmark["extra_info"]
    assert (record["predictions"], record["predictions_missing_because"]) == (None, "nets ab takes none")


def test_the_clock_is_pytest_benchmark_s(suite: Suite) -> None:
    """Training and evaluation add up to what pytest-benchmark timed, round by round; setup is in neither."""
    suite.run(*SHORT, "--rounds", "3")
    (benchmark,) = suite.content()["benchmarks"]
    timed = benchmark["stats"]["data"]
    assert len(timed) == benchmark["stats"]["rounds"] == 3
    for seconds, r in zip(timed, benchmark["extra_info"]["rounds"], strict=True):
        assert 0 <= seconds - (r["train_s"] + r["eval_s"]) < 0.01
        assert r["setup_s"] > 0


def test_same_seed_same_accuracy(suite: Suite) -> None:
    """A run can be repeated: the same seeds give the same accuracies, whatever ran before them."""
    suite.run(*SHORT, "--seed", "5", "--rounds", "2")
    first = [r["accuracy"] for r in suite.content()["benchmarks"][0]["extra_info"]["rounds"]]
    suite.run(*SHORT, "--seed", "6", "--rounds", "1")
    again = [r["accuracy"] for r in suite.content()["benchmarks"][0]["extra_info"]["rounds"]]
    assert again == first[1:]


def test_custom_protocols_have_no_band(suite: Suite) -> None:
    """Other epochs than the protocol's make it custom, and no band is held against it."""
    suite.bands("digits-snn500", [0.1, 0.11, 0.12])
    suite.run(*SHORT).assert_outcomes(passed=1)
    record = suite.content()["benchmarks"][0]["extra_info"]
    assert record["protocol"]["name"] == "custom"
    assert record["band"] is None
    assert record["band_missing_because"] == "a custom protocol has no reference runs"


@pytest.mark.parametrize(
    ("reference", "side", "meaning"),
    [
        ([0.998, 0.999, 0.9985], "below", "broken training"),
        ([0.5, 0.51, 0.505], "above", "test images in the training"),
    ],
)
def test_accuracy_outside_its_band(suite: Suite, reference: list[float], side: str, meaning: str) -> None:
    """An accuracy on either side of its band fails the cell, and the file and the summary say so."""
    suite.bands("digits-snn500", reference)
    result = suite.run(*QUICK, "--rounds", "1")
    result.assert_outcomes(failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    status, failures = suite.outcomes()["digits-snn500"]
    assert status == "failed"
    assert f"is {side} its band" in failures[0]
    assert meaning in failures[0]
    result.stdout.fnmatch_lines([f"*failed: digits-snn500: mean accuracy *is {side} its band*"])
    assert suite.content()["benchmarks"][0]["extra_info"]["band"]["verdict"] == side


def test_a_finished_cell_is_let_go(suite: Suite) -> None:
    """When a cell begins, nothing of the cells before it is in memory: its data set, batches and networks are gone."""
    suite.conftest(
        "import gc\n"
        "from nets.training.run import CellRun\n"
        "def pytest_runtest_logstart(nodeid):\n"
        "    gc.collect()\n"
        "    with open('alive', 'a') as alive:\n"
        "        alive.write(f'{sum(type(each) is CellRun for each in gc.get_objects())}\\n')\n"
    )
    suite.run("--cells", "digits-snn500,digits-lenet5", "--epochs", "1", "--rounds", "1").assert_outcomes(passed=2)
    before, between = (suite.path / "alive").read_text().split()
    assert between == before  # other tests of this process may have left one


@pytest.mark.usefixtures("no_network")
def test_missing_data_skips_or_fails(suite: Suite) -> None:
    """Missing data skips its cell with the reason, or fails it with --require-data; embedded cells run all the same."""
    cells = ("--cells", "mnist-snn500,digits-snn500", "--epochs", "1", "--rounds", "1")
    result = suite.run(*cells)
    result.assert_outcomes(passed=1, skipped=1)
    assert result.ret == pytest.ExitCode.OK
    (missing,) = suite.content()["nets"]["not_run"]
    assert missing["cell"] == "mnist-snn500"
    result.stdout.fnmatch_lines(["not run: mnist-snn500: mnist: not in data, and it could not be downloaded: *"])
    assert "could not be downloaded: " in missing["because"]
    result = suite.run(*cells, "--require-data")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    status, failures = suite.outcomes()["mnist-snn500"]
    assert status == "error"
    assert "no network in this test" in failures[0]


@pytest.mark.usefixtures("no_network")
def test_nothing_ran_is_no_pass(suite: Suite) -> None:
    """A session whose every cell was skipped doesn't end with 0."""
    result = suite.run("--cells", "mnist-snn500")
    result.assert_outcomes(skipped=1)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["not run: mnist-snn500: *"])
    assert suite.content()["benchmarks"] == []


def test_altered_data_fails(suite: Suite, data_root: Path) -> None:
    """Altered data is never skipped: the cell fails, and says which file."""
    raw = suite.path / "real" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in (data_root / "MNIST" / "raw").iterdir():
        (raw / path.name).write_bytes(path.read_bytes()[:-1] if path.name.startswith("t10k-images") else b"short")
    suite.run("--cells", "mnist-snn500", "--data-dir", str(suite.path / "real")).assert_outcomes(errors=1)
    status, failures = suite.outcomes()["mnist-snn500"]
    assert status == "error"
    assert "is not the published file" in failures[0]


def test_both_pipelines(suite: Suite) -> None:
    """The article's pipeline gives a record of the same kind."""
    suite.run(*SHORT, "--pipeline", "article").assert_outcomes(passed=1)
    record = suite.content()["benchmarks"][0]["extra_info"]
    assert record["pipeline"] == "article"
    assert record["accuracy"]["mean"] > 0.6


def test_no_progress_in_a_log(suite: Suite) -> None:
    """Where no person watches there is no progress line."""
    assert "\x1b[K" not in suite.run(*SHORT).stdout.str()


def test_data_that_does_not_fit_the_device(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set that is larger than the device fails its cells with a sentence that names both sizes."""
    monkeypatch.setattr("nets.datasets.data.free_bytes", lambda device: 2**20)
    result = suite.run("--cells", "digits-snn500")
    result.assert_outcomes(errors=1)
    ((status, failures),) = suite.outcomes().values()
    assert status == "error"
    assert (
        "takes 11 MiB as float32, and 1 MiB are free there; --pipeline article loads it batch by batch" in failures[0]
    )
    assert "Traceback" not in result.stdout.str()


def test_a_library_s_warning_costs_nothing(suite: Suite) -> None:
    """A module that warns where it is imported, as the package `pynvml` does beside torch, ends no benchmark."""
    options = "--import-mode=importlib -p no:cacheprovider -p no:hypothesispytest"
    suite.pytester.makeini(f"[pytest]\naddopts = {options}\nfilterwarnings = error\n")
    warning = "import warnings\nwarnings.warn('The pynvml package is deprecated', FutureWarning, stacklevel=2)\n"
    suite.pytester.makepyfile(pynvml=warning, warns=warning)
    suite.conftest("def pytest_nets_check(cell, result):\n    import warns\n")
    suite.pytester.syspathinsert()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(suite.path), prepend=os.pathsep)
        result = suite.run("--cells", "digits-snn500", "--epochs", "1", "--rounds", "1", subprocess=True)
    result.assert_outcomes(passed=1, warnings=2)
    assert suite.outcomes() == {"digits-snn500": ("passed", [])}

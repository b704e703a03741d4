"""Which cell a record is of: by what its report carries, whatever the test is called, on workers and without."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.support.pictures import tree
from tests.support.suite import REPOSITORY, Suite

pytestmark = pytest.mark.usefixtures("forked")

NETWORKS = """
from torch import nn
from nets import network

@network(dataset=["digits", "folder:pictures"], name="größer")
class Larger(nn.Module):
    def __init__(self, image, n_classes):
        super().__init__()
        self.layer = nn.Linear(image[0] * image[1] * image[2], n_classes)

    def forward(self, images):
        return self.layer(images.flatten(1))
"""

TWICE_TWICE = """
import pytest

@pytest.mark.repeat(2)
@pytest.mark.parametrize("width", [1, 2])
def test_twice(benchmark, cell_run, judge, width):
    benchmark.pedantic(cell_run.timed, setup=cell_run.setup, teardown=cell_run.teardown, rounds=1, iterations=1)
    judge(cell_run)
"""

FAST = ("--rounds", "1", "--epochs", "1")


def id_of(record: dict[str, Any]) -> str:
    """The id of a record's cell."""
    return f"{record['cell']['dataset']}-{record['cell']['model']}"


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "-n 2"])
def test_every_record_is_in_the_file(suite: Suite, workers: tuple[str, ...]) -> None:
    """A name that pytest escapes, a bracket in a path, a second parameter, repetitions: no record is lost or doubled.

    Two records of one cell are told apart, and told of. The cells of a data set, one's own and LeNet-5, stay together,
    also where no built-in cell uses it, so that each is judged by its cost.
    """
    suite.conftest("import gc\ndef pytest_runtest_setup(): gc.freeze()\n")  # else 0.25 s a cell for collecting
    (suite.path / "my_nets.py").write_text(NETWORKS)
    tree(suite.path / "pictures", {part: {"dog": 6, "cat": 6} for part in ("train", "val")})
    (suite.path / "benchmarks" / "a[1]-b").mkdir()
    (suite.path / "benchmarks" / "a[1]-b" / "test_x.py").write_text(TWICE_TWICE)
    cells = [f"{dataset}-{model}" for dataset in ("digits", "folder:pictures") for model in ("größer", "lenet5")]
    arguments = (*FAST, "--nets", "my_nets.py", "--cells", ",".join(cells), *workers)
    result = suite.run(*arguments)
    result.assert_outcomes(passed=5 * len(cells))
    assert result.ret == 0
    benchmarks, block = suite.content()["benchmarks"], suite.content()["nets"]
    records = [benchmark["extra_info"] for benchmark in benchmarks]
    assert Counter(map(id_of, records)) == dict.fromkeys(cells, 5)
    assert (block["not_run"], block["unfinished"]) == ([], [])
    names = [benchmark["fullname"] for benchmark in benchmarks]
    assert len(set(names)) == len(names)
    assert all(name in result.stdout.str() for name in names)
    assert {str(benchmark["params"].get("width")) for benchmark in benchmarks} == {"None", "1", "2"}
    result.stdout.fnmatch_lines(["*digits-größer was measured by 5 tests, each with a record of its own*"])
    places = {(record["cell"]["dataset"], record["where"]["worker"]) for record in records}
    assert len(places) == 2
    assert len({worker for _, worker in places}) == (2 if workers else 1)
    assert all(record["depth"]["reference"] == f"{record['cell']['dataset']}-lenet5" for record in records)


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "-n 1"])
def test_plugins_under_another_name(suite: Suite, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]) -> None:
    """pytest-benchmark and xdist are used, whatever name they were loaded under."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    loaded = ("-p", "pytest_benchmark.plugin", "-p", "xdist.plugin", "-p", "xdist.looponfail")
    result = suite.run(*loaded, *FAST, "--cells", "digits-snn500", *workers)
    assert result.ret == 0
    assert [id_of(benchmark["extra_info"]) for benchmark in suite.content()["benchmarks"]] == ["digits-snn500"]


def test_the_copied_benchmark_reaches_into_no_room() -> None:
    """What other repositories copy imports nothing of nets but `nets.typing`."""
    lines = (REPOSITORY / "benchmarks" / "test_train_eval.py").read_text().splitlines()
    assert [line for line in lines if "nets" in line and "import" in line] == [
        "from nets.typing import CellRun, Result"
    ]

"""Anybody's network is trained as it was written, counted as far as that can be told, or refused with the reason."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.support.suite import INI, REPOSITORY, Suite

NETS = REPOSITORY / "tests" / "plugin" / "own_nets.py"
CONTIGUOUS = {"execution.memory_format": "contiguous"}
# the cell -> fields of its record
TRAINED: dict[str, dict[str, Any]] = {
    "digits-Viewed": CONTIGUOUS | {"network.layers": 2},
    "shapes-Viewed": CONTIGUOUS | {"network.layers": 2},
    "shapes-ViewedColour": CONTIGUOUS | {"network.layers": 1},
    "digits-standardised": CONTIGUOUS | {"network.layers": 3},
    "digits-ComplexFilter": {},
    "digits-Grown": {
        "network.layers": 2,
        "network.parameters": 785 * 32 + 330,
        "execution.memory_format": "channels_last",
    },
    "digits-GrownWhole": {"network.layers": 1, "network.parameters": 7850},
    "digits-InPlace": CONTIGUOUS | {"network.layers": 2},
    "digits-Hidden": {
        "network.layers": None,
        "network.macs_per_image": None,
        "network.declared_layers": 1,
        "network.parameters": 7840,
        "depth.classical": None,
    },
    "digits-HiddenUndeclared": {"network.layers": None, "network.declared_layers": None},
    "digits-warns_in_a_transformer": {},
    "digits-WarnsOfADimension": {"network.layers": 1},
    "digits-warns_of_weight_norm": {"network.layers": 1},
    "digits-warns_of_jit": {"network.layers": 1},
    "digits-LeavesAFileOpen": {"network.layers": 1},
}
REFUSED = {
    "digits-GrowsOn": "the network makes new parameters in every `forward`",
    "digits-FailsInTraining": "a training step raised ValueError: not yet (own_nets.py, line ",
    "digits-ReturnsADataclass": "the network returned a Output, not one tensor (100, 10): return the logits alone",
}


def at(record: dict[str, Any], path: str) -> Any:
    """A field by its path."""
    part, _, name = path.partition(".")
    return record[part][name]


@pytest.fixture
def strict(suite: Suite) -> Suite:
    """A repository with the networks, in which every warning is an error."""
    shutil.copy(NETS, suite.path)
    suite.pytester.makeini(f"{INI}filterwarnings = error\n")
    return suite


def test_trained(strict: Suite) -> None:
    """Each learns, whatever it warns of, and its record says how it was run and what was counted."""
    cells = ("--nets", NETS.name, "--cells", ",".join(TRAINED))
    result = strict.run(*cells, "--epochs", "1", "--rounds", "1", "--lr", "0.003")
    result.assert_outcomes(passed=len(TRAINED))
    records = {each["params"]["cell"]: each["extra_info"] for each in strict.content()["benchmarks"]}
    assert {cell: {path: at(records[cell], path) for path in fields} for cell, fields in TRAINED.items()} == TRAINED
    assert all(record["accuracy"]["mean"] > 0.3 for record in records.values())
    result.stdout.fnmatch_lines(["*Hidden *1 declared*", "digits-Hidden: layers not counted: *own_nets::product*"])


def test_refused(strict: Suite) -> None:
    """What can't be trained says why, and still shows what was counted."""
    strict.run("--nets", NETS.name, "--cells", ",".join(REFUSED), "--epochs", "1").assert_outcomes(failed=len(REFUSED))
    outcomes = strict.outcomes()
    for cell, sentence in REFUSED.items():
        status, (failure,) = outcomes[cell]
        assert status == "error"
        assert failure.startswith(f"{cell}: {sentence}")
    assert [at(record, "network.layers") for record in strict.content()["nets"]["unfinished"]] == [1, 1, 1]


@pytest.mark.usefixtures("forked")
def test_an_import_that_sets(strict: Suite) -> None:
    """What a file sets for the whole process while it is imported is put back, and told of: no cell has it."""
    path = strict.path / NETS.name
    path.write_text(path.read_text() + "\ntorch.use_deterministic_algorithms(True)\ntorch.set_num_threads(1)\n")
    strict.conftest(
        "import torch\ndef pytest_nets_check():\n    assert not torch.are_deterministic_algorithms_enabled()\n"
    )
    arguments = ("--nets", NETS.name, "--cells", "digits-snn500", "--epochs", "1", "--rounds", "1")
    result = strict.run(*arguments, subprocess=True)
    result.assert_outcomes(passed=1)
    result.stderr.fnmatch_lines([f"*importing {NETS.name} changed * for the whole process: put back*"])


def test_a_default_dtype_of_others(suite: Suite) -> None:
    """What a test module sets while it is collected spoils no cell, is told of, and stays as it was set."""
    suite.conftest(
        "import torch\n"
        "def pytest_collection_finish(): torch.set_default_dtype(torch.float64)\n"
        "def pytest_unconfigure():\n"
        "    assert torch.get_default_dtype() == torch.float64\n"
        "    torch.set_default_dtype(torch.float32)\n"
    )
    result = suite.run("--cells", "digits-snn500", "--epochs", "1", "--rounds", "1")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*the default dtype is torch.float64: cells are measured with float32*"])
    assert suite.content()["benchmarks"][0]["extra_info"]["network"]["layers"] == 2

"""Who runs where under xdist: a GPU or a share of the cores each, and a data set's cells together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nets.machine import cpu, places
from nets.machine.visible import visible_gpus
from nets.plugin import workers
from nets.plugin.session import PlannedCell
from tests.support.forking import FORKS
from tests.support.shared import made_once
from tests.support.stub_driver import environment
from tests.support.suite import INI, ONE_LINE

UUIDS = [f"GPU-00000000-0000-0000-0000-00000000000{i}" for i in range(4)]

# CUDA is not there: the controller's torch is told that it is, and no test here puts it to use
CONFTEST = """
import os
if "PYTEST_XDIST_WORKER" not in os.environ:
    import torch
    torch.cuda.is_available = lambda: True
    torch.cuda.device_count = lambda: 4
"""
LOOK = """
import json, os, pathlib, pytest
@pytest.mark.parametrize("i", range(8))
def test_look(i, pytestconfig):
    from nets.machine import nvml
    entry = os.environ["CUDA_VISIBLE_DEVICES"]
    uuid = nvml.NvmlDevice(nvml.gpu_uuids()[int(entry)] if entry.isdigit() else entry).facts().uuid
    seen = pathlib.Path(f"seen-{os.environ['PYTEST_XDIST_WORKER']}")
    seen.write_text(json.dumps([entry, uuid]))
"""


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ("a", "b")),
        ("2,3", ("2", "3")),
        (" GPU-x , MIG-y", ("GPU-x", "MIG-y")),
        ("0,-1,1", ("0",)),
        ("", ()),
        ("1,1,0", ("1", "0")),
    ],
)
def test_visible_gpus(visible: str | None, expected: tuple[str, ...]) -> None:
    """The caller's entries as they are written, once each, up to the first that hides the rest; else all UUIDs."""
    assert visible_gpus(visible, ["a", "b"]) == expected


@given(n_workers=st.integers(1, 40), cores=st.lists(st.integers(0, 500), min_size=1, max_size=64, unique=True))
def test_shares(n_workers: int, cores: list[int]) -> None:
    """Every worker has a core; with enough of them none is shared, none is idle, and shares differ by one at most."""
    dealt = cpu.shares(n_workers, cores)
    assert len(dealt) == n_workers
    assert all(share and set(share) <= set(cores) for share in dealt)
    if n_workers <= len(cores):
        assert [core for share in dealt for core in share] == cores
        assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


CELLS = ("test_cells.py", "--cells", "digits-snn500,digits-lenet5")

# the folder of a session -> the CUDA_VISIBLE_DEVICES that it is called under, and what is run after the look
SESSIONS = {
    "one each": (None, (*CELLS, "-n", "auto")),
    "within a list": ("2,3", ("-n", "2")),
    "too few": ("3", (*CELLS, "-n", "2")),
}
# one after the other in one process, of which its workers are forked, too; a session's output is in its folder
RUN = f"""
import json, pytest
from tests.support import forking
forking.prepare()
{FORKS}
for folder, (visible, arguments) in json.loads(sys.argv[1]).items():
    os.chdir(folder)
    for name, stream in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), stream)
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    code = pytest.main(["test_look.py", "--no-loadscope-reorder", *arguments])
    sys.stdout.flush()
    open("code", "w").write(str(int(code)))
"""


@dataclass(frozen=True)
class Ran:
    """What a session left. `seen`: worker -> its CUDA_VISIBLE_DEVICES, and that GPU's UUID."""

    result: pytest.RunResult
    seen: Mapping[str, Any]


@pytest.fixture(scope="module")
def on_four_gpus(stub_driver: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Ran]:
    """The sessions, on a machine whose driver, the stub, knows four GPUs: it is found when a process starts.

    They are run once, whichever of xdist's workers asks first.
    """
    top = made_once(tmp_path_factory, "four-gpus", partial(run_sessions, driver=stub_driver))
    return {name: left_in(top / name) for name in SESSIONS}


def run_sessions(top: Path, driver: Path) -> None:
    """Run them, each in a folder of its own."""
    for name in SESSIONS:
        (top / name).mkdir(parents=True)
        (top / name / "pytest.ini").write_text(INI)
        (top / name / "conftest.py").write_text(ONE_LINE + CONFTEST)
        (top / name / "test_look.py").write_text(LOOK)
        (top / name / "test_cells.py").write_text("def test_cell(cell_run): pass\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "NETS_"))}
    subprocess.run(
        [sys.executable, "-c", RUN, json.dumps({str(top / name): session for name, session in SESSIONS.items()})],
        env=kept | environment(driver) | {"NVML_STUB": "gpus=4", "OPENBLAS_NUM_THREADS": "1"},
        check=True,
    )


def left_in(folder: Path) -> Ran:
    """What a session left in its folder."""
    out, err = ((folder / name).read_text().splitlines() for name in ("stdout", "stderr"))
    seen = {path.name.removeprefix("seen-"): json.loads(path.read_text()) for path in folder.glob("seen-*")}
    return Ran(pytest.RunResult(int((folder / "code").read_text()), out, err, 0.0), seen)


def test_one_gpu_each(on_four_gpus: Mapping[str, Ran]) -> None:
    """Four workers get four different GPUs, by UUID, and -n auto starts four.

    Where the controller found GPUs, a worker on which none works fails its cells; it does not take the CPU.
    """
    ran = on_four_gpus["one each"]
    ran.result.assert_outcomes(passed=8, errors=2)
    ran.result.stdout.fnmatch_lines(["*cuda: Stub H100*"])
    ran.result.stdout.fnmatch_lines(["*--device cuda: no GPU works here: *"])
    assert ran.seen == {f"gw{i}": [UUIDS[i], UUIDS[i]] for i in range(4)}


def test_within_the_caller_s_list(on_four_gpus: Mapping[str, Ran]) -> None:
    """Under CUDA_VISIBLE_DEVICES=2,3 two workers get GPUs 2 and 3, as the caller wrote them."""
    ran = on_four_gpus["within a list"]
    ran.result.assert_outcomes(passed=8)
    assert ran.seen == {"gw0": ["2", UUIDS[2]], "gw1": ["3", UUIDS[3]]}


@pytest.mark.parametrize(
    ("n_workers", "wanted", "gpus", "message"),
    [
        (4, "auto", UUIDS, None),
        (5, "auto", UUIDS, f"-n 5: 5 workers, but 4 GPUs ({', '.join(UUIDS)}): each worker has one to itself"),
        (2, "cuda", ["3"], "-n 2: 2 workers, but 1 GPU (3): each worker has one to itself"),
        (2, "cuda:1", UUIDS, "--device cuda:1 names one GPU, and -n 2 wants one for each worker"),
        (1, "cuda:1", UUIDS, None),
    ],
)
def test_refusals(n_workers: int, wanted: str, gpus: list[str], message: str | None) -> None:
    """More workers than GPUs, and one named GPU for several, are refused with the numbers and the GPUs."""
    assert places.refusal(n_workers, wanted, gpus, f"-n {n_workers}") == message


def test_more_workers_than_gpus(on_four_gpus: Mapping[str, Ran]) -> None:
    """Every cell on more workers than GPUs is refused before it begins, without a traceback; other tests may run."""
    result = on_four_gpus["too few"].result
    result.assert_outcomes(passed=8, errors=2)
    result.stdout.fnmatch_lines(["-n 2: 2 workers, but 1 GPU (3): each worker has one to itself"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_cells_of_a_data_set_stay_together() -> None:
    """The tests of a data set's cells are one scope, by what the worker said of them; any other test is its own."""
    scheduler = workers.Together.__new__(workers.Together)
    scheduler._planned = {
        "t.py::test[x]": PlannedCell("mnist-x", "mnist"),
        "t.py::test[2-\\xe4]": PlannedCell("mnist-ä", "mnist"),
        "t.py::test[y]": PlannedCell("digits-y", "digits"),
    }
    split = scheduler._split_scope
    assert split("t.py::test[x]") == split("t.py::test[2-\\xe4]") != split("t.py::test[y]")
    assert split("t.py::test[mnist-lenet5]") == "t.py::test[mnist-lenet5]"
    assert split("t.py::test") == "t.py::test"

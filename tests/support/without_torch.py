"""A benchmark without torch, whose rounds sleep: what the sides of `nets ab` run where only their turns are tested."""

from __future__ import annotations

from pathlib import Path

from tests.support.records import record

# the first imports all of hypothesis for its summary, the other comes with a library of others
INI = "[pytest]\naddopts = -p no:hypothesispytest -p no:anyio\n"
CONFTEST = """
import time
from pathlib import Path
import pytest
import pytest_benchmark.plugin

pytest_benchmark.plugin.get_cpu_info = dict  # a second each time

def pytest_addoption(parser):
    parser.addoption("--cells", default="")
    parser.addoption("--rounds", type=int)
    parser.addoption("--seed", type=int)
    parser.addoption("--no-trace", action="store_true")
    parser.addini("nets_bands", "")

@pytest.fixture
def cell_run(pytestconfig):
    return pytestconfig.getoption("--rounds")

def event(*words):
    with Path(EVENTS).open("a") as file:
        print(*words, time.monotonic(), file=file)

def finished(benchmark, n):
    pass
"""
BENCHMARK = """
import os, time
import pytest
from conftest import event, finished

@pytest.mark.parametrize("cell", CELLS)
def test_train_eval(benchmark, cell_run, cell):
    n = 0
    def work():
        nonlocal n
        event(SIDE, cell, "begin", n)
        n += 1
        if FAULT[0] == cell and n == FAULT[1]:
            FAULT[2]()
        time.sleep(SECONDS)
        event(SIDE, cell, "end", n - 1)
    benchmark.pedantic(work, rounds=cell_run, iterations=1)
    event(SIDE, cell, "after", n)
    finished(benchmark, n)

def test_something_else():
    event(SIDE, "else", "begin", 0)
"""
RECORDING = """
def finished(benchmark, n):
    one, data = RECORD["rounds"][0], benchmark.stats.stats.data
    rounds = [{**one, "seed": SEED + i, "train_s": s - 1e-4, "eval_s": 1e-4} for i, s in enumerate(data)]
    cell = {**RECORD["cell"], "model": "cnn3l" if benchmark.params["cell"] == "b" else "lenet5"}
    protocol = {**RECORD["protocol"], "seed": SEED}
    accuracy = {**RECORD["accuracy"], "std": 0.0 if len(rounds) > 1 else None}
    changes = {"cell": cell, "protocol": protocol, "rounds": rounds, "accuracy": accuracy}
    benchmark.extra_info.update({**RECORD, **changes})

def pytest_configure(config):
    global SEED
    SEED = config.getoption("--seed")
    if not set(config.getoption("--cells").split(",")) <= {"", *CELLS}:
        raise pytest.UsageError("--cells: there is no such cell")

def pytest_benchmark_update_json(output_json):
    output_json["nets"] = {"schema": 1}

def pytest_benchmark_update_machine_info(machine_info):
    machine_info["nets"] = {}
"""


def without_torch(seconds: float = 0.5) -> dict[str, str]:
    """A repository with a cell that takes so long a round, and has a record that says so."""
    events = str(Path("..", "events").resolve())
    head = f"EVENTS, SIDE, CELLS = {events!r}, 'x', ('a',)\nRECORD = {record().to_json()!r}\n"
    return {
        "pytest.ini": INI,
        "conftest.py": head + CONFTEST + RECORDING,
        ".gitignore": "__pycache__\n",
        "benchmarks/test_cells.py": f"{head}SECONDS = {seconds}\n{BENCHMARK}\nFAULT = (None, 0, None)\n",
    }

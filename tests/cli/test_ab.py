"""`nets ab` as it is called: a real A/B of two commits, what it refuses, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner, Result

from nets.ab import worktree
from nets.cli import ab_options
from nets.cli.app import app
from nets.records import durable
from tests.ab.test_child import in_session
from tests.ab.test_interleave import BENCHMARK, CONFTEST, INI
from tests.support.records import record
from tests.support.repositories import commit, git, made, nothing_left


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That one stands in."""
    return made(tmp_path, monkeypatch)


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


def ran(*arguments: str) -> Result:
    """Call the command."""
    return CliRunner().invoke(app, ["ab", *arguments])


def test_two_commits(repository: Path) -> None:
    """A head that takes longer regresses, by sittings that both files name; the worktrees are gone.

    A named cell that head no longer knows is missing, and keeps nothing else from being measured.
    """
    commit({name: text.replace("('a',)", "('a', 'b')") for name, text in without_torch(0.01).items()})
    commit(without_torch(0.05))
    options = ("--cells", "a,b", "--restart-every", "2")
    done = ran("HEAD~1", "HEAD", *options, "--markdown", "x.md", "--json", "x.json")
    assert done.exit_code == 1, done.output
    sides = [json.loads(Path("nets-ab", f"{side}.json").read_bytes()) for side in ("base", "head")]
    pairing, again = sides[0]["nets"]["pairing"], [side["nets"]["confirmation"] for side in sides]
    assert (pairing, pairing["rounds"]) == (sides[1]["nets"]["pairing"], 2)
    assert again[0]["pairing"] == again[1]["pairing"] != pairing
    assert [[cell["cell"]["model"] for cell in side["cells"]] for side in again] == [["lenet5"]] * 2
    assert all(round_["seed"] >= 96 for side in again for cell in side["cells"] for round_ in cell["rounds"])
    assert [side["commit_info"]["id"] for side in sides] == git("rev-parse", "HEAD~1", "HEAD").split()
    seeds = [[r["seed"] for r in side["benchmarks"][0]["extra_info"]["rounds"]] for side in sides]
    assert seeds == [list(range(12))] * 2
    assert [[b["stats"]["rounds"] for b in side["benchmarks"]] for side in sides] == [[12, 2], [12]]
    found = {(f["cell"], f["metric"]): f for f in json.loads(Path("x.json").read_bytes())["findings"]}
    total = found["mnist-lenet5", "total_s"]
    assert total["status"] == "regressed"
    assert total["effect"] > 1
    assert "confirmed by a second measurement, of other data: 7 sittings" in total["because"]
    assert "the first measurement: +" in total["because"]
    assert found["mnist-cnn3l", "cell"]["status"] == "missing"
    assert "head doesn't know b\n" in done.output
    assert "regressed" in Path("x.md").read_text()
    assert "sitting 6: a +" in done.output
    assert ": slower\n" in done.output
    nothing_left(repository)


def test_a_subfolder_against_the_working_tree(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run from a subfolder, a revision is run in the same one; `.` has changes that no commit has, which is its use.

    Rounds are timed though the repository's ini file says that benchmarks are not.
    """
    files = without_torch(0.01) | {"pytest.ini": f"{INI.rstrip()} --benchmark-disable --benchmark-skip\n"}
    commit({f"sub/{name}": text for name, text in files.items()})
    monkeypatch.chdir("sub")
    Path("benchmarks/test_cells.py").write_text(without_torch(0.05)["benchmarks/test_cells.py"])
    done = ran("HEAD", ".", "--max-sittings", "7", "--restart-every", "1")
    assert "confirmation, sitting 7: a +" in done.output, done.output
    assert done.exit_code == 1
    nothing_left(repository)


def test_a_cell_that_neither_knows(repository: Path) -> None:
    """A mistyped cell is refused, and nothing is measured."""
    commit(without_torch())
    done = ran("HEAD", "HEAD", "--cells", "a,z")
    assert done.exit_code == 2
    assert "--cells: there is no such cell" in done.stderr
    assert "looks after" not in done.output
    nothing_left(repository)


def test_two_tests_of_one_cell(repository: Path) -> None:
    """Two tests that measure one cell can't be told apart later, which the first sitting shows."""
    files = without_torch(0.01)
    commit({name: text.replace("('a',)", "('a', 'c')") for name, text in files.items()})
    done = ran("HEAD", "HEAD")
    assert done.exit_code == 2
    assert "name one test with --tests" in done.stderr
    assert "sitting 2" not in done.output
    nothing_left(repository)


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGINT, signal.SIGINT], [signal.SIGTERM]])
def test_interrupted(repository: Path, signals: list[signal.Signals]) -> None:
    """Once, Ctrl-C ends it after the round; twice, and a SIGTERM, at once. The worktrees are removed, rounds kept."""
    commit(without_torch())
    events = repository.parent / "events"
    command = [sys.executable, "-m", "nets", "ab", "HEAD", "HEAD", "--out", "nets-ab"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("looks after" in line for line in process.stdout)
        while not events.is_file() or events.read_text().count("end") < 2:  # a round of each
            assert process.poll() is None
            time.sleep(0.01)
        for i, each in enumerate(signals):
            assert len(git("worktree", "list").splitlines()) == 3
            process.send_signal(each)
            if i + 1 < len(signals):
                assert process.stderr is not None
                assert "stopping after the round" in process.stderr.readline()
        _, stderr = process.communicate(timeout=60)
    nothing_left(repository)
    assert "Traceback" not in stderr, stderr
    if signals == [signal.SIGINT]:
        assert process.returncode == 130
        sides = [json.loads(Path("nets-ab", f"{side}.json").read_bytes()) for side in ("base", "head")]
        n_rounds = [len(side["benchmarks"][0]["stats"]["data"]) for side in sides]
        assert n_rounds in ([1, 1], [1, 2], [2, 2])
        assert [len(side["benchmarks"][0]["extra_info"]["rounds"]) for side in sides] == n_rounds
    else:
        assert process.returncode == (130 if signals[0] == signal.SIGINT else 143)
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def refused(*arguments: str) -> str:
    """Why a call is refused: exit 2, one line, no traceback."""
    done = ran(*arguments)
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


@pytest.mark.parametrize("signals", [[signal.SIGKILL], [signal.SIGINT, signal.SIGINT]])
def test_finished_sittings_are_kept(repository: Path, signals: list[signal.Signals]) -> None:
    """Killed, or told twice to stop, it leaves the finished sittings, no process, and no worktree at the next start."""
    commit(without_torch(0.2))
    command = [sys.executable, "-m", "nets", "ab", "HEAD", "HEAD", "--restart-every", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert any("sitting 1:" in line for line in process.stdout)
        while not (sides := psutil.Process(process.pid).children()):
            time.sleep(0.01)
        process.send_signal(signals[0])
        if len(signals) > 1:
            assert "stopping after the round" in process.stderr.readline()
            process.send_signal(signals[1])
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == (130 if len(signals) > 1 else -signal.SIGKILL), stderr
    assert "Traceback" not in stderr
    limit = time.monotonic() + 20
    while any(in_session(side.pid) for side in sides) and time.monotonic() < limit:
        time.sleep(0.01)
    assert not any(in_session(side.pid) for side in sides)
    files = [json.loads(Path("nets-ab", f"{side}.json").read_bytes()) for side in ("base", "head")]
    assert all(file["benchmarks"][0]["stats"]["data"] for file in files)
    assert "there is no revision nosuch" in refused("nosuch", "HEAD")
    with worktree.checked_out("HEAD", "."):
        pass
    nothing_left(repository)


def test_an_output_that_another_run_writes(repository: Path) -> None:
    """A second run with the same --out is refused while the first one lives."""
    commit(without_torch())
    out = Path("nets-ab").absolute()
    with durable.sole_writer(out / "head.json", "--out"):
        assert "--out: another run, not ended yet, is to write" in refused("HEAD", "HEAD")
    nothing_left(repository)


def test_an_earlier_output_stays_until_there_is_a_new_one(repository: Path) -> None:
    """A run that measures nothing leaves the files of the run before, and doesn't judge them."""
    commit({name: text.replace("('a',)", "()") for name, text in without_torch().items()})
    Path("nets-ab").mkdir()
    for side in ("base", "head"):
        Path("nets-ab", f"{side}.json").write_text(side)
    assert "left no JSON file" in refused("HEAD", "HEAD")
    assert [Path("nets-ab", f"{side}.json").read_text() for side in ("base", "head")] == ["base", "head"]
    nothing_left(repository)


def test_an_absent_submodule_is_refused(repository: Path) -> None:
    """Before anything is measured the side without its submodule is refused by name, with what to do."""
    commit({name: text.replace("('a',)", "()") for name, text in without_torch().items()})
    Path("x").mkdir()
    Path(".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = ../nosuch\n')
    git("update-index", "--add", "--cacheinfo", f"160000,{git('rev-parse', 'HEAD').strip()},x")
    git("add", ".gitmodules")
    git("commit", "--quiet", "-m", "x")
    for side, revisions in (("base", ("HEAD", "HEAD~1")), ("head", ("HEAD~1", "HEAD"))):
        told = refused(*revisions)
        assert f"{side}: its submodule x (" in told
        assert "git submodule update --init" in told
    nothing_left(repository)


def test_own_networks(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each side is told of a file by its place from the folder of the call, however it was named; of a module as it is.

    What lies in no revision is named whole, and has to be there.
    """
    commit({"own/x.py": "", "sub/y.py": ""})
    monkeypatch.chdir("sub")
    (outside := repository.parent / "outside.py").touch()
    given = ["../own/x.py", str(repository / "sub" / "y.py"), "mine.nets", "../../outside.py"]
    how = ab_options._arguments("t", [*map(ab_options._network, given)], {}, Path("data"), [])
    assert how[3:] == ("--nets=../own/x.py", "--nets=y.py", "--nets=mine.nets", f"--nets={outside}")
    assert "--nets: ../../nosuch.py: there is no such file" in refused("HEAD", "HEAD", "--nets", "../../nosuch.py")


def test_a_file_of_networks_that_one_side_lacks(repository: Path) -> None:
    """It is that side's pytest that says so, and the side is named."""
    commit({"conftest.py": 'pytest_plugins = ["nets.plugin"]\n', "benchmarks/test_x.py": "def test_x(cell_run): ...\n"})
    commit({"own.py": ""})
    assert "base: its pytest ended" in (told := refused("HEAD~1", "HEAD", "--nets", "own.py"))
    assert "--nets: own.py: there is no such file" in told
    nothing_left(repository)


@pytest.mark.parametrize(
    ("command", "option", "is_hinted"),
    [
        (["ab", "a", "b", "--epochs", "1"], "--epochs", True),
        (["bisect-step", "a", "-k", "x"], "-k", True),
        (["bisect", "a", "b", "--nosuch"], "--nosuch", False),
        (["gate", "a", "b", "--epochs", "1"], "--epochs", False),
    ],
)
def test_an_option_of_pytest_before_the_dashes(command: list[str], option: str, is_hinted: bool) -> None:
    """A wrong option that pytest has is met with where such options go."""
    done = CliRunner().invoke(app, command)
    assert f"No such option: {option}" in done.stderr
    assert ("those go after `--`" in done.stderr) == is_hinted


def test_refused_revisions(repository: Path) -> None:
    """A revision that does not exist, that is an option, or that the working tree has changes to."""
    commit(without_torch())
    assert "there is no revision nosuch here" in refused("nosuch", "HEAD")
    assert "there is no revision --upload-pack=x here" in refused("HEAD", "--", "--upload-pack=x")
    assert "the same working tree" in refused(".", ".")
    Path("conftest.py").write_text("x")
    assert "changes that HEAD has not (conftest.py)" in refused("HEAD", "HEAD")
    nothing_left(repository)


def test_refused_options(repository: Path) -> None:
    """Interpreters that are none or lack nets, folders that are none, pytest's options that it sets itself."""
    commit(without_torch())
    assert "No such file or directory" in refused("HEAD", "HEAD", "--python-a", "nosuch")
    bare = Path("bare")
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    assert "can't import what it needs: ModuleNotFoundError" in refused("HEAD", "HEAD", "--python-b", "./bare")
    for data_dir in ("nosuch", "~nosuch/x"):
        assert f"--data-dir: {data_dir} is not a folder" in refused("HEAD", "HEAD", "--data-dir", data_dir)
    assert "--rounds: not for pytest within nets ab" in refused("HEAD", "HEAD", "--", "--rounds=3")
    assert "--out: " in refused("HEAD", "HEAD", "--out", "conftest.py")
    assert "nosuch/x.md: the folder nosuch does not exist" in refused("HEAD", "HEAD", "--markdown", "nosuch/x.md")
    assert "would be written over" in refused("HEAD", "HEAD", "--json", "nets-ab/base.json")
    assert "--allow speed: unknown" in refused("HEAD", "HEAD", "--allow", "speed")
    assert "6 sittings can't decide one cell: it takes at least 7" in refused("HEAD", "HEAD", "--max-sittings", "6")
    assert "at most 1,000 rounds" in refused("HEAD", "HEAD", "--max-sittings", "101", "--restart-every", "10")
    nothing_left(repository)


def test_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Revisions need a repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "not a git repository" in refused("main", "HEAD")

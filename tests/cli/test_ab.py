"""`nets ab` as it is called: a real A/B of two commits, and what ends one."""

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
from nets.cli.app import app
from tests.ab.test_child import in_session
from tests.support.repositories import commit, git, made, nothing_left
from tests.support.without_torch import INI, without_torch


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That one stands in."""
    return made(tmp_path, monkeypatch)


def ran(*arguments: str) -> Result:
    """Call the command."""
    return CliRunner().invoke(app, ["ab", *arguments])


@pytest.mark.usefixtures("forked_sides")
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


@pytest.mark.usefixtures("forked_sides")
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
        assert stderr.splitlines()[-1] == "nets ab: interrupted: the verdict is on what was measured until then"
        sides = [json.loads(Path("nets-ab", f"{side}.json").read_bytes()) for side in ("base", "head")]
        n_rounds = [len(side["benchmarks"][0]["stats"]["data"]) for side in sides]
        assert n_rounds in ([1, 1], [1, 2], [2, 2])
        assert [len(side["benchmarks"][0]["extra_info"]["rounds"]) for side in sides] == n_rounds
    else:
        assert process.returncode == (130 if signals[0] == signal.SIGINT else 143)
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


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
    assert "there is no revision nosuch" in ran("nosuch", "HEAD").stderr
    with worktree.checked_out("HEAD", "."):
        pass
    nothing_left(repository)

"""`nets bisect` and `nets bisect-step` as they are called."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nets.ab.child import SideFailed
from nets.cli.app import app
from nets.gate.findings import Gate
from tests.ab.test_bisect import gate, history, total
from tests.support.repositories import commit, git, made, nothing_left
from tests.support.without_torch import without_torch

pytestmark = pytest.mark.usefixtures("forked_sides")
QUICK = ("--restart-every", "1", "--max-sittings", "7")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That one stands in."""
    return made(tmp_path, monkeypatch)


def ran(*arguments: str) -> Result:
    """Call the command."""
    return CliRunner().invoke(app, [*arguments])


def test_the_guilty_commit(repository: Path) -> None:
    """It is named with its subject and the effect; a second call knows the answer, and measures nothing."""
    commit(without_torch(0.01))
    commit(without_torch(0.03))
    done = ran("bisect", "HEAD~1", "HEAD", *QUICK)
    assert done.exit_code == 0, done.output
    assert f"the first bad commit is {git('rev-parse', '--short', 'HEAD').strip()} x, by x, 20" in done.output
    assert "with it: " in done.output
    known = json.loads(Path("nets-bisect/bisection.json").read_bytes())
    assert ["mnist-lenet5", "total_s"] in known["targets"]
    again = ran("bisect", "HEAD~1", "HEAD", *QUICK)
    assert again.exit_code == 0
    assert "going on after one commit" in again.output
    assert "sitting" not in again.output
    nothing_left(repository)


def stood_in(monkeypatch: pytest.MonkeyPatch, compare: Callable[[str], Gate]) -> None:
    """Commits are compared by this, and nothing is measured."""
    monkeypatch.setattr("nets.cli.bisect._compared", lambda good, commit, *_: compare(commit))


def slower() -> Gate:
    """A verdict on a cell that has become slower."""
    return gate(total("regressed", 0.1))


def test_commits_that_were_skipped(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they hide the first bad one, it can't be told, and how to have them compared again is."""
    commits = history(2)

    def compare(commit: str) -> Gate:
        if commit == commits[1]:
            raise SideFailed("head", "no space left")
        return slower()

    stood_in(monkeypatch, compare)
    done = ran("bisect", commits[0], "HEAD")
    assert done.exit_code == 3, done.output
    assert "skip: " in done.output
    assert "bisection.json keeps the answers; remove it to" in done.output
    nothing_left(repository)


def test_a_job_that_is_cancelled_between_two_comparisons(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM leaves no worktree, whatever is under way."""
    commits = history(2)

    def compare(_: str) -> Gate:
        os.kill(os.getpid(), signal.SIGTERM)
        return slower()

    stood_in(monkeypatch, compare)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # without a handler of its own it would go on
    try:
        assert ran("bisect", commits[0], "HEAD").exit_code == 128 + signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)
    nothing_left(repository)


def test_what_is_refused(repository: Path) -> None:
    """A range that is none, a working tree with changes, a cell that the good commit has not: a sentence each."""
    commit(without_torch(0.01))
    commit({name: text.replace("('a',)", "('b',)") for name, text in without_torch(0.01).items()})
    for arguments, because in (
        (("HEAD", "HEAD~1"), "HEAD comes after HEAD~1"),
        (("HEAD", "HEAD"), "the same commit"),
        (("HEAD~1", "HEAD", "--cells", "b"), "there is no such cell"),
        (("HEAD~1", "HEAD"), "no cell in common"),
        (("HEAD~1", "HEAD", "--max-sittings", "6"), "can't decide one cell"),
    ):
        done = ran("bisect", *arguments)
        assert done.exit_code == 2, done.output
        assert because in done.stderr
    Path("conftest.py").write_text("x")
    assert "has not (conftest.py)" in ran("bisect", "HEAD~1", "HEAD").stderr
    nothing_left(repository)


def test_a_step_of_git_s_own_bisection(repository: Path) -> None:
    """What can't be run is 125; what no commit is to blame for ends git's bisection; what a step says stays."""
    commit(without_torch(0.01))
    assert ran("bisect-step", "nosuch").exit_code == 128
    assert ran("bisect-step", "HEAD", "--nosuch").exit_code == 128
    Path("conftest.py").write_text("1 / 0")
    broken = ran("bisect-step", "HEAD")
    assert broken.exit_code == 125
    assert "head: its pytest ended before it had collected a cell" in broken.stderr
    nothing_left(repository)


@pytest.mark.parametrize("fault", ["bands", "a record", "an import"])
def test_a_step_that_a_commit_itself_makes_impossible(repository: Path, fault: str) -> None:
    """Bands, records and modules that can't be read are the commit's own fault: it is skipped, and ends nothing."""
    commit({**without_torch(0.0), "src/torch.py": ""})
    conftest = Path("conftest.py").read_text()
    assert '= {"schema": 1}' in conftest
    name, text = {
        "bands": ("benchmarks/bands.toml", "= what"),
        "a record": ("conftest.py", conftest.replace('= {"schema": 1}', "= 7")),
        "an import": ("src/torch.py", "1 / 0"),
    }[fault]
    Path(name).write_text(text)
    done = ran("bisect-step", "HEAD", *QUICK, *(("--python", sys.executable) if fault == "an import" else ()))
    assert done.exit_code == 125, done.output
    assert "head: " in done.stderr.splitlines()[-1]
    nothing_left(repository)


def test_a_commit_without_the_folder_of_the_call(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is that side's fault, which a bisection skips, and not the call's, which ends one."""
    commit({"x": "1"})
    commit({"sub/x": "1"})
    monkeypatch.chdir("sub")
    assert "nets ab: head: HEAD~1 has no folder sub" in ran("ab", "HEAD", "HEAD~1").stderr
    monkeypatch.chdir(repository)
    nothing_left(repository)

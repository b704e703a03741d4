"""The turns of `nets ab`: who runs when, how often, and what happens when a side goes its own way.

The sides are pytest sessions on a repository without torch, forked from a process that has imported pytest.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nets.ab import child_plugin
from nets.ab.child import PLUGIN, Child, ChildSpec, child_environment
from nets.ab.interleave import Sitting, StopRequest
from nets.errors import Unusable
from nets.machine import cpu
from tests.support.without_torch import BENCHMARK, CONFTEST, INI

pytestmark = pytest.mark.usefixtures("forked_sides")
N_ROUNDS = 3


class Repository:
    """Two folders with a benchmark each, and what their rounds did."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events_file = path / "events"

    def side(
        self,
        name: str,
        *,
        cells: tuple[str, ...] = ("a", "b"),
        seconds: float = 0.005,
        fault: str = "(None, 0, None)",
        setup: str = "",
        more: str = "",
        arguments: tuple[str, ...] = (),
        isolated_from: tuple[Path, Path] | None = None,
    ) -> Child:
        """Start a side; `fault`: (cell, round, what is called in it); `setup`: what its conftest does first.

        `more`: definitions for `fault`.
        """
        folder = self.path / name
        folder.mkdir()
        head = f"EVENTS, SIDE, CELLS = {str(self.events_file)!r}, {name!r}, {cells!r}\n"
        (folder / "conftest.py").write_text(head + CONFTEST + setup)
        (folder / "test_cells.py").write_text(f"{head}SECONDS = {seconds}\n" + BENCHMARK + f"{more}\nFAULT = {fault}\n")
        (folder / "pytest.ini").write_text(INI)
        every = (".", f"--rounds={N_ROUNDS}", "-p", "no:cacheprovider", *arguments)
        shutil.copy(child_plugin.__file__, self.path / f"{PLUGIN}.py")
        files = (self.path / f"{name}.json", self.path / f"{name}.log")
        return Child(ChildSpec(name, Path(sys.executable), folder, every, *files, isolated_from), self.path)

    def run(
        self,
        base: Child,
        head: Child,
        *,
        head_first: bool = False,
        stop_after: int | None = None,
        seconds: float | None = None,
    ) -> Sitting:
        """One sitting; somebody asks to stop when a cell has had `stop_after` rounds."""
        stop = StopRequest()
        if stop_after is not None:
            say = base.answer

            def stopping(step: str) -> None:
                say(step)
                stop.is_made |= base.at is not None and base.at.n_done == stop_after

            base.answer = stopping  # type: ignore[method-assign]
        sitting = Sitting(base, head, N_ROUNDS, stop, head_first, seconds)
        try:
            sitting.begin(sitting.collect(), alone=True)
            sitting.take_turns()
            sitting.end()
        finally:
            base.kill()
            head.kill()
        return sitting

    @property
    def events(self) -> list[list[str]]:
        """Side, cell, what, round, in the order that they came in."""
        lines = [line.split() for line in self.events_file.read_text().splitlines()]
        return [line[:4] for line in sorted(lines, key=lambda line: float(line[4]))]

    def rounds(self) -> Counter[tuple[str, str]]:
        """How many rounds of each side and cell were finished."""
        return Counter((side, cell) for side, cell, what, _ in self.events if what == "end")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """In a folder of its own."""
    return Repository(tmp_path)


def stats(side: Child) -> dict[str, Any]:
    """Cell -> seconds of its rounds, in a side's file."""
    content = json.loads(side.spec.json.read_bytes())
    return {benchmark["params"]["cell"]: benchmark["stats"]["data"] for benchmark in content["benchmarks"]}


@pytest.mark.parametrize("head_first", [False, True])
def test_turns(repository: Repository, head_first: bool) -> None:
    """One round at a time, pair by pair, every other pair begun by the other; all else that a side does is a turn."""
    base, head = repository.side("base"), repository.side("head", seconds=0.02)
    sitting = repository.run(base, head, head_first=head_first)
    begun = [(side, int(n)) for side, cell, what, n in repository.events if (cell, what) == ("a", "begin")]
    order = ("head", "base") if head_first else ("base", "head")
    assert begun == [(s, n) for n in range(N_ROUNDS) for s in (order if n % 2 == 0 else order[::-1])]
    whats = [what for _, _, what, _ in repository.events if what != "after"]
    assert whats == ["begin", "end"] * (len(whats) // 2)
    assert not any(cell == "else" for _, cell, _, _ in repository.events)
    for seconds in (stats(base), stats(head)):
        assert {cell: len(each) for cell, each in seconds.items()} == {"a": N_ROUNDS, "b": N_ROUNDS}
    assert {sitting.cell(test): ratio > 0.5 for test, ratio in sitting.ratios.items()} == {"a": True, "b": True}


@pytest.mark.parametrize(("seconds", "n_rounds"), [(0.0001, 1), (10.0, N_ROUNDS)])
def test_rounds_by_their_time(repository: Repository, seconds: float, n_rounds: int) -> None:
    """A cell has as many rounds in a sitting as fill its seconds, one at least and the most that there are."""
    sitting = repository.run(repository.side("base"), repository.side("head"), seconds=seconds)
    assert set(repository.rounds().values()) == set(sitting.rounds_of.values()) == {n_rounds}


def test_a_cell_of_one_side_alone(repository: Repository) -> None:
    """A cell that only one side has runs there by itself; the common ones, in whatever order, are paired."""
    base = repository.side("base", cells=("gone", "a", "b"))
    head = repository.side("head", cells=("b", "a", "new"))
    sitting = repository.run(base, head)
    assert repository.rounds() == {
        (side, cell): N_ROUNDS
        for side, cells in (("base", ("a", "b", "gone")), ("head", ("a", "b", "new")))
        for cell in cells
    }
    assert sorted(map(sitting.cell, sitting.ratios)) == ["a", "b"]


def test_a_cell_that_fails_on_one_side(repository: Repository) -> None:
    """The other side ends its own, the pair counts for nothing, and the next cell is paired as if nothing had been."""
    base = repository.side("base")
    head = repository.side("head", fault="('a', 2, lambda: 1 / 0)")
    sitting = repository.run(base, head)
    rounds = repository.rounds()
    assert (rounds["base", "a"], rounds["head", "a"]) == (N_ROUNDS, 1)
    assert rounds["base", "b"] == rounds["head", "b"] == N_ROUNDS
    assert list(map(sitting.cell, sitting.ratios)) == ["b"]


def test_a_side_that_dies(repository: Repository) -> None:
    """It is told of in a sentence with its log; the other one goes on to its end, and keeps its file."""
    base = repository.side("base")
    head = repository.side("head", fault="('a', 2, lambda: os._exit(7))")
    with pytest.raises(Unusable, match=r"head: its pytest left no JSON file \(exit 7\).*head\.log"):
        repository.run(base, head)
    assert stats(base)["b"]


def test_a_waiting_side_that_is_killed(repository: Repository) -> None:
    """A side that dies while it waits (for memory, say) is told of as one that dies in its turn."""
    base, head = repository.side("base"), repository.side("head")
    say = base.answer

    def killing(step: str) -> None:
        say(step)
        if head._process.poll() is None:
            head._process.kill()

    base.answer = killing  # type: ignore[method-assign]
    with pytest.raises(Unusable, match=r"head: its pytest left no JSON file \(exit -9\)"):
        repository.run(base, head)


def test_stopped(repository: Repository) -> None:
    """After Ctrl-C the cell under way ends with the rounds that it has, and the next ones never begin."""
    base, head = repository.side("base"), repository.side("head")
    repository.run(base, head, stop_after=2)
    assert repository.rounds() == {("base", "a"): 2, ("head", "a"): 2}
    assert list(stats(base)) == list(stats(head)) == ["a"]
    assert "1 passed, 1 skipped" in base.spec.log.read_text()


def test_an_ended_side_holds_nothing_open(repository: Repository) -> None:
    """Its pipes are closed when it has ended, not when somebody looks for circular garbage: a stage has many sides."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    base, head = repository.side("base", cells=("a",)), repository.side("head", cells=("a",))
    sitting = Sitting(base, head, 1, StopRequest())
    sitting.begin(sitting.collect(), alone=True)
    sitting.take_turns()
    sitting.end()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_nothing_in_common(repository: Repository) -> None:
    """Sides without a common cell are refused, with the number of each one's."""
    base, head = repository.side("base", cells=("a",)), repository.side("head", cells=("b", "c"))
    with pytest.raises(Unusable, match=r"no cell in common \(base 1, head 2"):
        repository.run(base, head)


def test_workers_are_refused(repository: Repository) -> None:
    """Xdist's workers would run rounds at the same time."""
    base, head = repository.side("base", arguments=("-n", "2")), repository.side("head")
    with pytest.raises(Unusable, match="run it without -n"):
        repository.run(base, head)


def test_the_environment_of_a_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A side imports its own folder's sources first, then what this process would."""
    monkeypatch.setenv("PYTHONPATH", "/inherited")
    (tmp_path / "src").mkdir()
    found = child_environment(tmp_path, tmp_path / "plugin")
    assert found["PYTHONPATH"].split(os.pathsep) == [str(tmp_path / "plugin"), str(tmp_path / "src"), "/inherited"]
    code = "import sys; print(sys.path[1:4])"
    done = subprocess.run([sys.executable, "-c", code], env=found, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([str(tmp_path / "plugin"), str(tmp_path / "src"), "/inherited"])


def test_what_a_side_does_not_inherit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no worker of ours, has no hook's repository, and sets OpenMP's wait policy itself unless our caller did."""
    for name in ("PYTEST_XDIST_WORKER", "GIT_DIR", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(cpu, "_set_here", frozenset())
    assert child_environment(tmp_path).keys() & {"PYTEST_XDIST_WORKER", "GIT_DIR", "GOMP_SPINCOUNT"} == {
        "GOMP_SPINCOUNT"
    }
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setattr(cpu, "_wait_policy", "")
    monkeypatch.delitem(sys.modules, "torch")
    cpu.choose_wait_policy()
    assert os.environ["GOMP_SPINCOUNT"] == cpu.SPINS
    assert "GOMP_SPINCOUNT" not in child_environment(tmp_path)


@pytest.mark.parametrize("imported_late", [False, True])
def test_a_module_of_another_revision_is_refused(repository: Repository, imported_late: bool) -> None:
    """What lies in the repository's own working tree is no revision's, imported before the cells or in a round."""
    folder = repository.path / "tree:"
    installed = folder / "venv" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "installed.py").touch()
    (folder / "networks.py").touch()
    setup = f"import sys; sys.path += [{str(folder)!r}, {str(installed)!r}]; import installed\n"
    setup += "" if imported_late else "import networks\n"
    fault, apart = "('a', 1, lambda: __import__('networks'))", (folder, repository.path / "base")
    base = repository.side("base", fault=fault, setup=setup, isolated_from=apart)
    head = repository.side("head")
    with pytest.raises(Unusable, match=r"base: it imported .*tree:/networks.py, which is not of its revision"):
        repository.run(base, head)

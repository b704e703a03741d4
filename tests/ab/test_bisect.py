"""Which commit a bisection names, of real repositories whose commits are compared by a stand-in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from nets.ab.bisect import Bisector, answered, conclusion, own_worktree
from nets.ab.child import CellsRefused, SideFailed
from nets.errors import Unusable
from nets.gate.findings import ComparedRun, Finding, Gate, Status
from nets.gate.limits import Limits
from tests.support.repositories import commit, git, made, nothing_left

RUN = ComparedRun(source="x", n_cells=1, torch=None, cuda=None, cudnn=None, python=None)
HOW = ("--cells=a",)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That one stands in."""
    return made(tmp_path, monkeypatch)


def gate(*findings: Finding) -> Gate:
    """A verdict with these findings."""
    return Gate(exit_code=0, base=RUN, head=RUN, paired=True, limits=Limits(), notes=(), findings=findings)


def total(status: Status, effect: float = 0.0) -> Finding:
    """What was found of the total time of the cell a."""
    return Finding(cell="a", metric="total_s", status=status, effect=effect, low=effect - 0.01, high=effect + 0.01)


def history(n: int) -> list[str]:
    """That many commits, one after the other, the first one before them; all of them, oldest first."""
    for i in range(n + 1):
        commit({"file": str(i)})
    return git("rev-list", "--reverse", "HEAD").split()


class Commits:
    """Compares commits as if those of `bad` were slower by a tenth, those of `broken` could not be run or told."""

    def __init__(self, bad: Iterable[str], broken: Iterable[str] = (), unsure: Iterable[str] = ()) -> None:
        self.asked: list[str] = []
        self._bad, self._broken, self._unsure = set(bad), set(broken), set(unsure)

    def __call__(self, commit: str, cells: tuple[str, ...]) -> Gate:
        """The verdict on a commit."""
        self.asked.append(commit)
        assert cells == (() if len(self.asked) == 1 else ("a",))
        if commit in self._broken:
            raise SideFailed("head", "its pytest left no JSON file")
        if commit in self._unsure:
            return gate(total("not enough data"))
        return gate(total("regressed", 0.1) if commit in self._bad else total("ok"))


def bisected(
    good: str, bad: str, compare: Callable[[str, tuple[str, ...]], Gate]
) -> tuple[tuple[str, ...], list[str], list[str]]:
    """The commits that are found, what is concluded, and what was said on the way."""
    said: list[str] = []
    with own_worktree(good, bad) as (folder, first, last):
        bisector = Bisector(first, last, HOW, Path("../bisection.json"), compare)
        assert bisector.targets() == (("a", "total_s"),)
        found = bisector.run(folder, said.append)
        return found, list(conclusion(bisector.known, found, folder)), said


@pytest.mark.parametrize("guilty", [1, 2, 7, 20])
def test_the_first_bad_commit(repository: Path, guilty: int) -> None:
    """Of twenty commits the guilty one is found, in no more steps than halving takes, and told with what was before."""
    commits = history(20)
    compare = Commits(commits[guilty:])
    found, sentences, _ = bisected(commits[0], "HEAD", compare)
    assert found == (commits[guilty],)
    assert len(compare.asked) <= 1 + math.ceil(math.log2(20))
    assert sentences[0].startswith("the first bad commit is ")
    assert "by x, 20" in sentences[0]
    assert "with it: " in sentences[-1]
    assert "a total_s +10.0 % (+9.0 % to +11.0 %)" in sentences[-1]
    before = "the good commit itself" if guilty == 1 else "a total_s +0.0 %"
    assert before in sentences[1]
    nothing_left(repository)


def test_a_range_of_one(repository: Path) -> None:
    """Where there is nothing between, one comparison is enough."""
    commits = history(1)
    compare = Commits(commits[1:])
    assert bisected(commits[0], commits[1], compare)[0] == (commits[1],)
    assert compare.asked == [commits[1]]


def test_commits_that_cannot_be_told(repository: Path) -> None:
    """A commit that breaks or is too noisy is skipped, with the reason; those that hide the guilty one are named."""
    commits = history(8)
    compare = Commits(commits[5:], broken=commits[4:5], unsure=commits[2:3])
    found, sentences, said = bisected(commits[0], "HEAD", compare)
    assert set(found) == {commits[4], commits[5]}
    assert sentences[0].endswith("one of these 2; those that were skipped can't be told from it:")
    assert any("its pytest left no JSON file" in line for line in said)
    everything = Commits(commits[8:], broken=commits[1:8])
    Path("../bisection.json").unlink()
    assert len(bisected(commits[0], "HEAD", everything)[0]) == 8


@pytest.mark.parametrize("all_are_gone", [False, True])
def test_a_cell_that_goes_missing(repository: Path, all_are_gone: bool) -> None:
    """Commits that have the cell are good, those that lack it bad, also where pytest refuses all names of cells."""
    commits = history(8)
    gone = Finding(cell="a", metric="cell", status="missing", because="in base, not in head")

    def compare(commit: str, cells: tuple[str, ...]) -> Gate:
        if commit not in commits[5:]:
            return gate(total("ok"))
        if cells and all_are_gone:
            raise CellsRefused("head", "its pytest ended before it had collected a cell")
        return gate(gone)

    with own_worktree(commits[0], "HEAD") as (folder, first, last):
        bisector = Bisector(first, last, HOW, Path("../bisection.json"), compare)
        assert bisector.targets() == (("a", "cell"),)
        assert bisector.run(folder, lambda _: None) == (commits[5],)
        assert {step.answer for step in bisector.known.steps} == {"good", "bad"}
        sentences = list(conclusion(bisector.known, (commits[5],), folder))
    assert sentences[1].endswith(": a is there")


def test_a_good_commit_that_breaks(repository: Path) -> None:
    """Nothing can be told without the good side: the bisection ends."""

    def compare(commit: str, cells: tuple[str, ...]) -> Gate:
        if cells:
            raise SideFailed("base", "no space left")
        return gate(total("regressed", 0.1))

    commits = history(4)
    with pytest.raises(SideFailed, match="base: no space left"):
        bisected(commits[0], "HEAD", compare)
    nothing_left(repository)


def test_it_goes_on(repository: Path) -> None:
    """Stopped amid a comparison, the same question asks only what is not known yet; another question starts anew."""
    commits = history(20)
    compare = Commits(commits[9:])

    def stopped(commit: str, cells: tuple[str, ...]) -> Gate:
        if len(compare.asked) == 3:
            raise KeyboardInterrupt
        return compare(commit, cells)

    with pytest.raises(KeyboardInterrupt):
        bisected(commits[0], "HEAD", stopped)
    nothing_left(repository)
    first = list(compare.asked)
    assert bisected(commits[0], "HEAD", compare)[0] == (commits[9],)
    assert len(set(compare.asked)) == len(compare.asked)
    assert compare.asked[: len(first)] == first
    other = Commits(commits[9:])
    bisected(commits[1], "HEAD", other)
    assert len(other.asked) > 1
    Path("../bisection.json").write_text("half a fi")
    again = Commits(commits[9:])
    assert bisected(commits[1], "HEAD", again)[0] == (commits[9],)


def test_merges(repository: Path) -> None:
    """A commit on a branch that was merged is found, and so is a merge that made it bad itself."""
    history(2)
    base = git("rev-parse", "HEAD").strip()
    git("checkout", "--quiet", "-b", "side")
    commit({"other": "1"})
    commit({"other": "2"})
    guilty = git("rev-parse", "HEAD").strip()
    commit({"other": "3"})
    git("checkout", "--quiet", "main")
    commit({"file": "more"})
    git("merge", "--quiet", "--no-ff", "-m", "merged", "side")
    bad = git("rev-list", f"{guilty}^..HEAD", "--ancestry-path").split()
    assert bisected(base, "HEAD", Commits(bad))[0] == (guilty,)
    merge = git("rev-parse", "HEAD").strip()
    Path("../bisection.json").unlink()
    found, sentences, _ = bisected(base, "HEAD", Commits([merge]))
    assert found == (merge,)
    assert [sentence.split(":")[0] for sentence in sentences[1:]] == ["before it", "before it", "with it"]


def test_what_is_no_range(repository: Path) -> None:
    """Commits the other way round, the same one twice, strangers, and no commits are refused with the reason."""
    commits = history(2)
    cases = {
        (commits[2], commits[0]): "comes after",
        (commits[1], commits[1]): "the same commit",
        ("nosuch", "HEAD"): "there is no revision nosuch",
    }
    git("checkout", "--quiet", "--orphan", "stranger")
    commit({"file": "x"})
    cases[commits[0], "stranger"] = "have no commit in common"
    for (good, bad), because in cases.items():
        with pytest.raises(Unusable, match=because), own_worktree(good, bad):
            pass
    nothing_left(repository)


def test_a_shallow_clone(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good commit that lies before the clone's first one is missed with the reason, and so is what lies between."""
    commits = history(3)
    git("clone", "--quiet", "--depth", "1", f"file://{repository}", "../shallow")
    monkeypatch.chdir(repository.parent / "shallow")
    with (
        pytest.raises(Unusable, match="this is a shallow clone, which may have to fetch it"),
        own_worktree(commits[0], "HEAD"),
    ):
        pass
    git("fetch", "--quiet", "--depth", "1", "origin", commits[0])
    with pytest.raises(Unusable, match="which has to fetch what lies between"), own_worktree(commits[0], "HEAD"):
        pass
    assert len(git("worktree", "list").splitlines()) == 1


def test_two_at_once(repository: Path) -> None:
    """Two bisections of one repository don't meet, nor one of the user's own."""
    commits = history(9)
    git("bisect", "start", "HEAD", commits[0])
    with own_worktree(commits[0], commits[9]) as (one, *_), own_worktree(commits[2], commits[9]) as (two, *_):
        for folder, good in ((one, commits[0]), (two, commits[2])):
            command = Bisector(good, commits[9], HOW, folder.parent / "b.json", Commits(commits[5:]))
            command.targets()
            assert command.run(folder, lambda _: None) == (commits[5],)
    assert "first bad commit" not in git("bisect", "log")


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (("regressed", "ok"), "bad"),
        (("ok", "regressed"), "bad"),
        (("improved", "ok"), "good"),
        (("ok", "not enough data"), "skip"),
        (("ok", None), "skip"),
        (("regressed", None), "bad"),
    ],
)
def test_answers(found: tuple[Status | None, Status | None], answer: str) -> None:
    """One target that has regressed makes a commit bad; it is good only if each is known not to have."""
    findings = [Finding(cell=c, metric="total_s", status=s) for c, s in zip("ab", found, strict=True) if s is not None]
    step = answered("x", gate(*findings), (("a", "total_s"), ("b", "total_s")))
    assert step.answer == answer
    assert step.because

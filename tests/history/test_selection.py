"""`nets history --since --last --branch`, and what git says of commits: their order, their subjects."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nets.records.git import git as ask_git
from tests.support.histories import EPOCH, commit, found, git, line, ran, stepped, store, taking
from tests.support.hostile import EVIL, demand_inert
from tests.support.records import record


def committed(folder: Path, n: int, first: int = 0, subject: str = "number {}") -> list[str]:
    """So many more commits, a day apart, each with a stored run; their hashes."""
    ids = []
    for i in range(first, first + n):
        when = EPOCH + timedelta(days=i)
        git(folder, "commit", "-q", "--allow-empty", "-m", subject.format(i), when=when)
        ids.append(git(folder, "rev-parse", "HEAD"))
        store(f"runs/{i:03d}.json", i, record(), id=ids[-1])
    return ids


def measured(*arguments: str) -> list[str]:
    """The commits that are looked at."""
    return [point["commit"] for point in line(found(*arguments), "total_s")["points"]]


@pytest.fixture
def branched(folder: Path) -> tuple[list[str], list[str]]:
    """Three commits on `main`, and a branch `other` from the first on with two: the hashes of both."""
    git(folder, "init", "-q", "-b", "main")
    main = committed(folder, 3)
    git(folder, "checkout", "-q", "-b", "other", main[0])
    return main, committed(folder, 2, first=3)


@pytest.fixture
def elsewhere(branched: tuple[list[str], list[str]], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """The same archive, seen from where there is no repository."""
    runs = Path("runs").absolute()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    Path("runs").symlink_to(runs)
    return measured


def test_a_branch(branched: tuple[list[str], list[str]]) -> None:
    """`--branch` keeps what can be reached from it, whatever branch a run recorded; how many are left out is told."""
    main, other = branched
    assert measured("--branch", "main") == main
    assert measured("--branch", "other") == [main[0], *other]
    assert found("--branch", "main")["notes"] == ["2 runs of other branches left out"]
    store("runs/unknown.json", 7, record(), branch="main")
    store("runs/none.json", 8, record(), id="unversioned", time=None, branch="(unknown)")
    assert measured("--branch", "main") == [*main, commit(7)]


def test_a_recorded_branch(branched: tuple[list[str], list[str]], elsewhere: Callable[..., Any]) -> None:
    """Where git knows nothing of a commit, the branch that the run recorded counts."""
    main, other = branched
    assert elsewhere("--branch", "main") == [*main, *other]
    for i, each in enumerate(other):
        store(f"runs/{i + 3:03d}.json", i + 3, record(), id=each, branch="topic")
    assert elsewhere("--branch", "topic") == other


def test_since(branched: tuple[list[str], list[str]]) -> None:
    """`--since` takes a date, or a revision: itself, and what is no ancestor; what git doesn't know has a time."""
    main, other = branched
    git(Path.cwd(), "tag", "v1", main[1])
    assert measured("--since", "2026-10-02") == [*main[1:], *other]
    assert measured("--since", "2026-10-03T00:00:00+00:00", "--branch", "main") == main[2:]
    assert measured("--since", "v1", "--branch", "main") == main[1:]
    assert set(measured("--since", "v1")) == {*main[1:], *other}
    assert measured("--since", main[0][:7], "--branch", "main") == main
    store("runs/old.json", 0, record())
    store("runs/new.json", 9, record())
    assert set(measured("--since", "v1")) == {*main[1:], *other, commit(9)}
    assert "2 runs from before v1 left out" in found("--since", "v1")["notes"]


def test_since_a_stored_hash(branched: tuple[list[str], list[str]], elsewhere: Callable[..., Any]) -> None:
    """Without a repository a hash, as the table shows it, means its run's commit, and those of no earlier time."""
    main, other = branched
    assert elsewhere("--since", main[2][:7]) == [main[2], *other]


def test_the_last(branched: tuple[list[str], list[str]]) -> None:
    """`--last` counts commits from the newest back, after the other options; more than there are is all."""
    main, _ = branched
    assert measured("--branch", "main", "--last", "2") == main[1:]
    assert measured("--branch", "main", "--last", "99") == main
    assert "note: the last 2 commits of 3: --last" in ran("runs", "--branch", "main", "--last", "2").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "yesterday"], "--since yesterday: neither a date (2026-10-01), nor a revision"),
        (["--since", "2026-13-01"], "--since 2026-13-01: no date; one is 2026-10-01"),
        (["--since", "2027-01-01"], "--since 2027-01-01: no stored commit is as new; the newest is of 2026-10-05"),
        (["--since", "--all"], "--since --all: neither"),
        (["--branch", "nowhere"], "--branch nowhere: neither the repository around"),
        (["--branch", "nowhere"], "recorded are main"),
        (["--branch", "-x"], "--branch -x: neither"),
        (["--branch", "empty"], "--branch empty: no run is of a commit that can be reached from it"),
        (["--branch", "a\nb"], "--branch a b: neither"),
        (["--last", "0"], "Invalid value for '--last': Input should be greater than or equal to 1"),
        (["--last", "x"], "Invalid value for '--last'"),
    ],
)
def test_wrong_options(arguments: list[str], message: str, branched: tuple[list[str], list[str]]) -> None:
    """A date, a revision or a branch that isn't one, and a selection of nothing, end with 2 and a sentence."""
    assert branched
    git(Path.cwd(), "checkout", "-q", "--orphan", "empty")
    git(Path.cwd(), "commit", "-q", "--allow-empty", "-m", "x")
    result = ran("runs", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert result.output == ""


def test_a_hash_that_is_no_single_one(folder: Path) -> None:
    """A beginning that several stored hashes have is refused, with their number."""
    for i in range(2):
        store(f"runs/{i}.json", i, record(), id=f"abcd{i}{'0' * 35}")
    assert "2 stored commits begin so; give more of the hash" in ran("runs", "--since", "abcd").stderr
    assert folder.exists()


def test_subjects(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change's commit is told with its subject, made harmless, by one question to git; unknown ones have none."""
    git(folder, "init", "-q")
    for i in range(20):
        git(folder, "commit", "-q", "--allow-empty", "-m", f"{EVIL}\nsecond line" if i == 10 else f"number {i}")
        store(f"runs/{i}.json", i, taking([2.0 if i < 10 else 2.3 + i / 1000]), id=git(folder, "rev-parse", "HEAD"))
    asked = []

    def counting(*arguments: str, **options: Any) -> str:
        asked.append(arguments)
        return ask_git(*arguments, **options)

    monkeypatch.setattr("nets.history.commits.git", counting)
    monkeypatch.setenv("COLUMNS", "80")
    (changed,) = found()["changed_commits"]
    assert len(asked) == 2
    assert changed["subject"].startswith("::error::\x1b[31m<script>")
    output = ran("runs").output
    demand_inert(output)
    assert f"{changed['begins'][:7]} (2026-10-11) :�error::�[31m<script>" in output
    assert "second line" not in output
    assert all(len(row) <= 80 for row in output.splitlines() if changed["begins"][:7] in row)


def test_no_subject(folder: Path) -> None:
    """Where git knows no commit there is no subject, and nothing is missing."""
    stepped()
    (changed,) = found()["changed_commits"]
    assert changed["subject"] is None
    assert folder.exists()

"""What a file says it was measured of, what `--resume` keeps, and which file is never replaced."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nets.plugin.output import MAX_NAME
from nets.records import durable
from nets.records.git import changes_sha256
from tests.support.gating import content
from tests.support.records import record
from tests.support.suite import Suite

ONE = ("--cells", "digits-snn500", "--epochs", "1", "--rounds", "1")
OWN = "import nets\nfrom torch import nn\n@nets.network(dataset='digits')\ndef own(image, n_classes):\n"
SMALL, LARGE = (f"    return nn.Sequential(nn.Flatten(), nn.Linear(784, {n}), nn.Linear({n}, 10))\n" for n in (5, 50))


@pytest.fixture
def git(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Git in the suite's repository, in which everything is committed."""
    for name in ("author", "committer"):
        monkeypatch.setenv(f"GIT_{name.upper()}_NAME", "a name")
        monkeypatch.setenv(f"GIT_{name.upper()}_EMAIL", "a@b")

    def run(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=suite.path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    run("init", "-q")
    (suite.path / ".gitignore").write_text("out.json*\n__pycache__\n")
    run("add", "--all")
    run("commit", "-qm", "first")
    return run


@pytest.fixture
def leave(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Leave behind what a run does that is killed after its cells."""

    def left(*arguments: str) -> None:
        changes_sha256.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(durable.Journal, "remove", lambda self: None)
            suite.run(*arguments)
        suite.out.unlink()

    return left


def commit_info(suite: Suite) -> dict[str, Any]:
    """What the file says of the commit."""
    info: dict[str, Any] = suite.content()["commit_info"]
    return info


def test_a_commit_during_a_run(suite: Suite, git: Callable[..., str]) -> None:
    """The file names the commit that the run began at, not the one that was made while it trained."""
    at_start = git("rev-parse", "HEAD")
    suite.conftest(
        "import subprocess\ndef pytest_runtest_teardown():\n"
        "    subprocess.run(['git', 'commit', '-qam', 'later'], check=True)\n"
    )
    git("commit", "-qam", "the conftest")
    at_start = git("rev-parse", "HEAD")
    (suite.path / "later.txt").write_text("")
    git("add", "later.txt")
    suite.run(*ONE).assert_outcomes(passed=1)
    assert git("rev-parse", "HEAD") != at_start
    assert (commit_info(suite)["id"], commit_info(suite)["dirty"]) == (at_start, True)


def test_the_project_s_commit(
    suite: Suite, git: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit is that of the project, from whichever folder pytest is called, and whatever a git hook has set."""
    other = tmp_path / "other"
    other.mkdir()
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    monkeypatch.chdir(other)
    result = suite.pytester.runpytest_inprocess(
        "--rootdir", str(suite.path), "-c", str(suite.path / "tox.ini"), str(suite.path / "benchmarks"),
        "--device", "cpu", "--benchmark-json", str(suite.out), *ONE,
    )  # fmt: skip
    result.assert_outcomes(passed=1)
    monkeypatch.delenv("GIT_DIR")
    assert commit_info(suite)["id"] == git("rev-parse", "HEAD")
    assert commit_info(suite)["subject"] == git("log", "-1", "--format=%s")
    assert commit_info(suite)["dirty"] is False


def test_an_untracked_network_is_dirty(suite: Suite, git: Callable[..., str]) -> None:
    """A file of `--nets` that git doesn't know makes the commit dirty: it says nothing of that file."""
    (suite.path / "own.py").write_text(OWN + SMALL)
    arguments = ("--nets", "own.py", "--cells", "digits-own", "--epochs", "1", "--rounds", "1")
    suite.run(*arguments).assert_outcomes(passed=1)
    assert commit_info(suite)["dirty"] is True
    git("add", "own.py")
    git("commit", "-qm", "own")
    suite.run(*arguments)
    assert commit_info(suite)["dirty"] is False


def test_another_network_is_measured_again(suite: Suite, git: Callable[..., str], leave: Callable[..., None]) -> None:
    """A record of an older network, or of another commit, is not filed under this one, and it is said."""
    own = suite.path / "own.py"
    arguments = ("--nets", "own.py", "--cells", "digits-own", "--epochs", "1", "--rounds", "1")
    own.write_text(OWN + SMALL)
    leave(*arguments)
    own.write_text(OWN + LARGE)
    result = suite.run(*arguments, "--resume")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["nets: --resume does not keep digits-own: another file of the network"])
    (benchmark,) = suite.content()["benchmarks"]
    assert benchmark["extra_info"]["network"]["parameters"] == 784 * 50 + 50 + 50 * 10 + 10
    leave(*arguments)
    git("add", "own.py")
    git("commit", "-qm", "another")
    suite.run(*arguments, "--resume").stdout.fnmatch_lines(
        ["nets: --resume does not keep digits-own: another commit: *"]
    )


def test_changes_in_the_working_tree(suite: Suite, git: Callable[..., str], leave: Callable[..., None]) -> None:
    """A tracked file that changed meanwhile may be what was measured."""
    leave(*ONE)
    with (suite.path / "benchmarks" / "test_train_eval.py").open("a") as file:
        file.write("# changed\n")
    changes_sha256.cache_clear()  # of this process, which has begun anew
    suite.run(*ONE, "--resume").stdout.fnmatch_lines(
        ["nets: --resume does not keep digits-snn500: other changes in the working tree"]
    )


def test_changes_in_a_submodule(suite: Suite, git: Callable[..., str]) -> None:
    """A submodule with changes that is changed again is another state of the working tree."""
    inner = suite.path / "inner"
    inner.mkdir()
    (inner / "file").write_text("1")
    git("-C", "inner", "init", "-q")
    git("-C", "inner", "add", "--all")
    git("-C", "inner", "commit", "-qm", "inner")
    git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "./inner", "inner")
    git("commit", "-qam", "with a submodule")
    sums = []
    for text in "123":
        (inner / "file").write_text(text)
        changes_sha256.cache_clear()
        sums.append(changes_sha256(suite.path))
    assert sums[0] is None
    assert len(set(sums)) == 3


def test_only_cells_of_this_plan(suite: Suite, leave: Callable[..., None]) -> None:
    """A cell that is not to be run now is not in the file, though the journal has it."""
    leave("--cells", "digits-snn500,digits-lenet5", "--epochs", "1", "--rounds", "1")
    suite.run(*ONE, "--resume").stdout.fnmatch_lines(
        ["nets: --resume does not keep digits-lenet5: it is not to be run now"]
    )
    assert list(suite.outcomes()) == ["digits-snn500"]


def test_resume_without_a_journal(suite: Suite) -> None:
    """--resume begins anew where there is nothing to resume."""
    suite.run(*ONE, "--resume").assert_outcomes(passed=1)
    assert list(suite.outcomes()) == ["digits-snn500"]


def test_ctrl_c_can_be_resumed(suite: Suite) -> None:
    """After Ctrl-C --resume goes on after the finished cells, as after a kill."""
    cells = ("--cells", "digits-snn500,digits-lenet5", "--epochs", "1", "--rounds", "1")
    suite.conftest(
        "import os\ndef pytest_runtest_setup(item):\n"
        "    if 'lenet5' in item.nodeid and not os.path.exists('again'):\n        raise KeyboardInterrupt\n"
    )
    result = suite.run(*cells)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["records: the finished cells are in *out.json.journal, and --resume goes on after them"]
    )
    (suite.path / "again").touch()
    suite.run(*cells, "--resume").assert_outcomes(passed=1, deselected=1)
    assert suite.outcomes().keys() == {"digits-snn500", "digits-lenet5"}


NOTHING_MEASURED = {
    "Ctrl-C": ("def pytest_runtest_setup():\n    raise KeyboardInterrupt\n", ()),
    "all skipped": ("import pytest\n@pytest.fixture\ndef data():\n    pytest.skip('no data')\n", ()),
    "--fixtures": ("", ("--fixtures",)),
    "--setup-plan": ("", ("--setup-plan",)),
    "--setup-only": ("", ("--setup-only",)),
    "--collect-only": ("", ("--collect-only",)),
    "a collection error": ("", ("benchmarks/none.py",)),
}


@pytest.mark.parametrize("what", NOTHING_MEASURED)
def test_a_file_with_cells_stays(suite: Suite, what: str) -> None:
    """A session that measured nothing does not replace a file with cells."""
    suite.out.write_text(json.dumps(content(record())))
    before = suite.out.read_bytes()
    conftest, arguments = NOTHING_MEASURED[what]
    suite.conftest(conftest)
    suite.run(*ONE, *arguments)
    assert suite.out.read_bytes() == before


def test_a_second_run_on_one_file(suite: Suite) -> None:
    """While a run lives that is to write a file, a second one on it is refused before anything is measured."""
    with durable.sole_writer(suite.out, "--benchmark-json"):
        result = suite.run(*ONE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --benchmark-json: another run, not ended yet, is to write *out.json: *"])
    suite.run(*ONE).assert_outcomes(passed=1)
    suite.run(*ONE).assert_outcomes(passed=1)


def test_a_full_disk(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures are printed, the file of before is whole, a sentence names the journal, and the exit code says so."""
    suite.out.write_text(json.dumps(content(record())))
    before = suite.out.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "_write", full)
    result = suite.run(*ONE)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(
        ["*digits*snn500*397,510*passed*", "records: *out.json: it can't be written: No space left on device",
         "records: the finished cells are in *out.json.journal, and --resume goes on after them"]
    )  # fmt: skip
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert suite.out.read_bytes() == before


def test_no_disk_at_all(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the journal can't be written either the figures are printed, and both reasons."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "_write", full)
    monkeypatch.setattr(os, "fsync", full)
    result = suite.run(*ONE)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(
        ["*digits*snn500*397,510*passed*", "records: *it can't be written*", "records: the journal *No space left*"]
    )


def test_names_that_don_t_fit(suite: Suite, tmp_path: Path) -> None:
    """A file with another hard link, or with a name too long for its journal's, is refused before training."""
    suite.out.write_text("{}")
    os.link(suite.out, suite.path / "another.json")
    result = suite.run(*ONE)
    result.stderr.fnmatch_lines(["ERROR: --benchmark-json: *out.json has other names (hard links)*"])
    suite.out = suite.path / ("a" * MAX_NAME + "b")
    suite.run(*ONE).stderr.fnmatch_lines(["ERROR: --benchmark-json: the name a* is too long*"])
    suite.out = suite.path / ("a" * (MAX_NAME - 3) + "😀"[:0] + "bcd")
    suite.run(*ONE).assert_outcomes(passed=1)
    suite.out = suite.path / "a name\nwith 😀 and \u202e.json"
    suite.run(*ONE).assert_outcomes(passed=1)
